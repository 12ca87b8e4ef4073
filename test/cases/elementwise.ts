/** One case per row of the elementwise table, from the f64 function in the row, and one per way of broadcasting. */
import fc from "fast-check";
import { binaryRows, unaryRows } from "../../src/tensor/elementwise.ts";
import * as ops from "../../src/tensor/index.ts";
import { type Tensor } from "../../src/tensor/index.ts";
import { defineCase, elements, filled, type InputSpec, type OpCase, sizes } from "../support/opCase.ts";

type Draw = NonNullable<InputSpec["draw"]>;
type AnyCase = OpCase<Record<string, number | boolean | string>>;

const positive: Draw = (random) => 0.3 + 2 * random.uniform();
const awayFromZero: Draw = (random) => random.pick([-1, 1]) * (0.3 + 2 * random.uniform());
const wide: Draw = (random) => 4 * random.normal();
const draws: Readonly<Record<string, Draw>> = {
  log: positive,
  sqrt: positive,
  rsqrt: positive,
  relu: awayFromZero,
  abs: awayFromZero,
  tanh: wide,
  sigmoid: wide,
  silu: wide,
  gelu: wide,
  geluErf: wide,
  sin: wide,
  cos: wide,
  siluMul: wide,
};
/** Finite and right at every magnitude; ±0.001 shows a loss of small values. */
const extremes = [1e4, -1e4, 100, -100, 30, -30, 12, -12, 5, -5, 0.001, -0.001];
const small = [30, -80, 5, -5, 0.001, -0.001];
const edges: Readonly<Record<string, readonly number[]>> = {
  neg: extremes,
  exp: small.map((x) => Math.min(x, 5)),
  sqrt: [1e8, 1e-2, 1, 4],
  rsqrt: [1e8, 1e-2, 1, 4],
  log: [1e30, 1e-2, 1],
  relu: extremes,
  square: extremes,
  abs: extremes,
  tanh: extremes,
  sigmoid: extremes,
  silu: extremes,
  gelu: extremes,
  geluErf: extremes,
};

const unaryCases = Object.entries(unaryRows).map(([name, row]) => {
  const s = name === "addNumber" || name === "mulNumber" ? 1.25 : 0;
  const run = (x: Tensor): Tensor =>
    name === "addNumber"
      ? ops.add(x, s)
      : name === "mulNumber"
        ? ops.mul(x, s)
        : (ops as unknown as Record<string, (x: Tensor) => Tensor>)[name]!(x);
  return defineCase({
    name,
    params: fc.record({ N: sizes(), C: sizes() }),
    always: [
      { N: 1, C: 1 },
      { N: 67, C: 129 },
    ],
    inputs: ({ N, C }) => ({ x: { shape: [N, C], draw: draws[name] ?? ((random) => random.normal()) } }),
    reference: ({ x }) => ({ y: filled(x!.shape, (i) => row.f(x!.data[i]!, s)) }),
    run: ({ x }) => ({ y: run(x!) }),
    differentiable: ["x"],
    tolerance: 2e-6,
    edges: edges[name] ? [{ params: { N: 1, C: edges[name].length }, values: { x: edges[name] } }] : [],
    flops: ({ N, C }) => N * C,
    bytes: ({ N, C }) => 8 * N * C,
    bench: [
      { N: 2688, C: 128 },
      { N: 2688, C: 512 },
      { N: 4096, C: 1024 },
    ],
  });
});

/** Shapes of a and b, from sizes; each is a path of its own through the host's plan. */
const broadcasts: Readonly<Record<string, (N: number, C: number) => readonly [readonly number[], readonly number[]]>> =
  {
    same: (N, C) => [
      [N, C],
      [N, C],
    ],
    row: (N, C) => [[N, C], [C]],
    rowOfVectors: (N, C) => [[N, 4 * C], [4 * C]],
    column: (N, C) => [
      [N, C],
      [N, 1],
    ],
    scalar: (N, C) => [[N, C], []],
    outer: (N, C) => [
      [N, 1],
      [1, C],
    ],
    modulation: (N, C) => [
      [3, N, 4 * C],
      [3, 1, 4 * C],
    ],
    first: (N, C) => [[C], [2, N, C]],
    sixAxes: (N, C) => [
      [2, 1, 2, 1, Math.min(N, 5), 1],
      [1, 3, 1, 2, 1, Math.min(C, 7)],
    ],
  };

const broadcast = (a: readonly number[], b: readonly number[]): number[] => {
  const rank = Math.max(a.length, b.length);
  return Array.from({ length: rank }, (_, i) => Math.max(a[i - rank + a.length] ?? 1, b[i - rank + b.length] ?? 1));
};

