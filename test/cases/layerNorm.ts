import fc from "fast-check";
import { layerNorm } from "../../src/tensor/index.ts";
import { defineCase, filled, type Mutant, sizes } from "../support/opCase.ts";

export default defineCase({
  name: "layerNorm",
  // Two elements are ±1 whatever they were, so their gradient is what rounding leaves: too little to compare.
  params: fc.record({ N: sizes(), C: sizes().map((C) => Math.max(3, C)) }),
  always: [
    { N: 168, C: 128 },
    { N: 700, C: 12 },
    { N: 3, C: 1 },
  ],
  inputs: ({ N, C }) => ({ x: { shape: [N, C] }, g: { shape: [C] }, b: { shape: [C] } }),
  reference: ({ x, g, b }, { N, C }) => {
    const y = filled([N, C], () => 0);
    for (let n = 0; n < N; n++) {
      const row = x!.data.subarray(n * C, n * C + C);
      const mean = row.reduce((sum, value) => sum + value, 0) / C;
      const variance = row.reduce((sum, value) => sum + (value - mean) ** 2, 0) / C;
      row.forEach(
        (value, c) => (y.data[n * C + c] = ((value - mean) / Math.sqrt(variance + 1e-6)) * g!.data[c]! + b!.data[c]!),
      );
    }
    return { y };
  },
  run: ({ x, g, b }) => ({ y: layerNorm(x!, g!, b!) }),
  differentiable: ["x", "g", "b"],
  tolerance: 2e-5,
  reason: "rows of two or three nearly equal values are scaled up by 1/std, and so is the rounding of their mean",
  edges: [
    { params: { N: 3, C: 8 }, values: { x: [0] } },
    { params: { N: 2, C: 8 }, values: { x: [1e4, 1e4 + 1, 1e4 - 1, 1e4 + 2, 1e4, 1e4, 1e4 - 2, 1e4] } },
  ],
  flops: ({ N, C }) => 7 * N * C,
  bytes: ({ N, C }) => 8 * N * C,
  bench: [
    { N: 4096, C: 512 },
    { N: 2688, C: 128 },
  ],
});

/** Planted bugs that the checks above must catch. */
export const mutants: readonly Mutant[] = [
  {
    kernel: "layerNorm",
    find: "seen * apart * apart",
    replace: "apart",
    why: "lanes are merged as if they had one mean",
  },
  { kernel: "layerNorm", find: "away * (value - own)", replace: "away * away", why: "squares are around an old mean" },
  {
    kernel: "layerNorm",
    find: "* lower.y * gain + bias",
    replace: "* lower.y * gain",
    why: "every other row forgets the bias",
  },
  {
    kernel: "layerNorm",
    find: "r[other] = lower.y;",
    replace: "r[other] = upper.y;",
    why: "every other row keeps a wrong r",
  },
  { kernel: "layerNormBackward", find: " - meanD - h", replace: " - h", why: "the mean of d is not removed" },
  {
    kernel: "layerNormBackward",
    find: "laneSum(total(dot), lane) * scale /",
    replace: "laneSum(total(dot), lane) /",
    why: "h is not normalised in the mean of d·h",
  },
  {
    kernel: "layerNormGain",
    find: "(x[n * params.columns + c] - m[n])",
    replace: "x[n * params.columns + c]",
    why: "the gain sees rows that are not centred",
  },
];
