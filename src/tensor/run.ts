/** Running a kernel on tensors: matching them to bindings by name, and the debug checks that follow. */
import type { Block } from "./buffers.ts";
import type { Workgroups } from "./commands.ts";
import type { Device } from "./device.ts";
import type { Elementwise } from "./elementwiseRun.ts";
import { NonFiniteError, ShapeError } from "./errors.ts";
import type { Variant } from "./kernel.ts";
import { mergedAxes, showShape, sizeOf } from "./shape.ts";
import type { Tensor } from "./tensor.ts";
import { empty } from "./tensor.ts";

/** What a launch computes, where that is expressions of elements at the same place. */
export interface Expressions {
  /** By binding, in names of `operands`. */
  readonly results: Readonly<Record<string, string>>;
  /** The bindings that names stand for. */
  readonly operands: Readonly<Record<string, string>>;
  readonly s?: number;
  /** Vectors of four. */
  readonly count: number;
}

export interface Launch extends Variant {
  readonly workgroups: Workgroups;
  /** Where the kernel's windows begin in their buffers, in bytes, by binding. */
  readonly offsets?: Readonly<Record<string, number>>;
  readonly expressions?: Expressions;
}

/**
 * Records one dispatch of `kernels/<name>.wgsl`. Tensors must be contiguous; `params` fills the uniform.
 * `label` names the operation in errors and profiles; default: the kernel's name.
 */
export function run(
  name: string,
  tensors: Readonly<Record<string, Tensor>>,
  params: Readonly<Record<string, number>>,
  launch: Launch,
  label: string = name,
): void {
  const { device } = Object.values(tensors)[0]!;
  const blocks: Record<string, Block> = {};
  for (const binding in tensors) {
    const tensor = tensors[binding]!;
    if (!tensor.contiguous)
      throw new ShapeError(`${label}: ${binding} must be contiguous; it is a view ${showShape(tensor.shape)}.`, {
        binding,
      });
    const offset = launch.offsets?.[binding];
    blocks[binding] = offset ? { ...tensor.block, offset } : tensor.block;
  }
  const kernel = device.kernels.get(name, launch);
  const elementwise = launch.expressions && describe(device, launch.expressions, blocks);
  device.recorder.dispatch(kernel, blocks, params, launch.workgroups, label, elementwise);
  if (device.debug.finite)
    for (const { name: binding, access } of kernel.source.bindings)
      if (access === "read_write" && tensors[binding]!.dtype === "f32") checkFinite(tensors[binding]!, label, binding);
}

/** The same of buffers instead of bindings, as the recorder takes it. */
function describe(
  device: Device,
  { results, operands, s = 0, count }: Expressions,
  blocks: Readonly<Record<string, Block>>,
): Elementwise {
  const { workgroups, overrides, steps } = spread(device, count);
  const blockOf = (binding: string): Block => blocks[binding]!;
  return {
    names: Object.keys(operands),
    operands: Object.values(operands).map(blockOf),
    expressions: Object.values(results),
    results: Object.keys(results).map(blockOf),
    s,
    count,
    steps,
    lanes: overrides.LANES,
    workgroups,
  };
}

/** Lanes of a workgroup for kernels without barriers: a software adapter wants one vector, a GPU several warps. */
export const lanesOf = (device: Device): number => (device.isSoftware ? (device.subgroupSize ?? 8) : 64);

/**
 * How to spread `count` independent items over workgroups of `lanes` with a loop of `STEPS` in each lane. Few, long
 * workgroups on a software adapter, where each costs about as much as ten vector operations; many short ones on a GPU.
 */
