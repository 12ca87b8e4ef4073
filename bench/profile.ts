/** Where the time of a step goes: on the device by kernel, and in JavaScript by what it does. */
import { Session } from "node:inspector/promises";
import { type Device, noGrad } from "../src/tensor/index.ts";
import { type Dispatched, dispatchesOf } from "./dispatches.ts";
import { awaitQuietly, gpuMilliseconds, sample } from "./sample.ts";
import { type Column, headOf, lineOf } from "./table.ts";

/** Shares of wall time of the main thread. */
export interface MainThread {
  /** Operations: checking, allocating, the tape, lists of commands. */
  readonly recording: number;
  /** Lists of commands to the driver: bind groups, passes, submission. */
  readonly encoding: number;
  /** Copying what the device returns; the wait for it is `waiting`. */
  readonly readback: number;
  /** Drawing the next batch. */
  readonly data: number;
  readonly garbage: number;
  /** Nothing of ours runs: the device works, or Dawn asks whether it has finished. */
  readonly waiting: number;
}

export interface StepProfile {
  /** Milliseconds on the device and dispatches, by label, longest first; of one step. */
  readonly kernels: readonly { readonly label: string; readonly ms: number; readonly count: number }[];
  readonly products: {
    readonly gflop: number;
    readonly ms: number;
    /** The same dispatches one after the other, with nothing between them. */
    readonly aloneMs: number;
    /** What they would take at the rate of a large square product. */
    readonly idealMs: number;
  };
  readonly mainThread: MainThread;
}

const RUNS = 3;

/** `work` makes `steps` steps, and has run before. `rate`: GFLOP/s of a large square product. */
export async function profileStep(
  device: Device,
  work: () => Promise<unknown>,
  steps: number,
  rate: number,
): Promise<StepProfile> {
  device.recorder.startProfile();
  for (let i = 1; i < RUNS; i++) await awaitQuietly(device, work());
  const seen = await dispatchesOf(device, () => awaitQuietly(device, work()));
  const kernels = [...device.recorder.stopProfile()]
    .map(([label, { count, ns }]) => ({ label, ms: ns / 1e6 / steps / RUNS, count: count / steps / RUNS }))
    .sort((a, b) => b.ms - a.ms);

  const products = seen.filter(({ label }) => label === "matmul");
  const gflop = products.reduce((sum, product) => sum + flopsOf(product), 0) / 1e9 / steps;
  const alone = await sample(() => noGrad(device, () => gpuMilliseconds(device, () => replay(device, products))), 1);
  return {
    kernels,
    products: {
      gflop,
      ms: kernels.find(({ label }) => label === "matmul")?.ms ?? 0,
      aloneMs: alone.p50 / steps,
      idealMs: (1000 * gflop) / rate,
    },
    mainThread: await mainThreadOf(work),
  };
}

/** Multiply-adds count two. Kernels of a product that only add parts have no K. */
function flopsOf({ params, workgroups }: Dispatched): number {
  const { M = 0, N = 0, K = 0 } = params;
  return 2 * M * N * K * (typeof workgroups === "number" ? 1 : (workgroups[2] ?? 1));
}

/** The buffers are free by now, but still there: what is read and written is garbage, and takes as long. */
function replay(device: Device, dispatches: readonly Dispatched[]): void {
  for (const { kernel, blocks, params, workgroups, label } of dispatches)
    device.recorder.dispatch(kernel, blocks, params, workgroups, label);
}

