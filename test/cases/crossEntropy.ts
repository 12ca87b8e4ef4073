import fc from "fast-check";
import { crossEntropy } from "../../src/tensor/index.ts";
import { defineCase, filled, type Mutant, sizes } from "../support/opCase.ts";

export default defineCase({
  name: "crossEntropy",
  params: fc.record({ N: sizes(70), V: sizes(260) }),
  always: [
    { N: 40, V: 1024 },
    { N: 2, V: 1027 },
    { N: 600, V: 5 },
  ],
  inputs: ({ N, V }) => ({
    logits: { shape: [N, V], draw: (random) => 3 * random.normal() },
    targets: { shape: [N], dtype: "u32", draw: (random) => random.int(V) },
    weights: { shape: [N], draw: (random) => (random.chance(0.3) ? 0 : random.normal()) },
  }),
  reference: ({ logits, targets, weights }, { N, V }) => {
    const loss = filled([N], (n) => {
      if (weights!.data[n] === 0) return 0;
      const row = logits!.data.subarray(n * V, n * V + V);
      const top = row.reduce((a, b) => Math.max(a, b));
      const sum = row.reduce((total, x) => total + Math.exp(x - top), 0);
      return weights!.data[n]! * (top - row[targets!.data[n]!]! + Math.log(sum));
    });
    return { loss };
  },
  run: ({ logits, targets, weights }) => ({ loss: crossEntropy(logits!, targets!, weights!) }),
  differentiable: ["logits"],
  tolerance: 1e-5,
  edges: [
    { params: { N: 3, V: 8 }, values: { logits: [0] } },
    { params: { N: 3, V: 5 }, values: { logits: [1e4, -1e4, 9999, 1e4, 0], weights: [1] } },
    { params: { N: 3, V: 8 }, values: { logits: [1e4, -1e4, 9999, 1e4, 0, 1, 2, 3], weights: [1, 0, 0.5] } },
    { params: { N: 1, V: 1 }, values: { logits: [7], weights: [2] } },
    { params: { N: 2, V: 4 }, values: { weights: [0] } },
    { params: { N: 2, V: 8 }, values: { logits: [NaN], weights: [0] } },
  ],
  flops: ({ N, V }) => 4 * N * V,
  bytes: ({ N, V }) => 4 * N * V,
  bench: [
    { N: 1536, V: 1024 },
    { N: 256, V: 126464 },
  ],
});

/** Planted bugs that the checks above must catch. */
export const mutants: readonly Mutant[] = [
  {
    kernel: "crossEntropy",
    find: "laneTotal = laneTotal * exp(laneTop - larger) + ",
    replace: "laneTotal = laneTotal + ",
    why: "the sum is not scaled down when the maximum grows",
  },
  {
    kernel: "crossEntropy",
    find: "rowMax - component(logits[row + id / width], id % width) + log(rowSum)",
    replace: "rowMax - component(logits[row + id / width], id % width)",
    why: "the logarithm of the sum is forgotten",
  },
  {
    kernel: "crossEntropy",
    find: "id % width",
    replace: "0u",
    why: "the wrong one of four logits is taken as the target",
  },
  {
    kernel: "crossEntropyBackward",
    find: "exp(logits[row + c] - rowMax) * inverse - oneHot(c, id)",
    replace: "exp(logits[row + c] - rowMax) * inverse",
    why: "the target is not subtracted",
  },
  {
    kernel: "crossEntropyBackward",
    find: "dloss[n] * weight",
    replace: "dloss[n]",
    why: "the weight of the row is forgotten",
  },
  {
    kernel: "crossEntropyBackward",
    find: "if (weight != 0.0)",
    replace: "if (weight > 0.0)",
    why: "negative weights get no gradient",
  },
];