export function spread(
  device: Device,
  count: number,
): { workgroups: [number, number]; overrides: { LANES: number }; steps: number } {
  const lanes = lanesOf(device);
  // A dispatch that all threads of a software adapter must wake up for costs more than 32 steps do.
  const [shortest, longest] = device.isSoftware ? [32, 64] : [1, 4];
  const steps = Math.max(shortest, Math.min(longest, Math.ceil(count / (lanes * 32))));
  const groups = Math.ceil(count / (lanes * steps));
  // A dimension holds 65,535 workgroups; what is more goes to the second one.
  const columns = Math.min(groups, 32768);
  return { workgroups: [columns, Math.ceil(groups / columns)], overrides: { LANES: lanes }, steps };
}

/** As `spread`, for N rows of C items: a workgroup takes, of `rows` rows, LANES·steps columns. */
export function spreadRows(
  device: Device,
  N: number,
  C: number,
): { workgroups: [number, number]; overrides: { LANES: number }; rows: number; steps: number } {
  const lanes = lanesOf(device);
  const { steps: work } = spread(device, N * C);
  const steps = Math.max(Math.min(work, Math.ceil(C / lanes)), Math.ceil(C / (lanes * 32768)));
  const rows = Math.max(Math.floor(work / steps), Math.ceil(N / 32768), 1);
  return {
    workgroups: [Math.ceil(C / (lanes * steps)), Math.ceil(N / rows)],
    overrides: { LANES: lanes },
    rows,
    steps,
  };
}

/** x itself when it is contiguous, else a copy in row-major order (kernels/copyStrided.wgsl, up to six axes). */
export function contiguous(x: Tensor, label = "contiguous"): Tensor {
  if (x.contiguous) return x;
  const copy = empty(x.device, x.shape, x.dtype, label);
  copyStrided(x, copy);
  return copy;
}

/** Writes the elements of any view to a contiguous tensor of the same shape. */
export function copyStrided(x: Tensor, copy: Tensor): void {
  const { device } = x;
  const { shape, strides } = mergedAxes(x.shape, x.strides);
  const rank = shape.length;
  if (rank > 6)
    throw new ShapeError(
      `copy: at most six axes; the tensor is ${showShape(x.shape)}. Merge axes with reshape first.`,
      { shape: x.shape },
    );
  if (copyTransposed(x, copy, shape, strides)) return;
  // Vectors of four, where each run of the last axis divides into them.
  const [last, stride] = [shape.at(-1)!, strides.at(-1)!];
  const isWide = stride === 1 && [last, x.offset, ...strides.slice(0, -1)].every((n) => n % 4 === 0);
  const width = isWide ? 4 : 1;
  const [count, C, offset] = [x.size / width, last / width, x.offset / width];
  const Element = isWide ? `vec4<${x.dtype}>` : x.dtype;
  const buffers = { x: x.block, y: copy.block };
  const { recorder, kernels } = device;
  const { workgroups, overrides, steps } = spread(device, count);
  // Runs along the last axis, where it is long enough to occupy the lanes of a workgroup; else element by element.
  const inRuns = C >= (isWide ? 1 : 2) * overrides.LANES;
  const axes = shape.map((n, i) => (i === rank - 1 ? { n: C, s: stride } : { n, s: strides[i]! / width }));
  const outer = inRuns ? axes.slice(0, -1) : axes;
  const AXES = Math.max(1, outer.length);
  const variant = { overrides: { ...overrides, AXES }, types: { Element } };
  // The outermost axis has number 0 and needs no division; the others count from the innermost.
  const params: Record<string, number> = { offset, s0: outer[0]?.s ?? 0 };
  for (let i = 1; i <= 5; i++) {
    const axis = i < outer.length ? outer[outer.length - i]! : { n: 1, s: 0 };
    params[`n${i}`] = axis.n;
    params[`s${i}`] = axis.s;
  }
  if (inRuns) {
    const N = count / C;
    const groups = device.isSoftware ? Math.min(N, 64 + Math.ceil(N / 16)) : N;
    Object.assign(params, { N, C, sC: stride });
    recorder.dispatch(kernels.get("copyRuns", variant), buffers, params, Math.min(groups, 65535), "copyRuns");
  } else {
    Object.assign(params, { count, steps });
    recorder.dispatch(kernels.get("copyStrided", variant), buffers, params, workgroups, "copyStrided");
  }
}

