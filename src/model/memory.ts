/** What a model needs on the device, counted from its parameters: whether it fits is known before anything is made. */
import { isMatrix } from "../nn/parameters.ts";
import { rowRanges, storedBytes, type WeightStorage } from "../nn/weight.ts";
import { LimitError, OutOfMemoryError, sizeOf } from "../tensor/index.ts";
import { imageTokens, patchCells, type RediffConfig } from "./config.ts";
import { parameterSpecs, PROJECTOR, VISION } from "./parameterSpecs.ts";

/** What of an adapter, and of the machine, decides. */
export interface Machine {
  /** Bytes of the largest binding: `device.maxBindingBytes`. */
  readonly maxBindingBytes: number;
  readonly hasF16: boolean;
  /** Free bytes, where they can be known. WebGPU does not tell; a software adapter uses the system's memory. */
  readonly freeBytes?: number | undefined;
}

/** What is decoded: its size decides about activations and cache. */
export interface Workload {
  readonly batch: number;
  /** Tokens of text around the picture. */
  readonly prompt: number;
  /** Tokens of the picture. Default: those of one view. */
  readonly picture?: number;
}

export interface MemoryNeed {
  readonly storage: WeightStorage;
  /** Bytes of all weights, scales and padding included. */
  readonly weights: number;
  /** Keys and values of the prompt and the picture, f32, as `cache: "prompt"` keeps them. */
  readonly cache: number;
  /** At most alive at once besides, when a step runs the whole sequence without backward. */
  readonly activations: number;
  /** The largest buffer of any of them, and what it is. */
  readonly largest: { readonly name: string; readonly bytes: number };
  /** Weights that are split, each with its parts. */
  readonly split: readonly { readonly name: string; readonly parts: number }[];
  readonly total: number;
}

const F32 = 4;

/** Bytes that decoding takes. `maxBindingBytes` decides how weights are split. */
export function memoryNeed(
  config: RediffConfig,
  storage: WeightStorage,
  { batch: B, prompt, picture = imageTokens(config.vision) }: Workload,
  maxBindingBytes = Infinity,
): MemoryNeed {
  const { text } = config;
  let weights = 0;
  const split: { name: string; parts: number }[] = [];
  const buffers: { name: string; bytes: number }[] = [];
  for (const spec of parameterSpecs(config)) {
    const [rows, ...rest] = spec.shape as [number, ...number[]];
    const columns = sizeOf(rest);
    if (!isMatrix(spec)) {
      weights += rows * columns * F32;
      continue;
    }
    const ranges = rowRanges(rows, columns, "f32", maxBindingBytes, spec.name);
    if (ranges.length > 1) split.push({ name: spec.name, parts: ranges.length });
    weights += storedBytes(rows, columns, storage);
    buffers.push({ name: spec.name, bytes: storedBytes(ranges[0]!.end, columns, storage) });
  }

  const rows = B * (picture + prompt + text.canvas);
  // encodePicture shows the encoder four views at a time.
  const views = B * Math.min(4, Math.ceil(picture / imageTokens(config.vision)));
  const logits = B * text.canvas * text.vocabulary * F32;
  // Those of a head in parts are put together, and for that moment there twice.
  const heads = split.some(({ name }) => name === "lm_head.weight") ? 2 : 1;
  buffers.push({ name: "logits of the canvas", bytes: logits });
  buffers.push({ name: "inner activations of the MLP", bytes: rows * text.mlp * F32 });
  return {
    storage,
    weights,
    cache: 2 * text.layers * B * (picture + prompt) * text.width * F32,
    activations: Math.max(
      layerPeak(rows, text),
      rows * F32 * 5 * text.width + heads * logits,
      visionPeak(views, config),
    ),
    largest: buffers.reduce((most, buffer) => (buffer.bytes > most.bytes ? buffer : most)),
    split,
    get total() {
      return this.weights + this.cache + this.activations;
    },
  };
}

