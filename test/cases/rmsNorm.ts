import fc from "fast-check";
import { rmsNorm } from "../../src/tensor/index.ts";
import { defineCase, filled, type Mutant, sizes } from "../support/opCase.ts";

export default defineCase({
  name: "rmsNorm",
  // Rows of one element have a gradient that cancels (1 − h² = 0): a few of them are enough, many add up rounding only.
  params: fc.record({ N: sizes(), C: sizes().map((C) => Math.max(2, C)) }),
  always: [
    { N: 168, C: 128 },
    { N: 3, C: 1 },
  ],
  inputs: ({ N, C }) => ({ x: { shape: [N, C] }, g: { shape: [C] } }),
  reference: ({ x, g }, { C }) => {
    const y = filled(x!.shape, (i) => {
      const row = x!.data.subarray(i - (i % C), i - (i % C) + C);
      const mean = row.reduce((sum, value) => sum + value * value, 0) / C;
      return (x!.data[i]! / Math.sqrt(mean + 1e-5)) * g!.data[i % C]!;
    });
    return { y };
  },
  run: ({ x, g }) => ({ y: rmsNorm(x!, g!) }),
  differentiable: ["x", "g"],
  tolerance: 1e-5,
  gradientTolerance: 1e-3,
  edges: [
    { params: { N: 3, C: 8 }, values: { x: [0] } },
    { params: { N: 3, C: 8 }, values: { x: [1e15, -1e15, 1] } },
  ],
  flops: ({ N, C }) => 4 * N * C,
  bytes: ({ N, C }) => 8 * N * C,
  bench: [
    { N: 4096, C: 512 },
    { N: 2688, C: 128 },
  ],
});

/** Planted bugs that the checks above must catch. */
export const mutants: readonly Mutant[] = [
  {
    kernel: "rmsNorm",
    find: "/ f32(params.C) + params.eps",
    replace: "/ f32(params.columns) + params.eps",
    why: "the mean is over vectors instead of elements",
  },
  { kernel: "rmsNorm", find: " + params.eps", replace: "", why: "a row of zeros is divided by zero" },
  { kernel: "rmsNormBackward", find: "* scale * mean)", replace: "* mean)", why: "h is not normalised" },
  {
    kernel: "rmsNormBackward",
    find: "dot += dy[row + c] * g[c] * x[row + c]",
    replace: "dot += dy[row + c] * x[row + c]",
    why: "the gain is forgotten in the mean of d·h",
  },
  { kernel: "rmsNormGain", find: " * r[n]", replace: "", why: "the gain sees rows that are not normalised" },
];