/** Samples the stack five times a millisecond, and sorts the samples by whose work it is. */
async function mainThreadOf(work: () => Promise<unknown>): Promise<MainThread> {
  const session = new Session();
  session.connect();
  await session.post("Profiler.enable");
  await session.post("Profiler.setSamplingInterval", { interval: 200 });
  await session.post("Profiler.start");
  await work();
  const { profile } = await session.post("Profiler.stop");
  session.disconnect();

  const parents = new Map<number, number>();
  for (const { id, children = [] } of profile.nodes) for (const child of children) parents.set(child, id);
  const frames = new Map(profile.nodes.map(({ id, callFrame }) => [id, callFrame]));
  const stackOf = (id: number | undefined): Frame[] => {
    const stack: Frame[] = [];
    for (let at = id; at !== undefined; at = parents.get(at)) {
      const { functionName, url } = frames.get(at)!;
      stack.push({ name: functionName, file: url.replace(/^.*\/(src|bench)\//, "$1/") });
    }
    return stack;
  };
  const kinds = new Map(profile.nodes.map(({ id }) => [id, kindOf(stackOf(id))]));
  const shares = { recording: 0, encoding: 0, readback: 0, data: 0, garbage: 0, waiting: 0 };
  let total = 0;
  for (const [i, id] of (profile.samples ?? []).entries()) {
    const us = profile.timeDeltas?.[i] ?? 0;
    shares[kinds.get(id)!] += us;
    total += us;
  }
  for (const kind of Object.keys(shares) as (keyof MainThread)[]) shares[kind] /= total;
  return shares;
}

/** A function on the stack, and its file from src/ or bench/ on. */
interface Frame {
  readonly name: string;
  readonly file: string;
}

/** What a stack is busy with, innermost frame first. */
export function kindOf(stack: readonly Frame[]): keyof MainThread {
  const [{ name, file }] = stack as [Frame];
  if (name === "(garbage collector)") return "garbage";
  if (name === "nap" && file === "src/tensor/node.ts") return "waiting";
  const own = stack.filter(({ file }) => file.startsWith("src/"));
  if (!own.length) return "waiting";
  if (own.some(({ file }) => /^src\/(data\/|train\/batch)/.test(file))) return "data";
  const command = own.findLast(({ file }) => file === "src/tensor/commands.ts"); // the outermost
  if (command && !["dispatch", "upload", "copy", "clear"].includes(command.name)) return "encoding";
  if (own.some(({ name }) => /^readBuffers?$/.test(name))) return "readback";
  return "recording";
}

const columns: readonly Column<StepProfile["kernels"][number] & { share: number }>[] = [
  { title: "  on the device", width: -38, value: ({ label }) => `  ${label}` },
  { title: "ms", width: 9, value: ({ ms }) => ms, digits: 2 },
  { title: "share", width: 8, value: ({ share }) => percent(share) },
  { title: "dispatches", width: 12, value: ({ count }) => count, digits: 1 },
];

/** Prints what takes at least a hundredth of the time on the device, and the rest in one line. */
export function printProfile({ kernels, products, mainThread }: StepProfile): void {
  const total = kernels.reduce((sum, { ms }) => sum + ms, 0);
  const [large, small] = [kernels.filter(({ ms }) => ms >= total / 100), kernels.filter(({ ms }) => ms < total / 100)];
  const sum = (of: readonly { ms: number; count: number }[], label: string) => ({
    label,
    ms: of.reduce((sum, { ms }) => sum + ms, 0),
    count: of.reduce((sum, { count }) => sum + count, 0),
  });
  console.log(headOf(columns));
  const rows = [...large, ...(small.length ? [sum(small, `${small.length} others`)] : []), sum(kernels, "all")];
  for (const row of rows) console.log(lineOf(columns, { ...row, share: row.ms / total }));
  const { gflop, ms, aloneMs, idealMs } = products;
  const rate = (ms: number): string => `${ms.toFixed(1)} ms (${((1000 * gflop) / ms).toFixed(1)} GFLOP/s)`;
  console.log(
    `  matrix products: ${gflop.toFixed(2)} GFLOP in ${rate(ms)}, ${percent(ms / total)}; the same alone ${rate(aloneMs)}; at the rate of a 512³ product ${rate(idealMs)}`,
  );
  const shares = Object.entries(mainThread).map(([kind, share]) => `${kind} ${percent(share as number)}`);
  console.log(`  main thread, of wall time: ${shares.join(", ")}\n`);
}

const percent = (share: number): string => `${(100 * share).toFixed(share < 0.095 ? 1 : 0)} %`;