/** Floating-point operations of the matrix products and attention of one step without cache. `batch` and `picture` as in `memoryNeed`. */
export function stepFlops(
  config: RediffConfig,
  { batch: B, prompt, picture = imageTokens(config.vision) }: Workload,
): number {
  const { text, vision } = config;
  const rows = picture + prompt + text.canvas;
  const rowsOf = (name: string): number => {
    if (name === "model.embed_tokens.weight") return 0; // looked up, not multiplied
    if (name === "lm_head.weight") return text.canvas;
    return name.startsWith(VISION) || name.startsWith(PROJECTOR) ? picture : rows;
  };
  const products = parameterSpecs(config)
    .filter(isMatrix)
    .reduce((sum, { name, shape }) => sum + 2 * rowsOf(name) * sizeOf(shape), 0);
  const scores = text.layers * rows ** 2 * text.width + vision.layers * picture * imageTokens(vision) * vision.width;
  return B * (products + 4 * scores);
}

/** Of a block: its input, norm, q, k, v, two rotated, mixed, out, sum, norm, down, sum; embeddings in three stages; inner rows. */
const layerPeak = (rows: number, { width, mlp }: { width: number; mlp: number }): number =>
  rows * F32 * (17 * width + 3 * mlp);

/** Pixels as they come and as patches, the stem's windows and maps, and a block: with biases, so each product is there twice. */
function visionPeak(B: number, { vision }: RediffConfig): number {
  const { imageSize, width, mlp, stem } = vision;
  const block = B * imageTokens(vision) * (18 * width + 3 * mlp);
  // Of a convolution: windows, which are padded to whole vectors, three maps, and the weight in the order of a window.
  const maps = (stem?.widths ?? []).map((out, i, widths) => {
    const cells = B * Math.floor(imageSize / 2 ** (i + 1)) ** 2;
    const window = 9 * Math.max(widths[i - 1] ?? 3, 4);
    return cells * (window + 3 * out) + window * out;
  });
  const { channels, side } = patchCells(vision);
  const patch = stem ? side ** 2 * channels * (width + 2 * B * imageTokens(vision)) : 0;
  return F32 * (block + patch + 3 * B * 3 * imageSize ** 2 + maps.reduce((sum, n) => sum + n, 0));
}

/** Why it does not run on a machine, in words with numbers; undefined where nothing that is known is against it. */
export function obstacle(need: MemoryNeed, { maxBindingBytes, hasF16, freeBytes }: Machine): string | undefined {
  if (need.storage === "f16" && !hasF16) return "the adapter has no shader-f16";
  if (need.largest.bytes > maxBindingBytes)
    return `${need.largest.name} take ${inGB(need.largest.bytes)} in one binding; the adapter binds ${inGB(maxBindingBytes)}`;
  if (freeBytes !== undefined && need.total > freeBytes) return `${inGB(need.total - freeBytes)} of memory are missing`;
  return undefined;
}

/** Throws what `obstacle` finds, before anything is made. */
export function checkFits(need: MemoryNeed, machine: Machine): void {
  const why = obstacle(need, machine);
  if (why === undefined) return;
  const facts = { ...need, ...machine };
  const sizes = `it needs ${inGB(need.total)}${machine.freeBytes === undefined ? "" : `, ${inGB(machine.freeBytes)} are free`}`;
  const message = `The model does not fit in ${need.storage}: ${why} (${sizes}). \`rediff doctor --model\` shows every storage.`;
  throw need.largest.bytes > machine.maxBindingBytes
    ? new LimitError(message, facts)
    : new OutOfMemoryError(message, facts);
}

/** Decimal, as memory is sold: 4.48 GB, 64.7 MB, 98.3 kB. */
export function inGB(bytes: number): string {
  if (bytes >= 1e9) return `${(bytes / 1e9).toFixed(2)} GB`;
  return bytes >= 1e6 ? `${(bytes / 1e6).toFixed(1)} MB` : `${(bytes / 1e3).toFixed(1)} kB`;
}
