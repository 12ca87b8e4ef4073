/** What a model needs on the device, counted from its parameters: whether it fits is known before anything is made. */
import { isMatrix } from "../nn/parameters.ts";
import { rowRanges, storedBytes, type WeightStorage, weightStorages } from "../nn/weight.ts";
import { LimitError, OutOfMemoryError, sizeOf } from "../tensor/index.ts";
import { hasVision, imageTokens, type LanguageConfig, patchCells, type RediffConfig } from "./config.ts";
import { languageSpecs, parameterSpecs, PROJECTOR, VISION } from "./parameterSpecs.ts";

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
  /** Tokens of the picture, or of all pictures together. Default: those of one view. */
  readonly picture?: number;
  /** Tokens of the canvas. Default: the model's own. */
  readonly canvas?: number;
  /** Whether keys and values of the prompt are kept between steps (`cache: "prompt"`). Default: no. */
  readonly cache?: boolean;
}

export interface MemoryNeed {
  readonly storage: WeightStorage;
  /** Bytes of all weights, scales and padding included. */
  readonly weights: number;
  /** Keys and values of the prompt and the picture, f32, where they are kept. */
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

/** Bytes that decoding takes, with pictures or, of a language model alone, without. `maxBindingBytes` decides how weights, and the rows of an MLP, are split. */
export function memoryNeed(
  config: LanguageConfig,
  storage: WeightStorage,
  workload: Workload,
  maxBindingBytes = Infinity,
): MemoryNeed {
  const { text } = config;
  const {
    batch: B,
    prompt,
    picture = hasVision(config) ? imageTokens(config.vision) : 0,
    canvas = text.canvas,
    cache = false,
  } = workload;
  let weights = 0;
  const split: { name: string; parts: number }[] = [];
  const buffers: { name: string; bytes: number }[] = [];
  for (const spec of languageSpecs(config)) {
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

  const rows = B * (picture + prompt + canvas);
  // Tiled pictures are encoded one after the other and four views at a time, square ones all at once.
  const each = hasVision(config) ? Math.ceil(picture / imageTokens(config.vision)) : 0;
  const views = config.tiling ? Math.min(4, each) : B * each;
  const logits = B * canvas * text.vocabulary * F32;
  const isSplit = (part: string): boolean => split.some(({ name }) => name.includes(part));
  // Outputs of a matrix in parts are put together, and for that moment there twice.
  const heads = isSplit("lm_head") ? 2 : 1;
  const inner = rowRanges(rows, text.mlp, "f32", maxBindingBytes, "inner activations of an MLP");
  const layer =
    layerPeak(rows, inner[0]!.end, text) +
    F32 *
      ((cache ? 2 * rows * text.width : 0) +
        Math.max(
          isSplit(".layers.0.mlp.gate_proj") ? inner[0]!.end * text.mlp : 0,
          isSplit(".layers.0.self_attn.q_proj") ? rows * text.width : 0,
          isSplit(".layers.0.mlp.down_proj") ? inner[0]!.end * text.width : 0,
        ));
  if (hasVision(config)) {
    const { imageSize, width } = config.vision;
    const view = Math.max(3 * imageSize ** 2, imageTokens(config.vision) * width);
    buffers.push({ name: "views of the vision encoder", bytes: views * view * F32 });
  }
  buffers.push({ name: "logits of the canvas", bytes: logits });
  buffers.push({ name: "hidden states of the sequence", bytes: rows * text.width * F32 });
  buffers.push({ name: "inner activations of the MLP", bytes: inner[0]!.end * text.mlp * F32 });
  return {
    storage,
    weights,
    cache: cache ? 2 * text.layers * B * (picture + prompt) * text.width * F32 : 0,
    activations: Math.max(
      layer,
      rows * F32 * 5 * text.width + heads * logits,
      hasVision(config) ? visionPeak(views, config) : 0,
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
  // The last layer has keys and values of all rows, and the rest of the canvas alone.
  const last = `model.layers.${text.layers - 1}.`;
  const ofKeys = [`${last}self_attn.k_proj.weight`, `${last}self_attn.v_proj.weight`];
  const rowsOf = (name: string): number => {
    if (name === "model.embed_tokens.weight") return 0; // looked up, not multiplied
    if (name === "lm_head.weight") return text.canvas;
    if (name.startsWith(last) && !ofKeys.includes(name)) return text.canvas;
    return name.startsWith(VISION) || name.startsWith(PROJECTOR) ? picture : rows;
  };
  const products = parameterSpecs(config)
    .filter(isMatrix)
    .reduce((sum, { name, shape }) => sum + 2 * rowsOf(name) * sizeOf(shape), 0);
  const attended = ((text.layers - 1) * rows + text.canvas) * rows;
  const scores = attended * text.width + vision.layers * picture * imageTokens(vision) * vision.width;
  return B * (products + 4 * scores);
}

/**
 * Of a block: its input, norm, q, k, v, two rotated, mixed, out, sum, norm, down, sum; embeddings in three stages; inner rows,
 * `part` of them at a time. Parts are copied, once for each of two products, and what comes of them is there twice.
 */
function layerPeak(rows: number, part: number, { width, mlp }: { width: number; mlp: number }): number {
  const copies = part < rows ? rows * width + part * 2 * width : 0;
  return F32 * (rows * 17 * width + part * 3 * mlp + copies);
}

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
  const message = `The model does not fit in ${need.storage}: ${why} (${sizes}). --dtype chooses another storage, --memory says what there is, and \`rediff doctor --model\` shows all.`;
  throw need.largest.bytes > machine.maxBindingBytes
    ? new LimitError(message, facts)
    : new OutOfMemoryError(message, facts);
}

/**
 * What the most exact storage that fits a machine needs, and what is against those before it ("f32: 2.1 GB of memory are missing").
 * Throws LimitError, or OutOfMemoryError where memory is all that is missing, with what is against each storage.
 */
export function fittingStorage(
  config: LanguageConfig,
  workload: Workload,
  machine: Machine,
): { need: MemoryNeed; against: string[] } {
  const against: string[] = [];
  const needs = weightStorages.map((storage) => memoryNeed(config, storage, workload, machine.maxBindingBytes));
  for (const need of needs) {
    const why = obstacle(need, machine);
    if (why === undefined) return { need, against };
    against.push(`${need.storage}: ${why}`);
  }
  const last = needs.at(-1)!;
  const isLimit = last.largest.bytes > machine.maxBindingBytes;
  const remedy = isLimit
    ? "Give fewer or smaller pictures, or a smaller batch"
    : "Say --memory GB if there is more, or --dtype to try one";
  throw new (isLimit ? LimitError : OutOfMemoryError)(
    `The model fits in no storage: ${against.join("; ")}. ${remedy}. \`rediff doctor\` shows the adapter.`,
    { against, ...machine },
  );
}

/** Decimal, as memory is sold: 4.48 GB, 64.7 MB, 98.3 kB. */
export function inGB(bytes: number): string {
  if (bytes >= 1e9) return `${(bytes / 1e9).toFixed(2)} GB`;
  return bytes >= 1e6 ? `${(bytes / 1e6).toFixed(1)} MB` : `${(bytes / 1e3).toFixed(1)} kB`;
}
