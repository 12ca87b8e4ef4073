import fc from "fast-check";
import { select } from "../../src/tensor/index.ts";
import { defineCase, filled, type Mutant, sizes } from "../support/opCase.ts";

const maskId = 3;

export default defineCase({
  name: "select",
  params: fc
    .record({
      B: sizes(5),
      T: sizes(200),
      from: fc.nat(100),
      length: sizes(200),
      count: fc.integer({ min: 0, max: 40 }),
      refine: fc.boolean(),
      gate: fc.constantFrom(0, 0.5),
      lates: fc.integer({ min: 0, max: 2 }),
    })
    .map(({ B, T, from, length, count, refine, gate, lates }) => ({
      B,
      T,
      start: from % T,
      end: Math.min(T, (from % T) + length),
      count,
      refine,
      gate,
      lates,
    })),
  always: [
    { B: 2, T: 128, start: 0, end: 128, count: 2, refine: true, gate: 0, lates: 2 },
    { B: 1, T: 4096, start: 4000, end: 4096, count: 30, refine: true, gate: 0.5, lates: 1 },
    { B: 3, T: 20, start: 4, end: 12, count: 100, refine: false, gate: 0, lates: 0 },
  ],
  inputs: ({ B, T }) => ({
    canvas: { shape: [B, T], dtype: "u32", draw: (random) => (random.chance(0.5) ? maskId : random.int(8)) },
    predicted: { shape: [B, T], dtype: "u32", draw: (random) => random.int(8) },
    confidence: { shape: [B, T], draw: (random) => random.int(9) / 8 }, // Eighths: equal ones are frequent.
  }),
  reference: ({ canvas, predicted, confidence }, { B, T, start, end, count, refine, gate, lates }) => {
    const isLate = (i: number) => Number(predicted!.data[i]! >= 8 - lates);
    const next = filled([B, T], (i) => canvas!.data[i]!);
    const changes = filled([B, T], (i) => (canvas!.data[i] === maskId ? 3 : 0));
    for (let b = 0; b < B; b++) {
      const block = Array.from({ length: end - start }, (_, i) => b * T + start + i);
      const masked = block.filter((i) => canvas!.data[i] === maskId);
      masked.sort((i, j) => isLate(i) - isLate(j) || confidence!.data[j]! - confidence!.data[i]! || i - j);
      for (const i of masked.slice(0, count)) {
        next.data[i] = predicted!.data[i]!;
        changes.data[i] = 1;
      }
      for (const i of block)
        if (
          refine &&
          canvas!.data[i] !== maskId &&
          confidence!.data[i]! >= gate &&
          predicted!.data[i] !== canvas!.data[i]
        ) {
          next.data[i] = predicted!.data[i]!;
          changes.data[i] = 2;
        }
    }
    return { canvas: next, changes };
  },
  run: ({ canvas, predicted, confidence }, { B: _, T: __, lates, ...options }) =>
    select(
      { canvas: canvas!, predicted: predicted!, confidence: confidence! },
      {
        maskId,
        ...options,
        late: [7, 6].slice(0, lates),
      },
    ),
  tolerance: 0,
  flops: ({ B, T, start, end }) => B * T * (end - start),
  bytes: ({ B, T }) => 20 * B * T,
  bench: [{ B: 8, T: 128, start: 0, end: 128, count: 4, refine: true, gate: 0, lates: 2 }],
});

/** Planted bugs that the checks above must catch. */
export const mutants: readonly Mutant[] = [
  {
    kernel: "select",
    find: "(other == own && q < p)",
    replace: "(other == own && q > p)",
    why: "of equals the highest position is taken",
  },
  {
    kernel: "select",
    find: "before && canvas[row + q] == params.maskId",
    replace: "before",
    why: "visible positions take part in the ranking",
  },
  {
    kernel: "select",
    find: "replace && proposal != id",
    replace: "replace",
    why: "a token replaced by itself counts as a change",
  },
  {
    kernel: "select",
    find: "select(ownLate, first, ownLate == otherLate)",
    replace: "first",
    why: "late ids are not put off",
  },
  { kernel: "select", find: "own >= params.gate", replace: "own > params.gate", why: "the gate itself is excluded" },
];
