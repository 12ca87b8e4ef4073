import fc from "fast-check";
import { attention, type Tensor } from "../../src/tensor/index.ts";
import { defineCase, filled, type InputSpec, type Mutant, type OpCase, sizes, type Values } from "../support/opCase.ts";

/** Sizes; P is the length of the prefix (0: none), `ragged` whether each batch row has its own number of keys. */
type Params = { B: number; Tq: number; Tk: number; H: number; D: number; P: number; ragged: boolean };

/** A case of attention, by whichever function computes it. */
export const attentionCase = (
  name: string,
  run: typeof attention,
  runs: Pick<OpCase<Params>, "params" | "always" | "edges" | "bench">,
): OpCase<Params> =>
  defineCase<Params>({
    name,
    ...runs,
    inputs: ({ B, Tq, Tk, H, D, P, ragged }) => ({
      q: { shape: [B, Tq, H, D] },
      k: { shape: [B, Tk, H, D] },
      v: { shape: [B, Tk, H, D] },
      ...(ragged && { lengths: counts(B, Tk) }),
      ...(P && { prefixK: { shape: [B, P, H, D] }, prefixV: { shape: [B, P, H, D] } }),
      ...(P && ragged && { prefixLengths: counts(B, P) }),
    }),
    reference: (inputs, { B, Tq, Tk, H, D, P }) => {
      const { q, k, v, lengths, prefixK, prefixV, prefixLengths } = inputs as Record<string, Values>;
      const o = filled([B, Tq, H, D], () => 0);
      const at = (b: number, T: number, t: number, h: number) => ((b * T + t) * H + h) * D;
      for (let b = 0; b < B; b++)
        for (let h = 0; h < H; h++) {
          // The keys and values that there are, as tensor and place of its first channel.
          const places = (x: Values | undefined, T: number, count = T) =>
            Array.from({ length: count }, (_, t) => ({ x: x!, at: at(b, T, t, h) }));
          const keys = [...places(prefixK, P, prefixLengths?.data[b]), ...places(k, Tk, lengths?.data[b])];
          const values = [...places(prefixV, P, prefixLengths?.data[b]), ...places(v, Tk, lengths?.data[b])];
          for (let i = 0; i < Tq; i++) {
            const query = at(b, Tq, i, h);
            const scores = keys.map((key) => {
              let sum = 0;
              for (let d = 0; d < D; d++) sum += q!.data[query + d]! * key.x.data[key.at + d]!;
              return sum / Math.sqrt(D);
            });
            const most = Math.max(...scores);
            const total = scores.reduce((sum, score) => sum + Math.exp(score - most), 0);
            scores.forEach((score, j) => {
              const p = Math.exp(score - most) / total;
              const value = values[j]!;
              for (let d = 0; d < D; d++) o.data[query + d]! += p * value.x.data[value.at + d]!;
            });
          }
        }
      return { o };
    },
    run: (inputs, { P }) => {
      const { q, k, v, lengths, prefixK, prefixV, prefixLengths } = inputs as Record<string, Tensor>;
      const padded = (by: Tensor | undefined) => by && { lengths: by };
      const prefix = P ? { k: prefixK!, v: prefixV!, ...padded(prefixLengths) } : undefined;
      return { o: run(q!, k!, v!, { ...padded(lengths), ...(prefix && { prefix }) }) };
    },
    differentiable: ["q", "k", "v"],
    tolerance: 2e-5,
    reason: "scores are sums of up to 128 products, and exp turns their absolute error into a relative one",
    gradientTolerance: 1e-3,
    // With one key the gradients of q and k are (dy·v − y·dy)·k/√D and ·q/√D, which is 0, of two sums that a driver may
    // contract differently. Each is about √D, twice that is no rarity, nor is a k or q of 2; k sums over all queries.
    cancelling: ({ Tq, Tk, P, ragged }) => (Tk + P === 1 || ragged ? 4 * Math.sqrt(Tq) : 0),
    flops: ({ B, Tq, Tk, H, D, P }) => 4 * B * H * Tq * (P + Tk) * D,
    bytes: ({ B, Tq, Tk, H, D, P }) => 4 * B * H * D * (2 * Tq + 2 * (P + Tk)),
  });

/** How many of `most` keys each batch row has, none and all included. */
const counts = (B: number, most: number): InputSpec => ({
  shape: [B],
  dtype: "u32",
  draw: (random) => random.int(most + 1),
});

const params = fc.record({
  B: fc.integer({ min: 1, max: 3 }),
  Tq: sizes(70),
  Tk: sizes(70),
  H: fc.integer({ min: 1, max: 3 }),
  D: fc.constantFrom(4, 8, 16, 24, 32, 64, 72, 128),
  P: fc.constant(0),
  ragged: fc.boolean(),
});
const whole = { P: 0, ragged: false };

