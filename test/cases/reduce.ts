import fc from "fast-check";
import { max, mean, sum, type Tensor } from "../../src/tensor/index.ts";
import { gradientOf } from "../support/gradientOf.ts";
import { defineCase, elements, filled, type Mutant, sizes, type Values } from "../support/opCase.ts";

/** Axes of (A, B, C), by name: a record of parameters holds no arrays. */
const axesOf = {
  all: undefined,
  first: [0],
  middle: [1],
  last: [-1],
  outer: [0, 2],
  leading: [0, 1],
  trailing: [1, 2],
} as const;
type Which = keyof typeof axesOf;

interface Reduction {
  readonly op: (x: Tensor, axes?: readonly number[], keepAxes?: boolean) => Tensor;
  readonly start: number;
  readonly combine: (a: number, b: number) => number;
  readonly finish: (result: number, count: number) => number;
}

const reductions: Readonly<Record<"sum" | "mean" | "max", Reduction>> = {
  sum: { op: sum, start: 0, combine: (a, b) => a + b, finish: (total) => total },
  mean: { op: mean, start: 0, combine: (a, b) => a + b, finish: (total, count) => total / count },
  max: { op: max, start: -Infinity, combine: Math.max, finish: (top) => top },
};

function reduced(
  { shape, data }: Values,
  which: Which,
  keepAxes: boolean,
  { start, combine, finish }: Reduction,
): Values {
  const axes = (axesOf[which] ?? [0, 1, 2]).map((axis) => (axis + 3) % 3);
  const withOnes = shape.map((n, i) => (axes.includes(i) ? 1 : n));
  const result = new Float64Array(elements(withOnes)).fill(start);
  data.forEach((value, i) => {
    const index = [Math.floor(i / (shape[1]! * shape[2]!)), Math.floor(i / shape[2]!) % shape[1]!, i % shape[2]!];
    const at = index.reduce((sofar, n, axis) => sofar * withOnes[axis]! + (axes.includes(axis) ? 0 : n), 0);
    result[at] = combine(result[at]!, value);
  });
  const count = data.length / result.length;
  return {
    shape: keepAxes ? withOnes : withOnes.filter((_, i) => !axes.includes(i)),
    data: result.map((value) => finish(value, count)),
  };
}

/** Small integers repeat, so rows have several maxima; the gradient is 1 at the first and 0 elsewhere. */
const ties = defineCase({
  name: "max, ties",
  params: fc.record({ N: sizes(40), C: sizes(70) }),
  always: [
    { N: 1, C: 2048 },
    { N: 3, C: 8 },
  ],
  inputs: ({ N, C }) => ({ x: { shape: [N, C], draw: (random) => random.int(4) - 5 } }),
  reference: ({ x }, { N, C }) => {
    const dx = filled([N, C], () => 0);
    const y = filled([N], (n) => {
      const row = x!.data.subarray(n * C, n * C + C);
      const top = Math.max(...row);
      dx.data[n * C + row.indexOf(top)] = 1;
      return top;
    });
    return { y, dx };
  },
  run: ({ x }) => ({ y: max(x!, [-1]), dx: gradientOf((leaf) => sum(max(leaf, [-1])), x!) }),
  tolerance: 0,
  edges: [
    { params: { N: 3, C: 9 }, values: { x: [-1e30] } },
    { params: { N: 2, C: 16 }, values: { x: [-1e38, -1e38, 1e38] } },
  ],
  flops: ({ N, C }) => N * C,
  bytes: ({ N, C }) => 4 * N * C,
  bench: [],
});

const cases = (Object.keys(reductions) as (keyof typeof reductions)[]).map((name) =>
  defineCase<{ A: number; B: number; C: number; which: Which; keepAxes: boolean }>({
    name,
    params: fc.record({
      A: sizes(20),
      B: sizes(33),
      C: sizes(70),
      which: fc.constantFrom(...(Object.keys(axesOf) as Which[])),
      keepAxes: fc.boolean(),
    }),
    always: [
      { A: 1, B: 1, C: 40000, which: "all", keepAxes: false },
      { A: 1, B: 1, C: 40001, which: "all", keepAxes: false },
      { A: 2, B: 1, C: 5003, which: "last", keepAxes: false },
      { A: 2, B: 300, C: 2, which: "leading", keepAxes: true },
      { A: 1, B: 1, C: 1, which: "all", keepAxes: true },
    ],
    inputs: ({ A, B, C }) => ({ x: { shape: [A, B, C] } }),
    reference: ({ x }, { which, keepAxes }) => ({ y: reduced(x!, which, keepAxes, reductions[name]) }),
    run: ({ x }, { which, keepAxes }) => ({ y: reductions[name].op(x!, axesOf[which], keepAxes) }),
    differentiable: ["x"],
    tolerance: 2e-5,
    reason: "sums of up to 40,000 normal variates cancel; their error grows with the largest partial sum",
    flops: ({ A, B, C }) => A * B * C,
    bytes: ({ A, B, C }) => 4 * A * B * C,
    bench: [
      { A: 2688, B: 1, C: 128, which: "last", keepAxes: false },
      { A: 1, B: 1536, C: 1024, which: "all", keepAxes: false },
      { A: 1536, B: 1, C: 1024, which: "first", keepAxes: false },
    ],
  }),
);
export default [...cases, ties];

/** Planted bugs that the checks above must catch. */
export const mutants: readonly Mutant[] = [
  {
    kernel: "sumRows",
    find: "min(start + params.length, params.columns)",
    replace: "start + params.length",
    why: "the last slice reads into the next row",
  },
  {
    kernel: "sumRows",
    find: "i / params.slices * params.columns",
    replace: "i * params.columns",
    why: "slices are taken for rows",
  },
  { kernel: "reduceColumns", find: "sum * params.scale", replace: "sum", why: "the mean over leading axes is a sum" },
  {
    kernel: "reduceColumns",
    find: "min(n + 16u, end)",
    replace: "n + 16u",
    why: "rows behind the end of a slice are counted twice",
  },
  {
    kernel: "maxRows",
    find: "if (value > best)",
    replace: "if (value >= best)",
    why: "a lane takes the last of equal maxima",
  },
  {
    kernel: "maxRows",
    find: "select(-f32(params.C), -f32(column), best == top)",
    replace: "-f32(column)",
    why: "the lowest column of all lanes, not of those with the maximum",
  },
  {
    kernel: "maxRowsBackward",
    find: "gradient * oneHot(c, id)",
    replace: "oneHot(c, id)",
    why: "the gradient from above is forgotten",
  },
];
