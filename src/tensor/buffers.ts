/**
 * GPU memory: a pool of buffers by size class, and counters of live bytes.
 *
 * Creating a buffer costs far more than a dispatch and undestroyed ones are never collected, so released buffers are kept
 * and handed out again. Work is recorded in order, so a buffer may be reused as soon as its owner lets go of it.
 */
import { DeviceLostError, LimitError } from "./errors.ts";

/**
 * A GPU buffer of the pool in one use. `bytes` is what its user asked for, rounded up to 16; `capacity` is what was
 * allocated. It never changes: recorded commands hold it after its tensor is gone.
 */
export interface Block {
  readonly id: number;
  readonly buffer: GPUBuffer;
  readonly capacity: number;
  readonly bytes: number;
  readonly label: string;
  /** Where a window of a kernel begins, in bytes; a multiple of WINDOW_ALIGNMENT. Default 0. */
  readonly offset?: number;
}

/** Uniform bindings begin at multiples of this many bytes on any adapter. */
export const WINDOW_ALIGNMENT = 256;

export interface MemoryReport {
  /** Bytes held by tensors now. */
  readonly liveBytes: number;
  /** The largest value `liveBytes` has had, since `resetPeak` if that was called. */
  readonly peakBytes: number;
  /** Bytes of buffers waiting in the pool. */
  readonly pooledBytes: number;
  /** Bytes of all buffers, in use or waiting: what the device has given. It falls only with `trim`. */
  readonly heldBytes: number;
  readonly liveBuffers: number;
}

/** Words behind the end of every buffer at debug level `canary`, and the value that must stay in them. */
export const CANARY_BYTES = 64;
export const CANARY_WORD = 0xca9a27;

const roundUp = (n: number, step: number): number => Math.ceil(n / step) * step;

/**
 * Rounds up to 1, 1.25, 1.5 or 1.75 times a power of two, but by no more than 4 MiB: at most a quarter is wasted, little
 * of large weights, and few classes exist.
 */
function sizeClass(bytes: number): number {
  if (bytes <= 256) return 256;
  const step = Math.min(2 ** (Math.floor(Math.log2(bytes)) - 2), 2 ** 22);
  return roundUp(bytes, Math.max(step, 16));
}

export class BufferPool {
  readonly #gpu: GPUDevice;
  readonly #limit: number;
  readonly #canary: boolean;
  readonly #free = new Map<number, Block[]>();
  readonly #live = new Set<Block>();
  #closed = false;
  #nextId = 1;
  #liveBytes = 0;
  #peakBytes = 0;
  #pooledBytes = 0;
  #heldBytes = 0;

  /** `limit`: bytes of the largest block. */
  constructor(gpu: GPUDevice, limit: number, canary: boolean) {
    this.#gpu = gpu;
    this.#canary = canary;
    this.#limit = limit;
  }

  get live(): ReadonlySet<Block> {
    return this.#live;
  }

  report(): MemoryReport {
    return {
      liveBytes: this.#liveBytes,
      peakBytes: this.#peakBytes,
      pooledBytes: this.#pooledBytes,
      heldBytes: this.#heldBytes,
      liveBuffers: this.#live.size,
    };
  }

  resetPeak(): void {
    this.#peakBytes = this.#liveBytes;
  }

  /** A buffer of at least `bytes`; its content is undefined. Throws LimitError when a binding cannot be that large. */
  acquire(bytes: number, label: string): Block {
    if (this.#closed)
      throw new DeviceLostError(`${label}: the device is closed. Open a new one with openDevice().`, { label });
    const rounded = roundUp(Math.max(bytes, 16), 16);
    const limit = this.#limit;
    if (rounded > limit)
      throw new LimitError(
        `${label}: a tensor must fit one storage binding. It needs ${rounded} bytes; this adapter binds at most ${limit}. ` +
          `Split it along its first axis.`,
        { label, bytes: rounded, limit },
      );
    const capacity = Math.min(sizeClass(rounded), limit) + (this.#canary ? CANARY_BYTES : 0);
    const pooled = this.#free.get(capacity)?.pop();
    if (pooled) this.#pooledBytes -= capacity;
    const { id, buffer } = pooled ?? this.#create(capacity, label);
    const block = { id, buffer, capacity, bytes: rounded, label };
    this.#live.add(block);
    this.#liveBytes += rounded;
    this.#peakBytes = Math.max(this.#peakBytes, this.#liveBytes);
    return block;
  }

  release(block: Block): void {
    if (!this.#live.delete(block) || this.#closed) return;
    this.#liveBytes -= block.bytes;
    this.#pooledBytes += block.capacity;
    const bucket = this.#free.get(block.capacity) ?? [];
    this.#free.set(block.capacity, bucket);
    // Sorted, smallest id last: a step that repeats gets the same buffers in the same places, so bind groups are reused.
    let [at, end] = [0, bucket.length];
    while (at < end) {
      const middle = (at + end) >> 1;
      if (bucket[middle]!.id > block.id) at = middle + 1;
      else end = middle;
    }
    bucket.splice(at, 0, block);
  }

  /** Destroys what waits in the pool. */
  trim(): void {
    for (const bucket of this.#free.values()) for (const block of bucket) block.buffer.destroy();
    this.#free.clear();
    this.#heldBytes -= this.#pooledBytes;
    this.#pooledBytes = 0;
  }

  close(): void {
    this.trim();
    for (const block of this.#live) block.buffer.destroy();
    this.#live.clear();
    this.#liveBytes = 0;
    this.#heldBytes = 0;
    this.#closed = true;
  }

  #create(capacity: number, label: string): Block {
    // UNIFORM: some products read an operand through windows (ops/matmulWindows.ts).
    const usage = GPUBufferUsage.STORAGE | GPUBufferUsage.UNIFORM | GPUBufferUsage.COPY_SRC | GPUBufferUsage.COPY_DST;
    const buffer = this.#gpu.createBuffer({ label: `${label}, ${capacity} bytes`, size: capacity, usage });
    this.#heldBytes += capacity;
    return { id: this.#nextId++, buffer, capacity, bytes: 0, label: "" };
  }
}