const plain = attentionCase("attention", attention, {
  params,
  always: [
    { B: 2, Tq: 33, Tk: 33, H: 2, D: 32, ...whole },
    { B: 1, Tq: 1, Tk: 70, H: 1, D: 32, ...whole },
    { B: 1, Tq: 40, Tk: 1, H: 2, D: 16, ...whole },
    // Whole tiles of keys and of queries.
    { B: 1, Tq: 16, Tk: 24, H: 1, D: 32, ...whole },
    { B: 1, Tq: 16, Tk: 24, H: 1, D: 64, ...whole },
    { B: 3, Tq: 37, Tk: 41, H: 2, D: 32, P: 0, ragged: true },
    // More heads than one launch of the derivative takes.
    { B: 1, Tq: 256, Tk: 256, H: 33, D: 4, ...whole },
  ],
  edges: [
    // Scores of ±141, beyond the range of exp: the softmax is one-hot, and nothing overflows.
    { params: { B: 1, Tq: 5, Tk: 9, H: 1, D: 32, ...whole }, values: { q: [5, -5, 5], k: [5, 5, -5, 5] } },
    { params: { B: 1, Tq: 5, Tk: 9, H: 1, D: 32, ...whole }, values: { q: [0], k: [0] } },
    // A batch row without keys gives 0, whatever stands in its padding.
    { params: { B: 2, Tq: 5, Tk: 9, H: 1, D: 32, P: 0, ragged: true }, values: { lengths: [0, 9] } },
    { params: { B: 2, Tq: 5, Tk: 9, H: 1, D: 16, P: 0, ragged: true }, values: { lengths: [4, 0] } },
  ],
  bench: [
    { B: 16, Tq: 134, Tk: 134, H: 4, D: 32, ...whole },
    { B: 1, Tq: 256, Tk: 256, H: 16, D: 64, ...whole },
  ],
});

export default [
  plain,
  {
    ...attentionCase("attention with a prefix", attention, {
      params: params.chain((drawn) => sizes(40).map((P) => ({ ...drawn, P }))),
      always: [
        { B: 2, Tq: 33, Tk: 33, H: 2, D: 32, P: 12, ragged: false },
        { B: 3, Tq: 20, Tk: 20, H: 1, D: 32, P: 17, ragged: true },
        { B: 2, Tq: 20, Tk: 9, H: 2, D: 64, P: 16, ragged: true },
      ],
      edges: [
        // The largest scores in the prefix, then among the fresh keys; one part or the other empty.
        {
          params: { B: 1, Tq: 5, Tk: 9, H: 1, D: 32, P: 4, ragged: false },
          values: { q: [2], k: [1, 0, -1], prefixK: [2, 3, 2.5, 1, 3] },
        },
        {
          params: { B: 1, Tq: 5, Tk: 9, H: 1, D: 32, P: 4, ragged: false },
          values: { q: [2], k: [2, 3, 2.5, 1, 3], prefixK: [1, 0, -1] },
        },
        {
          params: { B: 3, Tq: 5, Tk: 9, H: 1, D: 32, P: 4, ragged: true },
          values: { lengths: [0, 9, 0], prefixLengths: [4, 0, 0] },
        },
      ],
      bench: [{ B: 16, Tq: 64, Tk: 64, H: 4, D: 32, P: 70, ragged: false }],
    }),
    differentiable: ["q", "k", "v", "prefixK", "prefixV"],
  },
  {
    // A cache needs no gradient, but the queries' must go through it.
    ...attentionCase("attention with a constant prefix", attention, {
      params: params.chain((drawn) => sizes(40).map((P) => ({ ...drawn, P }))),
      always: [{ B: 2, Tq: 33, Tk: 33, H: 2, D: 32, P: 12, ragged: false }],
      bench: [],
    }),
    differentiable: ["q"],
  },
];

export const mutants: readonly Mutant[] = [
  {
    kernel: "attentionLanes32",
    find: "let shrink = exp2(m - top);",
    replace: "let shrink = vec2f(1.0);",
    why: "the sum is not rescaled when the maximum grows",
    subgroupSize: 8,
  },
  {
    kernel: "attentionLanes32",
    find: "z = vec2f(1.0);",
    replace: "z = vec2f(2.0);",
    why: "the prefix weighs twice",
    subgroupSize: 8,
  },
  {
    kernel: "attentionBackwardQueryLanes32",
    find: "j < count; j++",
    replace: "j + 1 < count; j++",
    why: "the last key is dropped",
    subgroupSize: 8,
  },
  {
    kernel: "attentionBackwardQueryLanes",
    find: "let head = (params.first + group.y) % params.H;",
    replace: "let head = group.y % params.H;",
    why: "the second launch reads the first one's heads",
    subgroupSize: 8,
  },
  {
    kernel: "attentionBackwardKeyLanes32",
    find: "dk[at[r] + c] = two_k[r] * params.scale;",
    replace: "dk[at[r] + c] = two_k[r];",
    why: "dk without the scale",
    subgroupSize: 8,
  },
  {
    kernel: "attentionBackwardKeyLanes32",
    find: "select(vec2f(), exp2(score(&key, query) - lse), here)",
    replace: "exp2(score(&key, query) - lse)",
    why: "padding gets a gradient",
    subgroupSize: 8,
  },
];
