import fc from "fast-check";
import { type Device, matmul, type MatmulPrecision, transpose } from "../../src/tensor/index.ts";
import { matmulChoice } from "../../src/tensor/ops/matmulPlan.ts";
import { withTuning } from "../../src/tensor/tuning.ts";
import { defineCase, filled, type InputSpec, type Mutant, type OpCase, sizes, type Values } from "../support/opCase.ts";

/** `variant` is what a tuning table asks for; "default" asks for nothing. */
type Params = { layout: string; batch: number; shared: boolean; M: number; N: number; K: number; variant: string };

/** Runs `body` with one variant in all buckets; where it does not fit the default is taken. */
function withVariant<R>(device: Device, variant: string, body: () => R): R {
  const buckets = ["NN", "NT", "TN"].flatMap((layout) =>
    ["narrow", "small", "medium", "large"].flatMap((size) =>
      ["", " ragged", " f16", " ragged f16"].map((kind) => `${layout} ${size}${kind}`),
    ),
  );
  const table = Object.fromEntries(buckets.map((bucket) => [bucket, variant]));
  return withTuning(device, { [matmulChoice.op]: table }, body);
}

/** Multiples of four reach the subgroup kernels; the others the plain one. */
const size = fc.oneof(
  sizes(70),
  sizes(40).map((n) => 4 * n),
);

/** Element (z, i, j) of a batch of matrices as stored: with its last two axes exchanged when `turned`. */
const at = ({ shape, data }: Values, turned: boolean, z: number, i: number, j: number): number => {
  const [rows, columns] = shape.slice(-2) as [number, number];
  const start = shape.length === 2 ? 0 : z * rows * columns;
  return data[start + (turned ? j * columns + i : i * columns + j)]!;
};

/** A number of at most 11 bits: rounding to f16 leaves it, so that what remains is the rounding of sums. */
const draw: NonNullable<InputSpec["draw"]> = (random) =>
  Math.round(256 * Math.max(-7, Math.min(7, random.normal()))) / 256;

/** Sums of up to 200 products, drawn as `precision` leaves them. */
export const define = (name: string, weight: "f32" | "f16", precision: MatmulPrecision = "f32"): OpCase<Params> =>
  defineCase<Params>({
    name,
    ...(precision === "f16" && { lacks: ({ matrix }) => (matrix.f16 ? undefined : "matrix units for f16") }),
    params: fc.record({
      layout: fc.constantFrom("NN", "NT", "TN", "TT"),
      batch: fc.integer({ min: 1, max: 3 }),
      shared: fc.boolean(),
      M: size,
      N: size,
      K: size,
      variant:
        precision === "f16"
          ? fc.constant("matrices")
          : fc.constantFrom("default", "default", "plain", "tiled32", "tiled64", "lanes8", "matrices"),
    }),
    always: [
      { layout: "NT", batch: 2, shared: true, M: 84, N: 128, K: 128, variant: "default" },
      { layout: "TN", batch: 1, shared: false, M: 128, N: 384, K: 200, variant: "default" },
      { layout: "NN", batch: 1, shared: true, M: 1, N: 1, K: 1, variant: "default" },
      { layout: "TN", batch: 2, shared: false, M: 8, N: 12, K: 16, variant: "default" },
      { layout: "NN", batch: 2, shared: false, M: 90, N: 134, K: 37, variant: "tiled64double" },
      { layout: "NT", batch: 1, shared: true, M: 70, N: 132, K: 36, variant: "tiled32" },
      { layout: "TN", batch: 2, shared: true, M: 33, N: 65, K: 37, variant: "padded" },
      { layout: "TN", batch: 2, shared: false, M: 34, N: 66, K: 37, variant: "tiled32" },
      // One dispatch, with windows that begin at aligned places and between them; and two dispatches, the last one smaller.
      { layout: "NT", batch: 1, shared: true, M: 37, N: 128, K: 128, variant: "windows" },
      { layout: "NT", batch: 1, shared: true, M: 244, N: 132, K: 132, variant: "windows" },
      { layout: "NT", batch: 1, shared: true, M: 68, N: 132, K: 516, variant: "windows" },
      { layout: "NN", batch: 1, shared: true, M: 513, N: 64, K: 256, variant: "windows" },
      // Four windows: quarters that overlap, rows that begin between aligned places, and c summed by two dispatches.
      { layout: "TN", batch: 1, shared: true, M: 36, N: 132, K: 130, variant: "windows" },
      { layout: "TN", batch: 1, shared: true, M: 68, N: 256, K: 258, variant: "windows" },
    ],
    inputs: ({ layout, batch, shared, M, N, K }) => {
      const drawn = precision === "f16" && { draw };
      return {
        a: { shape: [batch, ...(layout[0] === "T" ? [K, M] : [M, K])], ...drawn },
        b: { shape: [...(shared ? [] : [batch]), ...(layout[1] === "T" ? [N, K] : [K, N])], dtype: weight, ...drawn },
      };
    },
    reference: ({ a, b }, { layout, batch, M, N, K }) => {
      const y = filled([batch, M, N], () => 0);
      for (let z = 0; z < batch; z++)
        for (let m = 0; m < M; m++)
          for (let k = 0; k < K; k++) {
            const left = at(a!, layout[0] === "T", z, m, k);
            for (let n = 0; n < N; n++) y.data[(z * M + m) * N + n]! += left * at(b!, layout[1] === "T", z, k, n);
          }
      return { y };
    },
    run: ({ a, b }, { layout, variant }) => ({
      y: withVariant(a!.device, variant, () => {
        a!.device.matmulPrecision = precision;
        const y = matmul(layout[0] === "T" ? transpose(a!) : a!, layout[1] === "T" ? transpose(b!) : b!);
        a!.device.matmulPrecision = "f32";
        return y;
      }),
    }),
    // Gradients are products of the same kernels, of numbers that cannot be drawn here.
    differentiable: precision === "f16" ? [] : weight === "f32" ? ["a", "b"] : ["a"],
    tolerance: 4e-5,
    reason: "a sum of up to 200 products of magnitude 1, rounded in f32 at each",
    flops: ({ batch, M, N, K }) => 2 * batch * M * N * K,
    bytes: ({ batch, shared, M, N, K }) => 4 * (batch * M * K + (shared ? 1 : batch) * K * N + batch * M * N),
    bench: [
      ...["NN", "NT", "TN"].map((layout) => ({ layout, shared: false, M: 512, N: 512, K: 512 })),
      { layout: "NN", shared: true, M: 1024, N: 1024, K: 1024 },
      { layout: "NN", shared: true, M: 2048, N: 1024, K: 256 },
      { layout: "NT", shared: true, M: 2048, N: 384, K: 128 },
      { layout: "NT", shared: true, M: 2047, N: 383, K: 127 },
    ].map((sizes) => ({ ...sizes, batch: 1, variant: "default" })),
  });

