import fc from "fast-check";
import { detach, expand, permute, reshape, slice, sumTo, transpose } from "../../src/tensor/index.ts";
import { defineCase, filled, type Mutant, type Values } from "../support/opCase.ts";

type Params = { a: number; b: number; c: number; d: number };

const size = fc.integer({ min: 1, max: 9 });
const params = fc.record({ a: size, b: size, c: size, d: size });
const rest = { params, tolerance: 0, flops: () => 0, bench: [] };

/** Values at index (i, j, k, l) of a tensor of four axes. */
const at = ({ shape, data }: Values, i: number, j: number, k: number, l: number): number =>
  data[((i * shape[1]! + j) * shape[2]! + k) * shape[3]! + l]!;

/** A tensor of four axes from what stands at each index. */
const made = (
  shape: readonly [number, number, number, number],
  of: (i: number, j: number, k: number, l: number) => number,
): Values =>
  filled(shape, (index) => {
    const [, B, C, D] = shape;
    return of(Math.floor(index / (B * C * D)), Math.floor(index / (C * D)) % B, Math.floor(index / D) % C, index % D);
  });

export default [
  defineCase<Params>({
    ...rest,
    name: "permute, then reshape",
    inputs: ({ a, b, c, d }) => ({ x: { shape: [a, b, c, d] } }),
    reference: ({ x }, { a, b, c, d }) => ({
      y: { shape: [d * b, a * c], data: made([d, b, a, c], (l, j, i, k) => at(x!, i, j, k, l)).data },
    }),
    run: ({ x }, { a, b, c, d }) => ({ y: reshape(permute(x!, [3, 1, 0, 2]), [d * b, a * c]) }),
    differentiable: ["x"],
    // Long runs with a stride.
    always: [
      { a: 2, b: 3, c: 17, d: 5 },
      // Blocks of four by four: in one step, in several, and of fewer lanes than there are.
      { a: 3, b: 5, c: 4, d: 20 },
      { a: 2, b: 3, c: 24, d: 72 },
    ],
    bytes: ({ a, b, c, d }) => 8 * a * b * c * d,
    bench: [{ a: 16, b: 128, c: 4, d: 32 }],
  }),
  defineCase<Params>({
    ...rest,
    name: "heads forward, then reshape",
    inputs: ({ a, b, c, d }) => ({ x: { shape: [a, b, c, d] } }),
    reference: ({ x }, { a, b, c, d }) => ({
      y: { shape: [a, c * b * d], data: made([a, c, b, d], (i, k, j, l) => at(x!, i, j, k, l)).data },
    }),
    run: ({ x }, { a, b, c, d }) => ({ y: reshape(permute(x!, [0, 2, 1, 3]), [a, c * b * d]) }),
    differentiable: ["x"],
    // Vectors: in runs of eight, and fewer than lanes.
    always: [
      { a: 2, b: 5, c: 3, d: 32 },
      { a: 3, b: 5, c: 2, d: 12 },
    ],
    bytes: ({ a, b, c, d }) => 8 * a * b * c * d,
    bench: [{ a: 16, b: 128, c: 4, d: 32 }],
  }),
  defineCase<Params>({
    ...rest,
    name: "part of each matrix, transposed, then reshape",
    inputs: ({ a, b, c, d }) => ({ x: { shape: [a, b, c, d + 4] } }),
    reference: ({ x }, { a, b, c, d }) => ({
      y: { shape: [d, b * a * c], data: made([d, b, a, c], (l, j, i, k) => at(x!, i, j, k, l + 4)).data },
    }),
    run: ({ x }, { a, b, c, d }) => ({
      y: reshape(permute(slice(x!, 3, 4, d + 4), [3, 1, 0, 2]), [d, b * a * c]),
    }),
    differentiable: ["x"],
    always: [
      { a: 2, b: 3, c: 8, d: 32 },
      { a: 1, b: 1, c: 40, d: 64 },
    ],
    bytes: ({ a, b, c, d }) => 8 * a * b * c * d,
    bench: [
      { a: 1, b: 1, c: 512, d: 508 },
      { a: 1, b: 1, c: 4096, d: 1020 },
    ],
  }),
  defineCase<Params>({
    ...rest,
    name: "transpose of the outer axes, read as a view",
    inputs: ({ a, b, c, d }) => ({ x: { shape: [a, b, c, d] } }),
    reference: ({ x }, { a, b, c, d }) => ({ y: made([d, b, c, a], (l, j, k, i) => at(x!, i, j, k, l)) }),
    run: ({ x }) => ({ y: transpose(x!, 0, -1) }),
    differentiable: ["x"],
    bytes: () => 0,
  }),
  defineCase<Params>({
    ...rest,
    name: "expand",
    inputs: ({ b, d }) => ({ x: { shape: [b, 1, d] } }),
    reference: ({ x }, { a, b, c, d }) => ({ y: made([a, b, c, d], (_, j, __, l) => x!.data[j * d + l]!) }),
    run: ({ x }, { a, b, c, d }) => ({ y: expand(x!, [a, b, c, d]) }),
    differentiable: ["x"],
    bytes: () => 0,
  }),
  defineCase<Params>({
    ...rest,
    name: "sumTo",
    tolerance: 1e-5,
    always: [{ a: 168, b: 1, c: 16, d: 128 }],
    inputs: ({ a, b, c, d }) => ({ x: { shape: [a, b, c, d] } }),
    reference: ({ x }, { a, b, c, d }) => {
      const y = filled([b, 1, d], () => 0);
      for (let i = 0; i < a; i++)
        for (let j = 0; j < b; j++)
          for (let k = 0; k < c; k++) for (let l = 0; l < d; l++) y.data[j * d + l]! += at(x!, i, j, k, l);
      return { y };
    },
    run: ({ x }, { b, d }) => ({ y: sumTo(x!, [b, 1, d]) }),
    bytes: ({ a, b, c, d }) => 4 * a * b * c * d,
    bench: [{ a: 168, b: 1, c: 16, d: 128 }],
  }),
  defineCase<Params>({
    ...rest,
    name: "detach",
    inputs: ({ a, d }) => ({ x: { shape: [a, d] } }),
    reference: ({ x }) => ({ y: x! }),
    run: ({ x }) => ({ y: detach(x!) }),
    bytes: () => 0,
  }),
];

export const mutants: readonly Mutant[] = [
  { kernel: "copyTransposed", find: "params.offset + ", replace: "", why: "the view's offset is forgotten" },
  { kernel: "copyTransposed", find: "if (AXES > 1u)", replace: "if (AXES > 2u)", why: "an axis is left out" },
  {
    kernel: "copyTransposed",
    find: "group.y * params.steps",
    replace: "group.y",
    why: "steps overlap, the rest is left out",
  },
  { kernel: "copyTransposed", find: "k < params.K", replace: "true", why: "idle lanes write over the next matrix" },
  { kernel: "copyRuns", find: "c * params.sC", replace: "c", why: "the stride along a run is forgotten" },
  { kernel: "copyRuns", find: "if (AXES > 2u)", replace: "if (AXES > 3u)", why: "an axis is left out" },
  { kernel: "copyStrided", find: "if (AXES > 3u)", replace: "if (AXES > 4u)", why: "an axis is left out" },
  { kernel: "copyStrided", find: "rest * params.s0", replace: "rest", why: "the outermost stride is forgotten" },
];
