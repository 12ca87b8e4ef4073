/**
 * Commands: operations record what the device shall do into a list; `flush` encodes the list into one command buffer.
 *
 * Recording is plain data and returns at once, so pipelines compile in parallel while recording goes on, and order is
 * kept even for uploads: an upload in the middle of a list splits the submission, because `queue.writeBuffer` takes
 * effect before everything that is submitted after it. Where all pipelines of a list are compiled, it is submitted as
 * soon as it has EARLY commands: the device works while the rest is recorded. Elementwise operations that follow each other
 * are joined first, see elementwiseRun.ts.
 *
 * Parameters of all dispatches of a submission lie in one uniform buffer, one slot each, bound with a dynamic offset.
 * Bind groups therefore depend on buffers only, and are cached: a training step makes none after its first pass.
 */
import type { Block } from "./buffers.ts";
import { type Elementwise, RunFuser } from "./elementwiseRun.ts";
import { LimitError, ShapeError } from "./errors.ts";
import type { Kernel, KernelCache } from "./kernel.ts";

export type Workgroups = number | readonly [number, number?, number?];

interface Dispatch {
  readonly kind: "dispatch";
  readonly kernel: Kernel;
  /** In the order of the kernel's bindings. */
  readonly blocks: readonly Block[];
  readonly params: Uint32Array | undefined;
  readonly workgroups: readonly [number, number, number];
  readonly label: string;
  /** Where it is an operation that can be part of a run. */
  readonly elementwise?: Elementwise | undefined;
}

type Command =
  | Dispatch
  | { readonly kind: "upload"; readonly block: Block; readonly bytes: Uint8Array<ArrayBuffer>; readonly offset: number }
  | {
      readonly kind: "copy";
      readonly from: GPUBuffer;
      readonly fromOffset: number;
      readonly to: GPUBuffer;
      readonly toOffset: number;
      readonly bytes: number;
    }
  | { readonly kind: "clear"; readonly block: Block };

/** GPU time by label, as `profile` collects it. */
export type KernelTimes = Map<string, { count: number; ns: number }>;

export interface CommandCounters {
  dispatches: number;
  submissions: number;
  /** Made, not used. */
  bindGroups: number;
  /** Waits for values to come back from the device, and what came. */
  readbacks: number;
  readbackBytes: number;
}

const SLOTS = 4096;
/** Commands of an early submission: enough that its cost is small beside theirs. Of fused ones a quarter are enough. */
const EARLY = 64;
const MAX_BIND_GROUPS = 16384;

export class Recorder {
  readonly counters: CommandCounters = {
    dispatches: 0,
    submissions: 0,
    bindGroups: 0,
    readbacks: 0,
    readbackBytes: 0,
  };
  readonly #gpu: GPUDevice;
  readonly #canary: number;
  readonly #slotBytes: number;
  readonly #params: GPUBuffer;
  readonly #staging: Uint32Array<ArrayBuffer>;
  /** The dynamic offset of the next dispatch, as the API takes it without a new array. */
  readonly #slotOffset = new Uint32Array(1);
  readonly #bindGroups = new Map<string, GPUBindGroup>();
  readonly #fuser: RunFuser;
  /** What is recorded, in order: first what has been looked at for runs, then the last commands, fewer than EARLY. */
  #list: Command[] = [];
  #recent: Command[] = [];
  #tail: Promise<void> = Promise.resolve();
  /** Calls of `flush` whose commands are not submitted yet; nothing may overtake them. */
  #flushing = 0;
  #times: KernelTimes | undefined;