export default [define("matmul", "f32"), define("matmul f16", "f16")];

export const mutants: readonly Mutant[] = [
  {
    kernel: "matmul",
    find: "min(rows, 8u)",
    replace: "min(rows, 7u)",
    why: "a row of the tile is not stored",
    subgroupSize: 8,
  },
  {
    kernel: "matmulNT",
    find: "params.M - 1u",
    replace: "params.M - 2u",
    why: "the last row is read twice",
    subgroupSize: 8,
  },
  {
    kernel: "matmulTN",
    find: "storeRows(&sum1, count, cAt + N4",
    replace: "storeRows(&sum1, count, cAt",
    why: "two rows at one place",
    subgroupSize: 8,
  },
  {
    kernel: "matmulNTWindows",
    find: "params.cColumn + column",
    replace: "column",
    why: "all dispatches write the first columns",
    subgroupSize: 8,
  },
  {
    kernel: "matmulNTWindows",
    find: "params.shift3) + column",
    replace: "params.shift2) + column",
    why: "the last window is read from where the one before begins",
    subgroupSize: 8,
  },
  {
    kernel: "matmulTNWindows",
    find: "vec4f(step >= begin)",
    replace: "vec4f(1)",
    why: "rows of two quarters count twice",
    subgroupSize: 8,
  },
  {
    kernel: "matmulTNWindows",
    find: "params.accumulate == 1u",
    replace: "params.accumulate == 2u",
    why: "only the last rows are in c",
    subgroupSize: 8,
  },
  {
    kernel: "matmulTNWindows",
    find: "column == ownColumn",
    replace: "column != ownColumn",
    why: "columns are not stored",
    subgroupSize: 8,
  },
  {
    kernel: "matmulTiled",
    find: "return transpose(blockOfB",
    replace: "return (blockOfB",
    why: "a block of b stays turned",
  },
  {
    kernel: "matmulTiled",
    find: "at.y + i < params.N",
    replace: "at.y + i <= params.N",
    why: "a row of c is written over its end",
  },
  {
    kernel: "matmulTiled",
    find: "vec4<bool>(at.x < size.x)",
    replace: "vec4<bool>(true)",
    why: "rows of b behind its end are multiplied",
  },
  { kernel: "matmulPlain", find: "k < params.K", replace: "k < params.K - 1u", why: "the last product is left out" },
];
