import fc from "fast-check";
import { attention } from "../../src/tensor/index.ts";
import { defineCase, filled, type Mutant, type OpCase, sizes } from "../support/opCase.ts";

type Params = { B: number; Tq: number; Tk: number; H: number; D: number };

/** A case of attention, by whichever function computes it. */
export const attentionCase = (
  name: string,
  run: typeof attention,
  runs: Pick<OpCase<Params>, "params" | "always" | "edges" | "bench">,
): OpCase<Params> =>
  defineCase<Params>({
    name,
    ...runs,
    inputs: ({ B, Tq, Tk, H, D }) => ({
      q: { shape: [B, Tq, H, D] },
      k: { shape: [B, Tk, H, D] },
      v: { shape: [B, Tk, H, D] },
    }),
    reference: ({ q, k, v }, { B, Tq, Tk, H, D }) => {
      const o = filled([B, Tq, H, D], () => 0);
      const at = (b: number, T: number, t: number, h: number) => ((b * T + t) * H + h) * D;
      for (let b = 0; b < B; b++)
        for (let h = 0; h < H; h++)
          for (let i = 0; i < Tq; i++) {
            const query = at(b, Tq, i, h);
            const scores = Array.from({ length: Tk }, (_, j) => {
              let sum = 0;
              for (let d = 0; d < D; d++) sum += q!.data[query + d]! * k!.data[at(b, Tk, j, h) + d]!;
              return sum / Math.sqrt(D);
            });
            const most = Math.max(...scores);
            const total = scores.reduce((sum, score) => sum + Math.exp(score - most), 0);
            scores.forEach((score, j) => {
              const p = Math.exp(score - most) / total;
              for (let d = 0; d < D; d++) o.data[query + d]! += p * v!.data[at(b, Tk, j, h) + d]!;
            });
          }
      return { o };
    },
    run: ({ q, k, v }) => ({ o: run(q!, k!, v!) }),
    differentiable: ["q", "k", "v"],
    tolerance: 2e-5,
    reason: "scores are sums of up to 128 products, and exp turns their absolute error into a relative one",
    gradientTolerance: 1e-3,
    flops: ({ B, Tq, Tk, H, D }) => 4 * B * H * Tq * Tk * D,
    bytes: ({ B, Tq, Tk, H, D }) => 4 * B * H * D * (2 * Tq + 2 * Tk),
  });

export default [
  attentionCase("attention", attention, {
    params: fc.record({
      B: fc.integer({ min: 1, max: 2 }),
      Tq: sizes(70),
      Tk: sizes(70),
      H: fc.integer({ min: 1, max: 3 }),
      D: fc.constantFrom(4, 8, 16, 24, 32, 64, 72, 128),
    }),
    always: [
      { B: 2, Tq: 33, Tk: 33, H: 2, D: 32 },
      { B: 1, Tq: 1, Tk: 70, H: 1, D: 32 },
      { B: 1, Tq: 40, Tk: 1, H: 2, D: 16 },
      // Whole tiles of keys and of queries.
      { B: 1, Tq: 16, Tk: 24, H: 1, D: 32 },
      { B: 1, Tq: 16, Tk: 24, H: 1, D: 64 },
    ],
    edges: [
      // Scores of ±141, beyond the range of exp: the softmax is one-hot, and nothing overflows.
      { params: { B: 1, Tq: 5, Tk: 9, H: 1, D: 32 }, values: { q: [5, -5, 5], k: [5, 5, -5, 5] } },
      { params: { B: 1, Tq: 5, Tk: 9, H: 1, D: 32 }, values: { q: [0], k: [0] } },
    ],
    bench: [
      { B: 16, Tq: 134, Tk: 134, H: 4, D: 32 },
      { B: 1, Tq: 256, Tk: 256, H: 16, D: 64 },
    ],
  }),
];

export const mutants: readonly Mutant[] = [
  {
    kernel: "attentionLanes32",
    find: "let shrink = exp2(m - top);",
    replace: "let shrink = vec4f(1.0);",
    why: "the sum is not rescaled when the maximum grows",
    subgroupSize: 8,
  },
  {
    kernel: "attentionBackwardQueryLanes32",
    find: "left > 7));",
    replace: "left > 8));",
    why: "the last key of a full tile is dropped",
    subgroupSize: 8,
  },
  {
    kernel: "attentionBackwardKeyLanes32",
    find: "dk[at[r] + c] = four_k[r] * params.scale;",
    replace: "dk[at[r] + c] = four_k[r];",
    why: "dk without the scale",
    subgroupSize: 8,
  },
];
