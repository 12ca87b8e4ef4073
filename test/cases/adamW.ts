import fc from "fast-check";
import { adamW, clipScale, concat, gradNorm, mul, type Tensor } from "../../src/tensor/index.ts";
import { defineCase, elements, filled, sizes } from "../support/opCase.ts";

const options = { learningRate: 2e-2, beta1: 0.9, beta2: 0.98, weightDecay: 0.1 };

/** Three steps, the second with the gradient negated and a tenth; in place, so on copies. */
export default defineCase({
  name: "adamW",
  params: fc.record({ N: sizes(), C: sizes(), maxNorm: fc.constantFrom(1, 1e6) }),
  always: [
    { N: 1, C: 1, maxNorm: 1e6 },
    { N: 257, C: 130, maxNorm: 1 },
  ],
  inputs: ({ N, C }) => ({ p: { shape: [N, C] }, g: { shape: [N, C] } }),
  reference: ({ p, g }, { maxNorm }) => {
    const n = elements(p!.shape);
    const [q, m, v] = [Float64Array.from(p!.data), new Float64Array(n), new Float64Array(n)];
    const { learningRate, beta1, beta2, weightDecay } = options;
    [1, -0.1, 1].forEach((factor, index) => {
      const gradient = g!.data.map((value) => value * factor);
      const norm = Math.sqrt(gradient.reduce((sum, value) => sum + value * value, 0));
      // A norm that is not finite in f32 skips the step.
      if (!Number.isFinite(Math.fround(norm * norm))) return;
      for (let i = 0; i < n; i++) {
        const scaled = gradient[i]! * Math.min(1, maxNorm / norm);
        m[i] = beta1 * m[i]! + (1 - beta1) * scaled;
        v[i] = beta2 * v[i]! + (1 - beta2) * scaled * scaled;
        q[i]! *= 1 - learningRate * weightDecay;
        q[i]! -=
          ((learningRate / (1 - beta1 ** (index + 1))) * m[i]!) /
          (Math.sqrt(v[i]! / (1 - beta2 ** (index + 1))) + 1e-8);
      }
    });
    return { p: filled(p!.shape, (i) => q[i]!), m: filled(p!.shape, (i) => m[i]!), v: filled(p!.shape, (i) => v[i]!) };
  },
  run: ({ p, g }, { maxNorm }) => {
    const copy = (x: Tensor) => concat([x], 0);
    const state = { parameter: copy(p!), m: mul(p!, 0), v: mul(p!, 0) };
    [1, -0.1, 1].forEach((factor, index) => {
      const gradient = mul(g!, factor);
      adamW({ ...state, gradient, scale: clipScale(gradNorm([gradient]), maxNorm) }, { ...options, step: index + 1 });
    });
    return { p: state.parameter, m: state.m, v: state.v };
  },
  tolerance: 2e-6,
  edges: [
    { params: { N: 3, C: 5, maxNorm: 1 }, values: { g: [0] } },
    { params: { N: 3, C: 5, maxNorm: 1 }, values: { g: [Infinity, 1, -1] } },
    { params: { N: 3, C: 5, maxNorm: 1 }, values: { g: [1, NaN, 2] } },
    { params: { N: 3, C: 5, maxNorm: 1 }, values: { g: [3e30, 1, 2] } },
  ],
  // Three steps, each with its gradient and norm made before, and the state at the beginning.
  flops: ({ N, C }) => 3 * (14 + 3) * N * C,
  bytes: ({ N, C }) => (3 * (28 + 8 + 4) + 24) * N * C,
  bench: [{ N: 1500, C: 1000, maxNorm: 1 }],
});

export const mutants = [
  { kernel: "adamW", find: "factor > 0.0", replace: "true", why: "a step with gradients that are not finite is taken" },
  { kernel: "adamW", find: "g[i] * factor", replace: "g[i]", why: "no clipping" },
  { kernel: "adamW", find: "params.decay * p[i]", replace: "p[i]", why: "no weight decay" },
  { kernel: "adamW", find: "* params.widen", replace: "", why: "no bias correction of the variance" },
  { kernel: "adamW", find: "params.rest2 * gradient", replace: "params.rest1 * gradient", why: "betas exchanged" },
  { kernel: "adamW", find: "v[i] = variance", replace: "v[i] = max(v[i], variance)", why: "AMSGrad" },
  {
    kernel: "clipScale",
    find: "select(0.0, ",
    replace: "select(1.0, ",
    why: "a norm that is not finite is taken as small",
  },
];
