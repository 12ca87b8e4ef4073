/**
 * The device: one adapter, its limits and features, and the parts that share it (pool, kernels, recorder).
 *
 * Errors that the driver reports late are kept here and thrown at the next await on the engine.
 */
import { type Block, BufferPool, CANARY_BYTES, CANARY_WORD, type MemoryReport } from "./buffers.ts";
import { Recorder } from "./commands.ts";
import {
  AdapterError,
  CanaryError,
  DeviceLostError,
  GpuValidationError,
  OutOfMemoryError,
  type RediffError,
} from "./errors.ts";
import { KernelCache } from "./kernel.ts";

/** How matrix products may round their operands. */
export type MatmulPrecision = "f32" | "f16";

/** What a subgroup multiplies at once: (M, K) by (K, N), with sums in f32. */
export interface MatrixUnit {
  readonly M: number;
  readonly N: number;
  readonly K: number;
}

/** By the type of the operands. */
export type MatrixUnits = Readonly<Partial<Record<MatmulPrecision, MatrixUnit>>>;

/** One entry of the adapter's list. */
interface SubgroupMatrixConfig {
  readonly M: number;
  readonly N: number;
  readonly K: number;
  readonly componentType: string;
  readonly resultComponentType: string;
}

/** Checks that cost time, off by default. */
export interface DebugLevels {
  /** Checks every output for NaN and infinity, by bits, after the operation that made it. */
  readonly finite?: boolean;
  /** Puts a guard behind every buffer; `checkCanaries` tells whether a kernel wrote there. */
  readonly canary?: boolean;
}

export interface DeviceOptions {
  readonly debug?: DebugLevels;
  /** The WebGPU implementation. Default: Dawn in Node, `navigator.gpu` in a browser. */
  readonly gpu?: GPU;
  /** Kernel texts by name: all of them where there are no files (a browser), else those that replace a file. */
  readonly kernels?: Readonly<Record<string, string>>;
  /** Do not use these features although the adapter has them: to test the paths without them. */
  readonly without?: readonly WantedFeature[];
  /** Bind no more than this many bytes although the adapter could: to test what is split, on tensors that are small. */
  readonly maxBindingBytes?: number;
}

/** Of the matrix units: experimental, so that types do not know its name. */
export const SUBGROUP_MATRIX = "chromium-experimental-subgroup-matrix";
const WANTED_FEATURES = ["subgroups", "shader-f16", "timestamp-query", SUBGROUP_MATRIX] as const;
type WantedFeature = (typeof WANTED_FEATURES)[number];
const WANTED_LIMITS = [
  "maxBufferSize",
  "maxStorageBufferBindingSize",
  "maxStorageBuffersPerShaderStage",
  "maxComputeWorkgroupStorageSize",
  "maxComputeInvocationsPerWorkgroup",
  "maxComputeWorkgroupSizeX",
  "maxComputeWorkgroupSizeY",
  "maxComputeWorkgroupSizeZ",
] as const;

/** Awaits what the device does. */
type Wait = <T>(work: Promise<T>) => Promise<T>;

/** A stretch of a buffer, in bytes. */
export interface BufferRange {
  readonly buffer: GPUBuffer;
  readonly offset: number;
  readonly bytes: number;
}

const canary = new Uint32Array(CANARY_BYTES / 4).fill(CANARY_WORD);

export class Device {
  readonly gpu: GPUDevice;
  readonly info: GPUAdapterInfo;
  /** Whether the adapter computes on the processor. */
  readonly isSoftware: boolean;
  /** Lanes of a subgroup when the adapter has them and they never vary; else undefined. */
  readonly subgroupSize: number | undefined;
  readonly debug: DebugLevels;
  /** The adapter's matrix units, where it offers them and its subgroups have one size. */
  readonly matrix: MatrixUnits;
  /**
   * "f32": exact operands. "f16": products may round their operands to f16 where matrix units are faster for it; sums stay
   * f32. That leaves 11 bits of 6e-5 < |x| < 65,520, fewer of what is smaller, and infinity of what is larger: not for
   * training. May be set at any time. As PyTorch's torch.set_float32_matmul_precision, which rounds to other types.
   */
  matmulPrecision: MatmulPrecision = "f32";
  /** Floating-point operations of all matrix products so far, for rates: differences between two readings. */
  productFlops = 0;
  /** The largest tensor, in bytes: it must fit one storage binding. */
  readonly maxBindingBytes: number;
  readonly pool: BufferPool;
  readonly kernels: KernelCache;
  readonly recorder: Recorder;
  /** Whether operations record what backward needs; `noGrad` switches it off. */
  gradEnabled = true;
  /** Lifetimes, innermost last: what is made belongs to the last one and is freed with it (see `scope`). */
  readonly scopes: Set<{ dispose(): void }>[] = [];
  /** Run at the next await, after the work recorded so far: the debug checks put themselves here. */
  readonly pendingChecks: (() => Promise<void>)[] = [];
  readonly #waitOnProcessor: Wait | undefined;
  #errors: RediffError[] = [];
  #closed = false;

