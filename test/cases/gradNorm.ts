import fc from "fast-check";
import { add, clipScale, gradNorm } from "../../src/tensor/index.ts";
import { defineCase, filled, sizes } from "../support/opCase.ts";

/** 7 is added first, because that fills the padding behind the last element, which must not be counted. */
export default defineCase({
  name: "gradNorm",
  params: fc.record({ N: sizes(), C: sizes(), M: sizes(), maxNorm: fc.constantFrom(0.5, 1, 1000) }),
  always: [
    { N: 1, C: 1, M: 1, maxNorm: 1 },
    { N: 259, C: 257, M: 5, maxNorm: 1 },
  ],
  inputs: ({ N, C, M }) => ({ a: { shape: [N, C] }, b: { shape: [M] } }),
  reference: ({ a, b }, { maxNorm }) => {
    const squares = [...a!.data, ...b!.data].reduce((sum, value) => sum + (value + 7) ** 2, 0);
    const norm = Math.sqrt(squares);
    return {
      norm: filled([], () => norm),
      scale: filled([], () => (Number.isFinite(Math.fround(squares)) ? Math.min(1, maxNorm / norm) : 0)),
    };
  },
  run: ({ a, b }, { maxNorm }) => {
    const norm = gradNorm([add(a!, 7), add(b!, 7)]);
    return { norm, scale: clipScale(norm, maxNorm) };
  },
  tolerance: 2e-6,
  edges: [{ params: { N: 3, C: 3, M: 2, maxNorm: 1 }, values: { a: [-7], b: [-7] } }],
  flops: ({ N, C, M }) => 2 * (N * C + M),
  bytes: ({ N, C, M }) => 4 * (N * C + M),
  bench: [{ N: 1500, C: 1000, M: 1, maxNorm: 1 }],
});

export const mutants = [
  {
    kernel: "squares",
    find: "select(vec4f(0.0), x[i], 4u * i + vec4u(0, 1, 2, 3) < vec4u(params.size))",
    replace: "x[i]",
    why: "padding is counted",
  },
  { kernel: "squares", find: "params.offset + place", replace: "place", why: "tensors overwrite each other's sums" },
  { kernel: "squares", find: "+ sum.w", replace: "", why: "every fourth element is missing" },
  { kernel: "gradNorm", find: "i += LANES", replace: "i += LANES + 1u", why: "some sums are missing" },
  {
    kernel: "clipScale",
    find: "max(bitcast<f32>(bits & 0x7fffffffu), params.maxNorm)",
    replace: "bitcast<f32>(bits)",
    why: "small gradients are blown up",
  },
];
