/**
 * The ladder as a table: for each operation its rungs, from the formula to the kernel in use, one idea a rung.
 *
 * A rung is a kernel file with the same bindings, or the operation itself (the top). Inputs, reference, tolerance and costs are those of the
 * operation's case, so that a rung is checked as what it leads to is. `rung` counts as the files in kernels/ladder do.
 */
import { type Device, empty, type Tensor } from "../src/tensor/index.ts";
import { run } from "../src/tensor/run.ts";
import type { AnyCase } from "../test/support/opCase.ts";

export type Sizes = Readonly<Record<string, number>>;
type Three = readonly [number, number, number];

export interface Rung {
  readonly rung: number;
  /** Below kernels/, without .wgsl. Undefined: whatever the operation runs on this adapter. */
  readonly kernel?: string;
  readonly idea: string;
  readonly workgroups?: (sizes: Sizes, lanes: number) => Three;
  /** Runs on subgroups, and has LANES of them as an override. */
  readonly subgroups?: boolean;
  /** Sizes that must be divisible by four. */
  readonly inFours?: readonly string[];
}

export interface Ladder {
  /** File of test/cases, and the case in it. */
  readonly op: string;
  readonly unit: "GFLOP/s" | "GB/s";
  readonly paramsOf: (sizes: Sizes) => Parameters<AnyCase["run"]>[1];
  /** The kernels' name for the output, and the case's. */
  readonly output: { readonly binding: string; readonly name: string; readonly shape: (sizes: Sizes) => number[] };
  /** Other memory that a kernel writes, by binding. */
  readonly scratch: (sizes: Sizes) => Readonly<Record<string, readonly number[]>>;
  readonly kernelParams: (sizes: Sizes) => Readonly<Record<string, number>>;
  readonly rungs: readonly Rung[];
  readonly bench: Sizes;
  /** Sizes that the test tries: ragged ones, and some that every rung computes. */
  readonly ragged: readonly Sizes[];
}

const ceil = (count: number, step: number): number => Math.ceil(count / step);

const matmul: Ladder = {
  op: "matmul",
  unit: "GFLOP/s",
  paramsOf: (sizes) => ({ layout: "NN", batch: 1, shared: true, variant: "default", ...sizes }),
  output: { binding: "c", name: "y", shape: ({ M, N }) => [1, M!, N!] },
  scratch: () => ({}),
  kernelParams: (sizes) => sizes,
  rungs: [
    {
      rung: 1,
      kernel: "ladder/matmul.1.naive",
      idea: "the formula: two loads a product",
      workgroups: ({ M, N }) => [ceil(N!, 16), ceil(M!, 16), 1],
    },
    {
      rung: 2,
      kernel: "ladder/matmul.2.registers",
      idea: "4×4 sums a thread: two products a load",
      workgroups: ({ M, N }) => [ceil(N!, 64), ceil(M!, 64), 1],
    },
    {
      rung: 3,
      kernel: "ladder/matmul.3.vec4",
      idea: "four neighbours a load",
      inFours: ["K", "N"],
      workgroups: ({ M, N }) => [ceil(N!, 64), ceil(M!, 64), 1],
    },
    {
      rung: 4,
      kernel: "ladder/matmul.4.workgroup",
      idea: "threads share tiles (for GPUs)",
      inFours: ["K", "N"],
      workgroups: ({ M, N }) => [ceil(N!, 64), ceil(M!, 64), 1],
    },
    {
      rung: 5,
      kernel: "ladder/matmul.5.prefetch",
      idea: "next tiles fetched meanwhile (for GPUs)",
      inFours: ["K", "N"],
      workgroups: ({ M, N }) => [ceil(N!, 64), ceil(M!, 64), 1],
    },
    {
      rung: 6,
      kernel: "ladder/matmul.6.subgroup",
      idea: "lanes share by broadcasts",
      subgroups: true,
      inFours: ["K", "N"],
      workgroups: ({ M, N }, lanes) => [ceil(M!, 8), ceil(N!, 4 * lanes), 1],
    },
    { rung: 7, idea: "in use" },
  ],
  bench: { M: 512, N: 512, K: 512 },
  ragged: [
    { M: 1, N: 1, K: 1 },
    { M: 33, N: 65, K: 17 },
    { M: 130, N: 71, K: 34 },
    { M: 1, N: 4, K: 4 },
    { M: 67, N: 68, K: 20 },
    { M: 64, N: 64, K: 16 },
    { M: 129, N: 132, K: 100 },
  ],
};

const softmax: Ladder = {
  op: "softmax",
  unit: "GB/s",
  paramsOf: (sizes) => sizes,
  output: { binding: "y", name: "y", shape: ({ N, C }) => [N!, C!] },
  scratch: () => ({}),
  kernelParams: (sizes) => sizes,
  rungs: [
    {
      rung: 1,
      kernel: "ladder/softmax.1.naive",
      idea: "the formula: three looks at a row",
      workgroups: ({ N }) => [ceil(N!, 64), 1, 1],
    },
    {
      rung: 2,
      kernel: "ladder/softmax.2.workgroup",
      idea: "64 threads a row, a tree in memory (for GPUs)",
      workgroups: ({ N }) => [N!, 1, 1],
    },
    {
      rung: 3,
      kernel: "ladder/softmax.3.online",
      idea: "maximum and sum in one look (for GPUs)",
      workgroups: ({ N }) => [N!, 1, 1],
    },
    {
      rung: 4,
      kernel: "ladder/softmax.4.subgroup",
      idea: "one subgroup a row, no barrier",
      subgroups: true,
      workgroups: ({ N }) => [N!, 1, 1],
    },
    {
      rung: 5,
      kernel: "ladder/softmax.5.vec4",
      idea: "four columns a load",
      subgroups: true,
      inFours: ["C"],
      workgroups: ({ N }) => [N!, 1, 1],
    },
    { rung: 6, idea: "in use" },
  ],
  bench: { N: 4096, C: 1024 },
  ragged: [
    { N: 1, C: 1 },
    { N: 65, C: 3 },
    { N: 7, C: 129 },
    { N: 1, C: 4 },
    { N: 130, C: 36 },
    { N: 64, C: 64 },
    { N: 3, C: 1028 },
  ],
};

