import fc from "fast-check";
import { dequantise, quantise, type QuantisedFormat } from "../../src/tensor/index.ts";
import { dequantiseRows, quantiseRows } from "../../src/tensor/quantisation.ts";
import { defineCase, filled, type Mutant, sizes } from "../support/opCase.ts";

type Params = { N: number; K: number; bits: number; group: number };
const formatOf = ({ bits, group }: Params): QuantisedFormat => ({ bits: bits as 4 | 8, group });

/** The processor's quantiser is the reference of the GPU's; its own properties are in test/tensor/quantisation.test.ts. */
export default defineCase<Params>({
  name: "quantise",
  params: fc.record({
    N: sizes(40),
    K: sizes(300),
    bits: fc.constantFrom(4, 8),
    group: fc.constantFrom(32, 64, 128),
  }),
  always: [
    { N: 3, K: 129, bits: 4, group: 32 },
    { N: 9, K: 320, bits: 8, group: 64 },
  ],
  inputs: ({ N, K }) => ({
    // Rows of several magnitudes, and zeros here and there.
    w: {
      shape: [N, K],
      draw: (random, i) => (random.chance(0.05) ? 0 : random.normal() * 10 ** (Math.floor(i / K) % 5)),
    },
  }),
  reference: ({ w }, params) => {
    const { N, K } = params;
    const values = dequantiseRows(quantiseRows(w!.data, N, K, formatOf(params)), N, K, formatOf(params));
    return { y: filled([N, K], (i) => values[i]!) };
  },
  run: ({ w }, params) => ({ y: dequantise(quantise(w!, formatOf(params))) }),
  tolerance: 0,
  // The second value lies half a step over the largest integer, which would be 8.
  edges: [{ params: { N: 1, K: 32, bits: 4, group: 32 }, values: { w: [-8, 7.5, 3, -2.5, 2.5, 0, -0.5, 0.5] } }],
  flops: ({ N, K }) => 4 * N * K,
  bytes: ({ N, K }) => 12 * N * K,
  bench: [{ N: 1024, K: 1024, bits: 4, group: 64 }],
});

export const mutants: readonly Mutant[] = [
  {
    kernel: "quantiseRows",
    find: "min(i32(LEVELS) - 1, i32(round(w[n * params.K + k + i] * inverse)))",
    replace: "i32(round(w[n * params.K + k + i] * inverse))",
    why: "half a step over the largest integer becomes the smallest",
  },
  {
    kernel: "quantiseRows",
    find: "bits + 1u,",
    replace: "bits,",
    why: "scales are rounded down, and steps too small",
  },
  {
    kernel: "quantiseRows",
    find: "g + 1u) << 16u",
    replace: "g) << 16u",
    why: "odd groups have the scale of even ones",
  },
  {
    kernel: "dequantiseRows",
    find: "(c / params.groupSize) % 2u == 1u",
    replace: "false",
    why: "odd groups are read with even scales",
  },
];
