/** Elementwise operations that follow each other: one dispatch, with values in registers. */
import { add, mul, sigmoid, square, sub } from "../../src/tensor/index.ts";
import { defineCase, filled, type Mutant, sizes } from "../support/opCase.ts";

const logistic = (x: number): number => 1 / (1 + Math.exp(-x));

export default defineCase({
  name: "elementwise run",
  params: sizes(300).map((N) => ({ N })),
  always: [{ N: 1 }, { N: 4099 }],
  inputs: ({ N }) => ({ x: { shape: [N] }, w: { shape: [N] } }),
  reference: ({ x, w }) => {
    const gated = filled(x!.shape, (i) => (x!.data[i]! + w!.data[i]!) * logistic(x!.data[i]!));
    return { gated, y: filled(x!.shape, (i) => (0.5 * w!.data[i]! - gated.data[i]!) ** 2 - 3) };
  },
  run: ({ x, w }) => {
    const gated = mul(add(x!, w!), sigmoid(x!));
    return { gated, y: add(square(sub(mul(w!, 0.5), gated)), -3) };
  },
  differentiable: ["x", "w"],
  through: ["y"],
  tolerance: 3e-6,
  flops: ({ N }) => 11 * N,
  // Of seven results two are asked for, but all are tensors that somebody could read.
  bytes: ({ N }) => 4 * N * 9,
  bench: [{ N: 2 ** 12 }, { N: 2 ** 22 }],
});

export const mutants: readonly Mutant[] = [
  {
    kernel: "elementwiseRun",
    find: "min(params.count, first",
    replace: "min(params.count - 1u, first",
    why: "the last vector is left out",
  },
  {
    kernel: "elementwiseRun",
    find: "i += LANES",
    replace: "i += 2u * LANES",
    why: "every other vector is left out",
  },
];
