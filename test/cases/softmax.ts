import fc from "fast-check";
import { softmax } from "../../src/tensor/index.ts";
import { defineCase, filled, type Mutant, sizes } from "../support/opCase.ts";

export default defineCase({
  name: "softmax",
  params: fc.record({ N: sizes(), C: sizes(260) }),
  always: [
    { N: 12, C: 1024 },
    { N: 700, C: 5 },
  ],
  inputs: ({ N, C }) => ({ x: { shape: [N, C], draw: (random) => 3 * random.normal() } }),
  reference: ({ x }, { N, C }) => {
    const y = filled([N, C], () => 0);
    for (let n = 0; n < N; n++) {
      const row = x!.data.subarray(n * C, n * C + C);
      const top = row.reduce((a, b) => Math.max(a, b));
      const sum = row.reduce((total, value) => total + Math.exp(value - top), 0);
      row.forEach((value, c) => (y.data[n * C + c] = Math.exp(value - top) / sum));
    }
    return { y };
  },
  run: ({ x }) => ({ y: softmax(x!) }),
  differentiable: ["x"],
  tolerance: 1e-5,
  edges: [
    { params: { N: 3, C: 8 }, values: { x: [0] } },
    { params: { N: 3, C: 5 }, values: { x: [1e4, -1e4, 9999, 1e4, 0] } },
    { params: { N: 3, C: 8 }, values: { x: [-1e4, -1e30, -1e4, -9999] } },
    { params: { N: 1, C: 1 }, values: { x: [1e30] } },
  ],
  flops: ({ N, C }) => 6 * N * C,
  bytes: ({ N, C }) => 8 * N * C,
  bench: [
    { N: 4096, C: 1024 },
    { N: 10752, C: 336 },
  ],
});

/** Planted bugs that the checks above must catch. */
export const mutants: readonly Mutant[] = [
  {
    kernel: "softmax",
    find: "s = s * exp(m - larger) + ",
    replace: "s = s + ",
    why: "the sum is not scaled down when the maximum grows",
  },
  {
    kernel: "softmax",
    find: "laneSum(s * exp(m - rowMax), lane)",
    replace: "laneSum(s, lane)",
    why: "lanes with different maxima are added as they are",
  },
  { kernel: "softmax", find: "exp(x[row + c] - rowMax)", replace: "exp(x[row + c])", why: "large inputs overflow" },
  {
    kernel: "softmaxBackward",
    find: "(dy[row + c] - dot)",
    replace: "dy[row + c]",
    why: "the sum of dy·y is not subtracted",
  },
];