  /** `waitOnProcessor` is how to await work where the adapter needs the cores that waiting may take; default: `await`. */
  constructor(
    gpu: GPUDevice,
    info: GPUAdapterInfo,
    readKernel: (name: string) => string,
    debug: DebugLevels,
    waitOnProcessor?: Wait,
    maxBindingBytes = Infinity,
  ) {
    this.gpu = gpu;
    this.info = info;
    this.debug = debug;
    const { description, architecture, device, subgroupMinSize, subgroupMaxSize } = info;
    this.isSoftware = /llvmpipe|lavapipe|swiftshader|warp|software/i.test(`${description} ${architecture} ${device}`);
    this.#waitOnProcessor = this.isSoftware ? waitOnProcessor : undefined;
    this.subgroupSize =
      gpu.features.has("subgroups") && subgroupMinSize === subgroupMaxSize ? subgroupMinSize : undefined;
    this.matrix = this.subgroupSize === undefined ? {} : matrixUnits(gpu, info);
    const { maxBufferSize, maxStorageBufferBindingSize } = gpu.limits;
    this.maxBindingBytes = Math.min(maxBufferSize, maxStorageBufferBindingSize, maxBindingBytes);
    this.pool = new BufferPool(gpu, this.maxBindingBytes, debug.canary === true);
    this.kernels = new KernelCache(gpu, readKernel, (error) => this.report(error));
    this.recorder = new Recorder(gpu, debug.canary ? CANARY_BYTES : 0, this.kernels);
    gpu.addEventListener("uncapturederror", (event) => {
      event.preventDefault();
      const { error } = event;
      this.report(
        error instanceof GPUOutOfMemoryError
          ? new OutOfMemoryError(`The device is out of memory. ${error.message}`, { ...this.memory() })
          : new GpuValidationError(`The device refused a command. ${error.message}`),
      );
    });
    void gpu.lost.then(({ reason, message }) => {
      if (!this.#closed)
        this.report(
          new DeviceLostError(`The device was lost (${reason}). ${message} Open a new one with openDevice().`, {
            reason,
          }),
        );
      this.#closed = true;
    });
  }

  get closed(): boolean {
    return this.#closed;
  }

  memory(): MemoryReport {
    return this.pool.report();
  }

  /** Counts `peakBytes` from now on. */
  resetPeak(): void {
    this.pool.resetPeak();
  }

  /** A buffer from the pool, with a guard behind it at debug level `canary`. */
  allocate(bytes: number, label: string): Block {
    const block = this.pool.acquire(bytes, label);
    if (this.debug.canary) this.recorder.upload(block, new Uint8Array(canary.buffer), block.bytes);
    return block;
  }

  /** Keeps an error for the next await. */
  report(error: RediffError): void {
    this.#errors.push(error);
  }

  /** Throws the first error that was reported since the last call. Further ones are listed in its `facts`. */
  throwPending(): void {
    const [first, ...rest] = this.#errors;
    this.#errors = [];
    if (!first) return;
    if (rest.length) Object.assign(first.facts, { further: rest.map((error) => error.message) });
    throw first;
  }

  /** Submits all recorded work and waits until the device has done it. */
  async flush(): Promise<void> {
    if (this.#closed) {
      this.throwPending();
      throw new DeviceLostError("The device is closed. Open a new one with openDevice().");
    }
    await this.recorder.flush();
    await this.#finished(this.gpu.queue.onSubmittedWorkDone());
    await this.#settle();
  }

  /** Submits all recorded work without waiting for it; errors so far are thrown. */
  async submit(): Promise<void> {
    await this.recorder.flush();
    this.throwPending();
  }

  /** Copies ranges of buffers to memory, with one wait for all: submits all recorded work and waits for it. */
  async readBuffers(ranges: readonly BufferRange[]): Promise<ArrayBuffer[]> {
    if (this.#closed) {
      this.throwPending();
      throw new DeviceLostError("The device is closed. Open a new one with openDevice().");
    }
    let size = 0;
    const parts = ranges.map(({ buffer, offset, bytes }) => {
      const [start, whole] = [size, Math.ceil(bytes / 4) * 4];
      size += whole;
      return { buffer, offset, start, whole };
    });
    const staging = this.gpu.createBuffer({
      label: "read",
      size,
      usage: GPUBufferUsage.MAP_READ | GPUBufferUsage.COPY_DST,
    });
    for (const { buffer, offset, start, whole } of parts) this.recorder.copy(buffer, staging, whole, offset, start);
    this.recorder.counters.readbacks++;
    this.recorder.counters.readbackBytes += size;
    try {
      await this.recorder.flush();
      await this.#finished(staging.mapAsync(GPUMapMode.READ));
      const all = staging.getMappedRange();
      const copies = parts.map(({ start, whole }) => all.slice(start, start + whole));
      await this.#settle();
      return copies;
    } catch (error) {
      // A lost device rejects the mapping a little before it says so itself.
      await Promise.race([this.gpu.lost, new Promise((resolve) => setTimeout(resolve, 20))]);
      this.throwPending();
      throw error;
    } finally {
      staging.destroy();
    }
  }

  /** At debug level `canary`: throws CanaryError when a kernel wrote behind the end of a live buffer. */
  async checkCanaries(): Promise<void> {
    for (const block of this.pool.live) {
      const guard = { buffer: block.buffer, offset: block.bytes, bytes: CANARY_BYTES };
      const words = new Uint32Array((await this.readBuffers([guard]))[0]!);
      const at = words.findIndex((word) => word !== CANARY_WORD);
      if (at >= 0)
        throw new CanaryError(
          `${block.label}: a kernel wrote ${4 * at} bytes behind the end of its buffer of ${block.bytes} bytes.`,
          {
            label: block.label,
            bytes: block.bytes,
          },
        );
    }
  }

  /** Destroys every buffer and the device. Tensors of it can no longer be used. */
  async close(): Promise<void> {
    if (this.#closed) return;
    await this.recorder.flush();
    await this.#finished(this.gpu.queue.onSubmittedWorkDone());
    this.#closed = true;
    this.recorder.close();
    this.pool.close();
    this.gpu.destroy();
    await this.gpu.lost;
  }

  #finished<T>(work: Promise<T>): Promise<T> {
    return this.#waitOnProcessor ? this.#waitOnProcessor(work) : work;
  }

  async #settle(): Promise<void> {
    const checks = this.pendingChecks.splice(0);
    for (const check of checks) await check();
    this.throwPending();
  }
}

