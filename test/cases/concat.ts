import fc from "fast-check";
import { concat } from "../../src/tensor/index.ts";
import { defineCase, filled, sizes } from "../support/opCase.ts";

export default defineCase({
  name: "concat",
  params: fc.record({
    A: fc.integer({ min: 1, max: 4 }),
    n0: sizes(20),
    n1: sizes(20),
    n2: sizes(20),
    C: fc.oneof(fc.constantFrom(4, 64, 128), sizes(20)),
    axis: fc.constantFrom(0, 1, 2, -1),
  }),
  always: [{ A: 2, n0: 40, n1: 64, n2: 64, C: 128, axis: 1 }],
  inputs: ({ A, n0, n1, n2, C, axis }) =>
    Object.fromEntries(
      [n0, n1, n2].map((n, k) => [`x${k}`, { shape: axis === 0 ? [n, A, C] : axis === 1 ? [A, n, C] : [A, C, n] }]),
    ),
  reference: (inputs, { axis }) => {
    const xs = [inputs["x0"]!, inputs["x1"]!, inputs["x2"]!];
    const at = axis < 0 ? axis + 3 : axis;
    const shape = xs[0]!.shape.map((n, i) => (i === at ? xs.reduce((sum, x) => sum + x.shape[at]!, 0) : n));
    const [, n1, n2] = shape as [number, number, number];
    const y = filled(shape, (i) => {
      const index = [Math.floor(i / (n1 * n2)), Math.floor(i / n2) % n1, i % n2];
      let k = 0;
      for (; index[at]! >= xs[k]!.shape[at]!; k++) index[at]! -= xs[k]!.shape[at]!;
      const own = xs[k]!.shape;
      return xs[k]!.data[(index[0]! * own[1]! + index[1]!) * own[2]! + index[2]!]!;
    });
    return { y };
  },
  run: ({ x0, x1, x2 }, { axis }) => ({ y: concat([x0!, x1!, x2!], axis) }),
  differentiable: ["x0", "x1", "x2"],
  tolerance: 0,
  flops: () => 0,
  bytes: ({ A, n0, n1, n2, C }) => 8 * A * (n0 + n1 + n2) * C,
  bench: [{ A: 16, n0: 40, n1: 64, n2: 64, C: 128, axis: 1 }],
});

export const mutants = [
  { kernel: "copyRows", find: "params.before + j", replace: "j", why: "every input at the start" },
  {
    kernel: "copyRows",
    find: "x[a * params.n + j]",
    replace: "x[a * params.total + j]",
    why: "wrong row of the input",
  },
  { kernel: "copyRows", find: "min(params.n,", replace: "min(params.n + 1u,", why: "one element too many" },
];
