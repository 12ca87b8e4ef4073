import fc from "fast-check";
import { confidence } from "../../src/tensor/index.ts";
import { philox } from "../../src/tensor/philox.ts";
import { defineCase, filled, type Mutant, sizes } from "../support/opCase.ts";

const seed = 0xdeadbeef;
const counter = 7;

/** Gumbel noise of row n, id v, in f64 from the same words as the kernel's. */
function gumbel(n: number, v: number): number {
  const w = ((philox([n, Math.floor(v / 4), 0, 0], [seed, counter])[v % 4]! >>> 9) + 0.5) / 2 ** 23;
  return -Math.log(-Math.log1p(-w));
}

const isBanned = (banned: ArrayLike<number>, v: number): boolean => ((banned[v >>> 5]! >>> (v & 31)) & 1) === 1;

const variants = [
  { name: "confidence, argmax", temperature: 0, bans: false, integers: false },
  { name: "confidence, ties", temperature: 0, bans: true, integers: true },
  { name: "confidence, drawn", temperature: 0.8, bans: false, integers: false },
  { name: "confidence, drawn, with bans", temperature: 1.5, bans: true, integers: false },
];

export default variants.map(({ name, temperature, bans, integers }) =>
  defineCase({
    name,
    params: fc.record({ N: sizes(40), V: sizes(260) }),
    always: [
      { N: 5, V: 1024 },
      { N: 3, V: 1027 },
      { N: 90, V: 6 },
    ],
    inputs: ({ N, V }) => ({
      logits: { shape: [N, V], draw: (random) => (integers ? random.int(3) : 3 * random.normal()) },
      banned: { shape: [Math.ceil(V / 32)], dtype: "u32", draw: (random) => (random.bits() & random.bits()) >>> 0 },
    }),
    reference: ({ logits, banned }, { N, V }) => {
      const ids = filled([N], () => 0);
      const probabilities = filled([N], (n) => {
        const row = logits!.data.slice(n * V, n * V + V).map((x, v) => (bans && isBanned(banned!.data, v) ? -1e30 : x));
        const scores = row.map((x, v) => (temperature ? x + temperature * gumbel(n, v) : x));
        const id = scores.indexOf(scores.reduce((a, b) => Math.max(a, b)));
        const top = row.reduce((a, b) => Math.max(a, b));
        ids.data[n] = id;
        return Math.exp(row[id]! - top) / row.reduce((total, x) => total + Math.exp(x - top), 0);
      });
      return { ids, confidence: probabilities };
    },
    run: ({ logits, banned }) => confidence(logits!, { temperature, seed, counter, banned: bans ? banned : undefined }),
    tolerance: 1e-5,
    edges: [
      { params: { N: 2, V: 8 }, values: { logits: [0], banned: [0] } },
      { params: { N: 3, V: 9 }, values: { logits: [1e4, -1e4, 9990], banned: [4] } },
      { params: { N: 3, V: 12 }, values: { logits: [-1e4, -1e4, -1e4, -1e4], banned: [1] } },
      { params: { N: 2, V: 1 }, values: { logits: [3], banned: [0] } },
    ],
    flops: ({ N, V }) => 6 * N * V,
    bytes: ({ N, V }) => 4 * N * V,
    bench: [{ N: 1024, V: 1024 }],
  }),
);

/** Planted bugs that the checks above must catch. */
export const mutants: readonly Mutant[] = [
  {
    kernel: "confidence",
    find: "let better = score > best;",
    replace: "let better = score >= best;",
    why: "a lane takes the last of equal logits",
  },
  {
    kernel: "confidence",
    find: "select(Element(-3e38), -column, best == Element(top))",
    replace: "-column",
    why: "the lowest id of all lanes, not of those with the best score",
  },
  {
    kernel: "confidence",
    find: "bestLogit = select(bestLogit, x, better);",
    replace: "bestLogit = select(bestLogit, score, better);",
    why: "the confidence is that of the noisy logit",
  },
  { kernel: "confidence", find: "round < 10u", replace: "round < 9u", why: "one round of Philox is missing" },
  {
    kernel: "confidence",
    find: "(middle >> 16u) + (carry >> 16u)",
    replace: "(middle >> 16u)",
    why: "the carry of the long product is lost",
  },
];