  constructor(gpu: GPUDevice, canaryBytes: number, kernels: KernelCache) {
    this.#gpu = gpu;
    this.#fuser = new RunFuser(kernels, gpu.limits);
    this.#canary = canaryBytes;
    this.#slotBytes = Math.max(gpu.limits.minUniformBufferOffsetAlignment, 256);
    this.#params = gpu.createBuffer({
      label: "params",
      size: SLOTS * this.#slotBytes,
      usage: GPUBufferUsage.UNIFORM | GPUBufferUsage.COPY_DST,
    });
    this.#staging = new Uint32Array((SLOTS * this.#slotBytes) / 4);
  }

  /**
   * Records one dispatch. Buffers and parameters are given by the names that the kernel declares; a missing or unknown
   * name throws ShapeError here, not at the device.
   */
  dispatch(
    kernel: Kernel,
    blocks: Readonly<Record<string, Block>>,
    params: Readonly<Record<string, number>>,
    workgroups: Workgroups,
    label: string,
    elementwise?: Elementwise,
  ): void {
    const { source } = kernel;
    const bound: Block[] = [];
    for (const { name } of source.bindings) {
      const block = blocks[name];
      if (!block) throw new ShapeError(`${source.name}.wgsl: no buffer given for binding \`${name}\`.`, { name });
      bound.push(block);
    }
    const [x, y = 1, z = 1] = typeof workgroups === "number" ? [workgroups] : workgroups;
    const limit = this.#gpu.limits.maxComputeWorkgroupsPerDimension;
    if (Math.max(x, y, z) > limit)
      throw new LimitError(`${label}: at most ${limit} workgroups in a dimension; this call needs ${x}×${y}×${z}.`, {
        label,
        x,
        y,
        z,
        limit,
      });
    this.#add({
      kind: "dispatch",
      kernel,
      blocks: bound,
      params: source.params.length ? packParams(kernel, params) : undefined,
      workgroups: [x, y, z],
      label,
      elementwise,
    });
  }

  upload(block: Block, bytes: Uint8Array<ArrayBuffer>, offset = 0): void {
    this.#add({ kind: "upload", block, bytes, offset });
  }

  copy(from: GPUBuffer, to: GPUBuffer, bytes: number, fromOffset = 0, toOffset = 0): void {
    this.#add({ kind: "copy", from, fromOffset, to, toOffset, bytes });
  }

  clear(block: Block): void {
    this.#add({ kind: "clear", block });
  }

  /** Starts to collect GPU time by label; every dispatch gets a pass of its own until `stopProfile`. */
  startProfile(): void {
    this.#times = new Map();
  }

  stopProfile(): KernelTimes {
    const times = this.#times ?? new Map();
    this.#times = undefined;
    return times;
  }

  /** Submits all that is recorded. Resolves when it is submitted, not when it is done. */
  flush(): Promise<void> {
    const list = this.#take();
    this.#flushing++;
    // What failed before has been reported to whoever awaited it.
    this.#tail = this.#tail
      .catch(() => undefined)
      .then(async () => {
        const waiting = new Set<Promise<void>>();
        for (const command of list)
          if (command.kind === "dispatch" && !command.kernel.pipeline) waiting.add(command.kernel.ready);
        if (waiting.size) await Promise.all(waiting);
        this.#flushing--;
        await this.#submit(list);
      });
    return this.#tail;
  }

  forgetBindGroups(): void {
    this.#bindGroups.clear();
  }

  close(): void {
    this.#list = [];
    this.#recent = [];
    this.#bindGroups.clear();
    this.#params.destroy();
  }

  #add(command: Command): void {
    this.#recent.push(command);
    if (this.#recent.length < EARLY) return;
    this.#fuse(false);
    if (this.#list.length < EARLY / 4 || this.#flushing || this.#times) return;
    if (!this.#list.every((one) => one.kind !== "dispatch" || one.kernel.pipeline)) return;
    void this.#submit(this.#drain());
  }

  /** Moves what is recent to the list, but for a run that may go on unless `isLast`. */
  #fuse(isLast: boolean): void {
    const { done, open } = this.#fuser.fuse<Command>(
      this.#recent,
      isLast,
      (command) => (command.kind === "dispatch" ? command.elementwise : undefined),
      (command) => (this.#canary && command.kind === "upload" && command.offset ? command.block : undefined),
      (run, dispatch) => ({
        kind: "dispatch",
        ...dispatch,
        params: packParams(dispatch.kernel, dispatch.params),
        label: labelOf(run as readonly Dispatch[]),
      }),
    );
    this.#list.push(...done);
    this.#recent = [...open];
  }

  #take(): Command[] {
    this.#fuse(true);
    return this.#drain();
  }

  #drain(): Command[] {
    const list = this.#list;
    this.#list = [];
    return list;
  }

  async #submit(list: readonly Command[]): Promise<void> {
    const gpu = this.#gpu;
    let encoder: GPUCommandEncoder | undefined;
    let pass: GPUComputePassEncoder | undefined;
    /** What the pass has, so that it is not told again: each call into the browser or Dawn costs some microseconds. */
    let pipeline: GPUComputePipeline | undefined;
    let slot = 0;
    const clock = this.#times && new Stopwatch(gpu, this.#times, SLOTS / 2);
    const reads: Promise<void>[] = [];
    const submit = () => {
      pass?.end();
      pass = undefined;
      if (!encoder) return;
      if (slot) gpu.queue.writeBuffer(this.#params, 0, this.#staging, 0, (slot * this.#slotBytes) / 4);
      const read = clock?.resolve(encoder);
      gpu.queue.submit([encoder.finish()]);
      if (read) reads.push(read());
      this.counters.submissions++;
      encoder = undefined;
      slot = 0;
    };
    for (const command of list) {
      if (command.kind === "upload") {
        submit();
        gpu.queue.writeBuffer(command.block.buffer, command.offset, command.bytes);
        continue;
      }
      if (slot === SLOTS || clock?.full) submit();
      encoder ??= gpu.createCommandEncoder();
      if (command.kind === "dispatch") {
        const { kernel, blocks, params, workgroups, label } = command;
        if (!kernel.pipeline) continue; // Its error has been reported, and the next await throws it.
        if (clock) {
          pass?.end();
          pass = undefined;
        }
        if (!pass) {
          pass = encoder.beginComputePass(clock && { label, timestampWrites: clock.next(label) });
          pipeline = undefined;
        }
        if (pipeline !== kernel.pipeline) pass.setPipeline((pipeline = kernel.pipeline));
        const group = this.#bindGroup(kernel, blocks);
        if (params) {
          this.#slotOffset[0] = slot++ * this.#slotBytes;
          this.#staging.set(params, this.#slotOffset[0] / 4);
          pass.setBindGroup(0, group, this.#slotOffset, 0, 1);
        } else pass.setBindGroup(0, group);
        pass.dispatchWorkgroups(workgroups[0], workgroups[1], workgroups[2]);
        this.counters.dispatches++;
      } else {
        pass?.end();
        pass = undefined;
        if (command.kind === "copy")
          encoder.copyBufferToBuffer(command.from, command.fromOffset, command.to, command.toOffset, command.bytes);
        else encoder.clearBuffer(command.block.buffer, 0, command.block.bytes);
      }
    }
    submit();
    await Promise.all(reads);
    clock?.destroy();
  }

  #bindGroup(kernel: Kernel, blocks: readonly Block[]): GPUBindGroup {
    let key = `${kernel.id}`;
    for (const { id, bytes, offset } of blocks) key += offset ? `,${id}:${bytes}+${offset}` : `,${id}:${bytes}`;
    let group = this.#bindGroups.get(key);
    if (!group) {
      if (this.#bindGroups.size >= MAX_BIND_GROUPS) this.#bindGroups.clear();
      const buffers = kernel.source.bindings.map(({ binding, window }, i) => {
        const { buffer, bytes, offset = 0 } = blocks[i]!;
        return { binding, resource: { buffer, offset, size: window ?? bytes + this.#canary } };
      });
      const uniform = kernel.source.params.length
        ? [{ binding: 0, resource: { buffer: this.#params, size: this.#slotBytes } }]
        : [];
      group = this.#gpu.createBindGroup({
        label: kernel.source.name,
        layout: kernel.layout,
        entries: [...uniform, ...buffers],
      });
      this.#bindGroups.set(key, group);
      this.counters.bindGroups++;
    }
    return group;
  }
}

/** The names of the operations of a run, each once. */
const labelOf = (run: readonly Dispatch[]): string => [...new Set(run.map(({ label }) => label))].join(" + ");

const floatWord = new Float32Array(1);
const wordOfFloat = new Uint32Array(floatWord.buffer);

/** Values in the order of `struct Params`, one word each. */
function packParams({ source }: Kernel, values: Readonly<Record<string, number>>): Uint32Array {
  const words = new Uint32Array(source.params.length);
  for (let i = 0; i < words.length; i++) {
    const { name, type } = source.params[i]!;
    const value = values[name];
    if (value === undefined)
      throw new ShapeError(`${source.name}.wgsl: no value given for parameter \`${name}\`.`, { name });
    if (type === "f32") {
      floatWord[0] = value;
      words[i] = wordOfFloat[0]!;
    } else words[i] = value; // Negative integers wrap to the bits of an i32.
  }
  return words;
}

/** Timestamps around every pass of a submission. */
class Stopwatch {
  readonly #gpu: GPUDevice;
  readonly #times: KernelTimes;
  readonly #capacity: number;
  #set: GPUQuerySet;
  #labels: string[] = [];

  constructor(gpu: GPUDevice, times: KernelTimes, capacity: number) {
    this.#gpu = gpu;
    this.#times = times;
    this.#capacity = capacity;
    this.#set = gpu.createQuerySet({ type: "timestamp", count: 2 * capacity });
  }

  get full(): boolean {
    return this.#labels.length === this.#capacity;
  }

  next(label: string): GPUComputePassTimestampWrites {
    const index = 2 * this.#labels.push(label) - 2;
    return { querySet: this.#set, beginningOfPassWriteIndex: index, endOfPassWriteIndex: index + 1 };
  }

  /** Encodes the copy of the timestamps; the function it returns reads them once the encoder is submitted. */
  resolve(encoder: GPUCommandEncoder): (() => Promise<void>) | undefined {
    const labels = this.#labels;
    if (!labels.length) return undefined;
    this.#labels = [];
    const size = 16 * labels.length;
    const resolved = this.#gpu.createBuffer({ size, usage: GPUBufferUsage.QUERY_RESOLVE | GPUBufferUsage.COPY_SRC });
    const mapped = this.#gpu.createBuffer({ size, usage: GPUBufferUsage.MAP_READ | GPUBufferUsage.COPY_DST });
    encoder.resolveQuerySet(this.#set, 0, 2 * labels.length, resolved, 0);
    encoder.copyBufferToBuffer(resolved, 0, mapped, 0, size);
    return async () => {
      await mapped.mapAsync(GPUMapMode.READ);
      const ticks = new BigUint64Array(mapped.getMappedRange().slice(0));
      labels.forEach((label, i) => {
        const entry = this.#times.get(label) ?? { count: 0, ns: 0 };
        entry.count++;
        entry.ns += Number(ticks[2 * i + 1]! - ticks[2 * i]!);
        this.#times.set(label, entry);
      });
      resolved.destroy();
      mapped.destroy();
    };
  }

  destroy(): void {
    this.#set.destroy();
  }
}
