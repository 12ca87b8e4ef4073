import fc from "fast-check";
import { embedding, embeddingShards, int4, quantise, slice } from "../../src/tensor/index.ts";
import { defineCase, filled, type Mutant, sizes } from "../support/opCase.ts";

const cases = (["f32", "f16"] as const).map((dtype) =>
  defineCase({
    name: `embedding, ${dtype} table`,
    params: fc.record({ N: sizes(), V: sizes(300), C: sizes(70) }),
    always: [
      { N: 160, V: 1024, C: 128 },
      { N: 700, V: 3, C: 12 },
    ],
    inputs: ({ N, V, C }) => ({
      table: { shape: [V, C], dtype },
      // Half of the positions hold one id, as masks do.
      ids: { shape: [1, N], dtype: "u32", draw: (random) => (random.chance(0.5) ? V - 1 : random.int(V)) },
    }),
    reference: ({ table, ids }, { N, C }) => ({
      y: filled([1, N, C], (i) => table!.data[ids!.data[Math.floor(i / C)]! * C + (i % C)]!),
    }),
    run: ({ table, ids }) => ({ y: embedding(table!, ids!) }),
    differentiable: dtype === "f32" ? ["table"] : [],
    tolerance: 0,
    flops: () => 0,
    bytes: ({ N, C }) => 8 * N * C,
    bench: [{ N: 1344, V: 1024, C: 128 }],
  }),
);

/** A table in three parts: quantised, f32, quantised. */
const shards = defineCase({
  name: "embedding, shards",
  params: fc.record({ N: sizes(), V: fc.integer({ min: 3, max: 300 }), C: sizes(70) }),
  always: [{ N: 160, V: 1024, C: 128 }],
  inputs: ({ N, V, C }) => ({
    // What fixes a scale of 1 or −1 in int4, which then holds them exactly.
    table: { shape: [V, C], draw: (random, i) => (random.chance(0.5) ? 8 : 0) * (Math.floor(i / C) % 2 ? 1 : -1) },
    ids: { shape: [1, N], dtype: "u32", draw: (random) => random.int(V) },
  }),
  reference: ({ table, ids }, { N, C }) => ({
    y: filled([1, N, C], (i) => table!.data[ids!.data[Math.floor(i / C)]! * C + (i % C)]!),
  }),
  run: ({ table, ids }, { V }) => {
    const cuts = [0, Math.ceil(V / 3), Math.ceil((2 * V) / 3), V];
    const part = (i: number) => slice(table!, 0, cuts[i]!, cuts[i + 1]!);
    return { y: embeddingShards([quantise(part(0), int4), part(1), quantise(part(2), int4)], ids!) };
  },
  tolerance: 0,
  flops: () => 0,
  bytes: ({ N, C }) => 8 * N * C,
  bench: [{ N: 1344, V: 1024, C: 128 }],
});
export default [...cases, shards];

/** Planted bugs that the checks above must catch. */
export const mutants: readonly Mutant[] = [
  {
    kernel: "gatherRows",
    find: "let source = index[n] - params.first;",
    replace: "let source = n % params.rows;",
    why: "rows are copied without the index",
  },
  {
    kernel: "linkRowsSerial",
    find: "next[m] = head[n];",
    replace: "next[m] = 0u;",
    why: "only the last position of an id reaches the gradient",
  },
  { kernel: "gatherRows", find: "else if (!KEEP)", replace: "else", why: "a part overwrites what another wrote" },
  { kernel: "dequantiseRows", find: "else if (!KEEP)", replace: "else", why: "a part overwrites what another wrote" },
  { kernel: "sumChains", find: "sum += x", replace: "sum = x", why: "the chain is walked but not summed" },
];
