import fc from "fast-check";
import { int4, int8, matmulQuantised, quantise, quantisedBytes, type QuantisedFormat } from "../../src/tensor/index.ts";
import { defineCase, filled, type Mutant, sizes } from "../support/opCase.ts";
import { exactWeight } from "../support/quantisedWeight.ts";

type Params = { batch: number; M: number; N: number; K: number; bits: number; group: number };
const formatOf = ({ bits, group }: Params): QuantisedFormat => ({ bits: bits as 4 | 8, group });

/** Multiples of four reach the subgroup kernel; a K that does not divide by the group is padded. */
const size = fc.oneof(
  sizes(70),
  sizes(50).map((n) => 4 * n),
);

export default defineCase<Params>({
  name: "matmulQuantised",
  params: fc.record({
    batch: fc.integer({ min: 1, max: 2 }),
    M: size,
    N: size,
    K: size,
    bits: fc.constantFrom(4, 8),
    group: fc.constantFrom(32, 64, 96, 128),
  }),
  always: [
    { batch: 1, M: 70, N: 132, K: 260, bits: 4, group: 64 },
    { batch: 1, M: 70, N: 132, K: 260, bits: 8, group: 64 },
    { batch: 2, M: 33, N: 67, K: 131, bits: 4, group: 32 },
    { batch: 2, M: 5, N: 33, K: 200, bits: 8, group: 32 },
    { batch: 1, M: 1, N: 1, K: 1, bits: 4, group: 128 },
  ],
  inputs: (params) => ({
    x: { shape: [params.batch, params.M, params.K] },
    w: exactWeight(params.N, params.K, formatOf(params)),
  }),
  reference: ({ x, w }, { batch, M, N, K }) => ({
    y: filled([batch, M, N], (i) => {
      const [row, n] = [Math.floor(i / N), i % N];
      let sum = 0;
      for (let k = 0; k < K; k++) sum += x!.data[row * K + k]! * w!.data[n * K + k]!;
      return sum;
    }),
  }),
  run: ({ x, w }, params) => ({ y: matmulQuantised(x!, quantise(w!, formatOf(params))) }),
  differentiable: ["x"],
  tolerance: 4e-5,
  reason: "a sum of up to 260 products of magnitude 1, rounded in f32 at each",
  flops: ({ batch, M, N, K }) => 2 * batch * M * N * K,
  bytes: (params) =>
    4 * params.batch * params.M * (params.N + params.K) + quantisedBytes(params.N, params.K, formatOf(params)),
  bench: [int4, int8].flatMap((format) => [{ batch: 1, M: 128, N: 1024, K: 1024, ...format }]),
});

export const mutants: readonly Mutant[] = [
  {
    kernel: "matmulInt",
    find: "first / group4)",
    replace: "0u)",
    why: "every group has the scale of the first",
    subgroupSize: 8,
  },
  {
    kernel: "matmulInt",
    find: "BITS == 4u && k % 2u == 1u",
    replace: "false",
    why: "the upper half of a word is left out",
    subgroupSize: 8,
  },
  {
    kernel: "matmulInt",
    find: "k < end",
    replace: "k + 1u < end",
    why: "the last vector of a group is left out",
    subgroupSize: 8,
  },
  { kernel: "matmulInt", find: "min(rows, 8u)", replace: "min(rows, 7u)", why: "a row is not stored", subgroupSize: 8 },
  { kernel: "matmulIntTiled", find: "first < K4", replace: "first + 8u < K4", why: "the last step is left out" },
  {
    kernel: "matmulIntTiled",
    find: "n + i < params.N",
    replace: "n + i <= params.N",
    why: "y is written over a row's end",
  },
  {
    kernel: "matmulIntTiled",
    find: "(g % 2u))) << 16u",
    replace: "(0u))) << 16u",
    why: "odd groups have the scale of even ones",
  },
];