const at = (out: readonly number[], shape: readonly number[], i: number): number => {
  let index = 0;
  for (let axis = out.length - 1, rest = i, stride = 1; axis >= 0; axis--) {
    const own = shape[axis - out.length + shape.length] ?? 1;
    index += own === 1 ? 0 : (rest % out[axis]!) * stride;
    stride *= own;
    rest = Math.floor(rest / out[axis]!);
  }
  return index;
};

const binaryCases = Object.entries(binaryRows).flatMap(([name, row]) =>
  Object.entries(broadcasts)
    // Every way of broadcasting for two rows, the main ways for the others.
    .filter(([way]) => name === "mul" || name === "siluMul" || way === "same" || way === "rowOfVectors")
    .map(([way, shapes]) =>
      defineCase({
        name: `${name}, ${way}`,
        params: fc.record({ N: sizes(70), C: sizes(70) }),
        always: [
          { N: 1, C: 1 },
          { N: 33, C: 65 },
          { N: 130, C: 32 },
        ],
        inputs: ({ N, C }) => {
          const [a, b] = shapes(N, C);
          const draw = draws[name] ?? ((random) => random.normal());
          return { a: { shape: a, draw }, b: { shape: b, draw: name === "div" ? awayFromZero : draw } };
        },
        reference: ({ a, b }) => {
          const out = broadcast(a!.shape, b!.shape);
          return { y: filled(out, (i) => row.f(a!.data[at(out, a!.shape, i)]!, b!.data[at(out, b!.shape, i)]!)) };
        },
        run: ({ a, b }) => ({ y: (ops as unknown as Record<string, (a: Tensor, b: Tensor) => Tensor>)[name]!(a!, b!) }),
        differentiable: ["a", "b"],
        tolerance: 2e-6,
        edges: way === "same" ? [{ params: { N: 1, C: 12 }, values: { a: extremes, b: [1.5, -2, 1, 0.25] } }] : [],
        flops: ({ N, C }) => elements(broadcast(...shapes(N, C))),
        bytes: ({ N, C }) => {
          const [a, b] = shapes(N, C);
          return 4 * (elements(a) + elements(b) + elements(broadcast(a, b)));
        },
        bench: [
          { N: 2688, C: 128 },
          { N: 2688, C: 512 },
          { N: 4096, C: 1024 },
        ],
      }),
    ),
);

const cases: readonly AnyCase[] = [...unaryCases, ...binaryCases] as unknown as readonly AnyCase[];
export default cases;

export const mutants = [
  { kernel: "elementwiseUnary", find: "i += LANES", replace: "i += LANES + 1u", why: "vectors between are skipped" },
  {
    kernel: "elementwiseUnary",
    find: "min(params.count,",
    replace: "min(params.count - 1u,",
    why: "the last vector is missing",
  },
  {
    kernel: "elementwiseUnary",
    find: "1.0 / (1.0 + exp(min(-x, vec4f(88.0))))",
    replace: "exp(x) / (1.0 + exp(x))",
    why: "NaN at large x",
  },
  { kernel: "elementwiseUnary", find: "x > vec4f(0.0)", replace: "x < vec4f(0.0)", why: "tails exchanged" },
  {
    kernel: "elementwiseUnaryBackward",
    find: "1.0 + x * (1.0 - sigma))",
    replace: "1.0 + (1.0 - sigma))",
    why: "slope of silu without x",
  },
  { kernel: "elementwiseUnaryBackward", find: "0.134145", replace: "0.044715", why: "slope of the cube without its 3" },
  {
    kernel: "elementwiseBinary",
    find: "rest /= params.n1",
    replace: "rest /= params.n2",
    why: "wrong base of a digit",
  },
  {
    kernel: "elementwiseBinary",
    find: "at.y + c * params.bC",
    replace: "at.y + c",
    why: "a repeated column axis is walked",
  },
  {
    kernel: "elementwiseBinary",
    find: "(group.y + 1u) * params.rows",
    replace: "(group.y + 1u) * params.rows - 1u",
    why: "last row of a slice is missing",
  },
  {
    kernel: "elementwiseBinaryBackward",
    find: "db[i] = slopeB(d, valueA, valueB)",
    replace: "db[i] = slopeA(d, valueA, valueB)",
    why: "the operands' gradients exchanged",
  },
  {
    kernel: "elementwiseBinaryBackward",
    find: "1.0 + x * (1.0 - sigma)",
    replace: "1.0 - x * (1.0 - sigma)",
    why: "sign in the slope of silu",
  },
];