/**
 * The same for a view, of merged axes, whose side-by-side elements lie along another axis than the last. False, and nothing
 * done, when it is none or does not divide into blocks of four by four.
 */
function copyTransposed(x: Tensor, copy: Tensor, shape: readonly number[], strides: readonly number[]): boolean {
  const { device } = x;
  const LANES = lanesOf(device);
  const last = shape.length - 1;
  const axisK = strides.indexOf(1);
  if (axisK < 0 || axisK >= last || shape.length > 6) return false;
  const [K, C] = [shape[axisK]! / 4, shape[last]! / 4];
  const others = strides.filter((_, i) => i !== axisK);
  if (2 * K < LANES || ![K, C, x.offset / 4, ...others.map((s) => s / 4)].every(Number.isInteger)) return false;
  const inY = shape.map((_, i) => sizeOf(shape.slice(i + 1)) / 4);
  const outer = shape.flatMap((n, i) => (i === axisK || i === last ? [] : [{ n, s: strides[i]! / 4, t: inY[i]! }]));
  const N = sizeOf(outer.map(({ n }) => n));
  if (N > 65535) return false;
  // Few workgroups cost least on a processor, as long as there are enough for all its threads.
  const steps = Math.min(C, Math.max(4, Math.ceil((N * K * C) / (LANES * 256))));
  const params: Record<string, number> = { K, C, steps, offset: x.offset / 4, sC: strides[last]! / 4, tK: inY[axisK]! };
  for (let i = 0; i <= 3; i++) {
    const axis = (i === 0 ? outer[0] : i < outer.length ? outer[outer.length - i] : undefined) ?? { n: 1, s: 0, t: 0 };
    if (i > 0) params[`n${i}`] = axis.n;
    [params[`s${i}`], params[`t${i}`]] = [axis.s, axis.t];
  }
  const variant = {
    overrides: { LANES, AXES: Math.max(1, outer.length) },
    types: { Element: x.dtype },
  };
  const workgroups = [Math.ceil(K / LANES), Math.ceil(C / steps), N] as const;
  const buffers = { x: x.block, y: copy.block };
  device.recorder.dispatch(
    device.kernels.get("copyTransposed", variant),
    buffers,
    params,
    workgroups,
    "copyTransposed",
  );
  return true;
}

/** into += x, element by element, for f32 tensors of one shape. Gradients are summed with it. */
export function accumulate(into: Tensor, x: Tensor): void {
  const count = Math.ceil(into.size / 4);
  const { workgroups, overrides, steps } = spread(into.device, count);
  const expressions = { results: { y: "y + x" }, operands: { x: "x", y: "y" }, count };
  run("accumulate", { x: contiguous(x), y: into }, { count, steps }, { workgroups, overrides, expressions });
}

/** Asks, at the next await, whether `x` holds a value that is not finite. The count is taken now, in order. */
function checkFinite(x: Tensor, label: string, binding: string): void {
  const { device } = x;
  const outer = device.scopes.splice(0); // The count must outlive the scope that the operation runs in.
  const count = empty(device, [1], "u32", "countNonFinite");
  device.scopes.push(...outer);
  device.recorder.clear(count.block);
  const kernel = device.kernels.get("countNonFinite", {});
  device.recorder.dispatch(kernel, { x: x.block, bad: count.block }, { count: x.size }, 1, "countNonFinite");
  const { shape } = x;
  device.pendingChecks.push(async () => {
    const bad = await count.item();
    count.dispose();
    if (bad)
      throw new NonFiniteError(
        `${label}: ${bad} of ${x.size} values of ${binding} ${showShape(shape)} are NaN or infinite.`,
        { label, binding, bad },
      );
  });
}