/**
 * Opens the default adapter. In Node that is Dawn's; in a browser `navigator.gpu`, and `kernels` must be given.
 * Throws AdapterError when there is none.
 */
export async function openDevice(options: DeviceOptions = {}): Promise<Device> {
  const { kernels = {}, without = [] } = options;
  const node = typeof process === "undefined" || !process.versions?.node ? undefined : await import("./node.ts");
  const gpu = options.gpu ?? (node ? await node.nodeGpu() : navigator.gpu);
  if (!gpu) throw new AdapterError("This browser has no WebGPU. Use a recent Chrome, Edge, Safari or Firefox.");
  const adapter = await gpu.requestAdapter({ powerPreference: "high-performance" });
  if (!adapter)
    throw new AdapterError(
      "WebGPU finds no adapter on this machine. `npm run doctor` says what it saw and which command would help.",
    );
  const requiredFeatures = WANTED_FEATURES.filter(
    (feature) => adapter.features.has(feature) && !without.includes(feature),
  ) as GPUFeatureName[];
  const requiredLimits: Record<string, number> = {};
  for (const limit of WANTED_LIMITS) requiredLimits[limit] = adapter.limits[limit];
  const device = await adapter.requestDevice({ requiredFeatures, requiredLimits });
  const readKernel = (name: string): string => {
    const text = kernels[name] ?? node?.readKernelFile(name);
    if (text === undefined) throw new AdapterError(`Kernel ${name}.wgsl is not in the bundle.`, { name });
    return text;
  };
  return new Device(
    device,
    adapter.info,
    readKernel,
    options.debug ?? {},
    node?.awaitWithNaps,
    options.maxBindingBytes,
  );
}

/** Of what the adapter lists, the largest matrices of each type that sum in f32. */
function matrixUnits(gpu: GPUDevice, info: GPUAdapterInfo): MatrixUnits {
  if (!(gpu.features as ReadonlySet<string>).has(SUBGROUP_MATRIX)) return {};
  const { subgroupMatrixConfigs = [] } = info as { subgroupMatrixConfigs?: Iterable<SubgroupMatrixConfig> };
  const units: Partial<Record<MatmulPrecision, MatrixUnit>> = {};
  for (const { M, N, K, componentType, resultComponentType } of subgroupMatrixConfigs) {
    const isKnown = componentType === "f32" || (componentType === "f16" && gpu.features.has("shader-f16"));
    if (!isKnown || resultComponentType !== "f32") continue;
    const larger = units[componentType];
    if (!larger || M * N * K > larger.M * larger.N * larger.K) units[componentType] = { M, N, K };
  }
  return units;
}
