import fc from "fast-check";
import { pad, slice } from "../../src/tensor/index.ts";
import { defineCase, filled, type Mutant, sizes } from "../support/opCase.ts";

type Params = { A: number; n: number; C: number; axis: number; before: number; after: number };

const params = fc.record({
  A: sizes(9),
  n: sizes(40),
  C: sizes(33),
  axis: fc.constantFrom(0, 1, 2, -1),
  before: fc.integer({ min: 0, max: 5 }),
  after: fc.integer({ min: 0, max: 5 }),
});

/** Sizes, the axis from 0, and how an index of the larger tensor along the axis is one of the smaller. */
const layout = ({ A, n, C, axis, before, after }: Params) => {
  const small = [A, n, C];
  const at = (axis + 3) % 3;
  const large = small.map((size, i) => (i === at ? size + before + after : size));
  const inner = large.slice(at + 1).reduce((product, size) => product * size, 1);
  return { small, large, at, inner };
};

export default [
  defineCase<Params>({
    name: "pad",
    params,
    inputs: (p) => ({ x: { shape: layout(p).small } }),
    reference: ({ x }, p) => {
      const { small, large, at, inner } = layout(p);
      const y = filled(large, (i) => {
        const j = (Math.floor(i / inner) % large[at]!) - p.before;
        const a = Math.floor(i / (inner * large[at]!));
        return j < 0 || j >= small[at]! ? 0 : x!.data[(a * small[at]! + j) * inner + (i % inner)]!;
      });
      return { y };
    },
    run: ({ x }, { axis, before, after }) => ({ y: pad(x!, axis, before, after) }),
    differentiable: ["x"],
    tolerance: 0,
    flops: () => 0,
    bytes: (p) => 4 * (p.A * p.n * p.C + layout(p).large.reduce((a, b) => a * b, 1)),
    bench: [{ A: 16, n: 64, C: 128, axis: 1, before: 53, after: 0 }],
  }),
  defineCase<Params>({
    name: "slice",
    params,
    inputs: (p) => ({ x: { shape: layout(p).large } }),
    reference: ({ x }, p) => {
      const { small, large, at, inner } = layout(p);
      const y = filled(small, (i) => {
        const j = (Math.floor(i / inner) % small[at]!) + p.before;
        const a = Math.floor(i / (inner * small[at]!));
        return x!.data[(a * large[at]! + j) * inner + (i % inner)]!;
      });
      return { y };
    },
    run: ({ x }, p) => {
      const { small, at } = layout(p);
      return { y: slice(x!, p.axis, p.before, p.before + small[at]!) };
    },
    differentiable: ["x"],
    tolerance: 0,
    flops: () => 0,
    bytes: (p) => 8 * p.A * p.n * p.C,
    bench: [],
  }),
];

export const mutants: readonly Mutant[] = [
  { kernel: "pad", find: "if (j < params.n)", replace: "if (j <= params.n)", why: "one element too many" },
  { kernel: "pad", find: "- params.before", replace: "", why: "the start is forgotten" },
];