const attention: Ladder = {
  op: "attention",
  unit: "GFLOP/s",
  paramsOf: (sizes) => ({ ...sizes, P: 0, ragged: false }), // no prefix, no padding
  output: { binding: "o", name: "o", shape: ({ B, Tq, H, D }) => [B!, Tq!, H!, D!] },
  scratch: ({ B, Tq, Tk, H }) => ({ s: [B!, H!, Tq!, Tk!] }),
  kernelParams: (sizes) => ({ ...sizes, scale: 1 / Math.sqrt(sizes["D"]!) }),
  rungs: [
    {
      rung: 1,
      kernel: "ladder/attention.1.naive",
      idea: "the formula: scores in memory",
      workgroups: ({ B, Tq, H }) => [ceil(Tq!, 64), H!, B!],
    },
    {
      rung: 2,
      kernel: "ladder/attention.2.online",
      idea: "no score is stored",
      workgroups: ({ B, Tq, H }) => [ceil(Tq!, 64), H!, B!],
    },
    {
      rung: 3,
      kernel: "ladder/attention.3.vec4",
      idea: "four channels a load",
      inFours: ["D"],
      workgroups: ({ B, Tq, H }) => [ceil(Tq!, 64), H!, B!],
    },
    {
      rung: 4,
      kernel: "ladder/attention.4.keys",
      idea: "four keys at once",
      inFours: ["D"],
      workgroups: ({ B, Tq, H }) => [ceil(Tq!, 64), H!, B!],
    },
    {
      rung: 5,
      kernel: "ladder/attention.5.workgroup",
      idea: "64 queries share their keys (for GPUs)",
      inFours: ["D"],
      workgroups: ({ B, Tq, H }) => [ceil(Tq!, 64), H!, B!],
    },
    {
      rung: 6,
      kernel: "ladder/attention.6.subgroup",
      idea: "lanes share their keys by broadcasts",
      subgroups: true,
      inFours: ["D"],
      workgroups: ({ B, Tq, H }, lanes) => [ceil(Tq!, lanes), H!, B!],
    },
    { rung: 7, idea: "in use" },
  ],
  bench: { B: 16, Tq: 134, Tk: 134, H: 4, D: 32 },
  ragged: [
    { B: 1, Tq: 1, Tk: 1, H: 1, D: 4 },
    { B: 2, Tq: 65, Tk: 33, H: 3, D: 32 },
    { B: 1, Tq: 33, Tk: 67, H: 2, D: 24 },
    { B: 1, Tq: 64, Tk: 16, H: 1, D: 128 },
    { B: 1, Tq: 9, Tk: 12, H: 1, D: 8 },
    { B: 1, Tq: 8, Tk: 23, H: 2, D: 8 },
  ],
};

export const ladders: readonly Ladder[] = [matmul, softmax, attention];

export const nameOf = ({ op }: Ladder, { rung, kernel }: Rung): string =>
  kernel?.replace("ladder/", "") ?? `${op}.${rung} (in use)`;

/** Why a rung cannot compute these sizes on this device; undefined if it can. */
export function obstacle(
  { subgroupSize }: Device,
  { subgroups, inFours = [] }: Rung,
  sizes: Sizes,
): string | undefined {
  if (subgroups && !subgroupSize) return "this adapter has no subgroups of one size";
  if (subgroups && subgroupSize! < 8) return `needs subgroups of 8 lanes at least; here they have ${subgroupSize}`;
  const odd = inFours.find((size) => sizes[size]! % 4);
  return odd && `needs ${odd} divisible by 4; it is ${sizes[odd]}`;
}

/** Runs a rung and returns its output. The caller's scope owns it. */
export function climb(
  ladder: Ladder,
  rung: Rung,
  op: AnyCase,
  inputs: Readonly<Record<string, Tensor>>,
  sizes: Sizes,
): Tensor {
  const { output, scratch, kernelParams, paramsOf } = ladder;
  const { kernel, workgroups, subgroups } = rung;
  if (kernel === undefined) return op.run(inputs, paramsOf(sizes))[output.name]!;
  const { device } = Object.values(inputs)[0]!;
  const y = empty(device, output.shape(sizes), "f32", kernel);
  const tensors: Record<string, Tensor> = { ...inputs, [output.binding]: y };
  const bound = new Set(device.kernels.source(kernel).bindings.map(({ name }) => name));
  for (const [name, shape] of Object.entries(scratch(sizes)))
    if (bound.has(name)) tensors[name] = empty(device, shape, "f32", `${kernel}.${name}`);
  const lanes = device.subgroupSize ?? 0;
  run(kernel, tensors, kernelParams(sizes), {
    workgroups: workgroups!(sizes, lanes),
    overrides: subgroups ? { LANES: lanes } : {},
  });
  return y;
}
