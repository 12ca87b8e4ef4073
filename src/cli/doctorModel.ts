/** `rediff doctor --model NAME`: in which storage a model would fit on this machine, and why not in the others. */
import { pictureTokens } from "../model/anyResolution.ts";
import { preset, type RediffConfig } from "../model/config.ts";
import { checkFits, inGB, type Machine, type MemoryNeed, memoryNeed, obstacle, stepFlops } from "../model/memory.ts";
import { encodePicture } from "../model/encodePicture.ts";
import { createRandomModel } from "../model/randomModel.ts";
import { type AnyRediff, disposeRediff, parameterCount } from "../model/rediff.ts";
import { canvasLogits, IMAGE } from "../model/sequence.ts";
import { createWeight, disposeWeight, type RowRange, type WeightStorage, weightStorages } from "../nn/weight.ts";
import { type Device, noGrad, normal, openDevice, scope, type Tensor, tensor } from "../tensor/index.ts";
import { measureMatmul } from "./adapter.ts";

/** What the command is asked about a model. */
export interface ModelQuestion {
  readonly name: string;
  /** Default: all. */
  readonly storage?: WeightStorage;
  /** Bytes that the adapter has, as its owner says. */
  readonly memory?: number | undefined;
  /** Makes the model with random weights, and runs one step. Needs `storage`. */
  readonly run?: boolean;
}

/** Tokens of text around a picture: LLaDA-V's template and a short question. */
const PROMPT = 64;

type Row = (name: string, ...lines: readonly string[]) => void;

/** Prints what a model takes in each storage, of the smallest and the largest picture, and what is against it. */
export function describeModel({ name, storage, memory }: ModelQuestion, machine: Machine, row: Row): void {
  const config = preset(name);
  const { square: least, most } = pictureTokens(config);
  const needOf = (dtype: WeightStorage, picture: number, cache = false): MemoryNeed =>
    memoryNeed(config, dtype, { batch: 1, prompt: PROMPT, picture, cache }, machine.maxBindingBytes);
  const storages = storage ? [storage] : weightStorages;
  row("model", `${name}: ${inWords(parameterCount(config))} parameters`);
  row("memory", memoryLine(machine, memory));
  row(
    "needs",
    cells(["", "weights", "activations", "together"]),
    ...storages.map((dtype) => {
      const [small, large] = [needOf(dtype, least), needOf(dtype, most)];
      const range = (of: (need: MemoryNeed) => number) => [...new Set([of(small), of(large)].map(inGB))].join(" – ");
      const numbers = [inGB(small.weights), range(({ activations }) => activations), range(({ total }) => total)];
      return `${cells([dtype, ...numbers])}  ${verdict(small, large, machine)}`;
    }),
    `activations: f32, ${tokensInWords(config)}, ${PROMPT} of prompt, ${config.text.canvas} of canvas`,
    cacheLine(needOf(storages.at(-1)!, least, true), needOf(storages.at(-1)!, most, true), machine),
  );
  const { split, largest } = needOf(storages.at(-1)!, most);
  const head = split.at(-1);
  row(
    "bindings",
    `the largest in ${storages.at(-1)} is ${inGB(largest.bytes)}: ${largest.name}`,
    head
      ? `${split.length} weights are split by rows as they are made, ${head.name} into ${head.parts} parts`
      : "no weight is split",
  );
}

function tokensInWords(config: RediffConfig): string {
  const { square: least, most } = pictureTokens(config);
  return config.tiling
    ? `one picture of ${least} tokens (square, one tile) to ${most} (the most that tiles make)`
    : `one picture of ${least} tokens`;
}

/** What the smallest and the largest picture are up against. */
function verdict(small: MemoryNeed, large: MemoryNeed, machine: Machine): string {
  const why = obstacle(small, machine);
  if (why !== undefined) return `no: ${why}`;
  const later = obstacle(large, machine);
  if (later !== undefined) return `not every picture: for the largest ${later}`;
  return machine.freeBytes === undefined ? "if the GPU has as much" : "fits";
}

function cacheLine(small: MemoryNeed, large: MemoryNeed, machine: Machine): string {
  const sizes = [...new Set([small.cache, large.cache].map(inGB))].join(" – ");
  return `--cache prompt keeps keys and values besides, ${sizes}; with ${small.storage}: ${verdict(small, large, machine)}`;
}

/** 8.43 billion, 1.75 million, 103 thousand. */
function inWords(count: number): string {
  if (count >= 1e9) return `${(count / 1e9).toFixed(2)} billion`;
  return count >= 1e6 ? `${(count / 1e6).toFixed(2)} million` : `${Math.round(count / 1e3)} thousand`;
}

/** A line of the table: storage, weights, and two ranges. */
const cells = (row: readonly string[]): string =>
  row.map((cell, i) => (i === 0 ? cell.padEnd(6) : cell.padStart(i === 1 ? 10 : 22))).join("");

function memoryLine({ freeBytes }: Machine, memory: number | undefined): string {
  if (memory !== undefined) return `${inGB(memory)}, as --memory says`;
  if (freeBytes !== undefined)
    return `${inGB(freeBytes)} available to this process; the adapter computes on the processor`;
  return "unknown: WebGPU does not tell what a GPU has. Say it with --memory GB";
}

/** Makes the model and runs one step of decoding, behind a picture. Throws before anything is made where it does not fit. */
export async function tryModel(name: string, storage: WeightStorage, machine: Machine, row: Row): Promise<void> {
  const config = preset(name);
  const workload = { batch: 1, prompt: PROMPT, picture: pictureTokens(config).square };
  checkFits(memoryNeed(config, storage, workload, machine.maxBindingBytes), machine);
  const device = await openDevice();
  try {
    const toMake = parameterCount(config) * (await secondsPerWeight(device, storage));
    const flops = stepFlops(config, workload);
    const gflops = await measureMatmul(device);
    row(
      "takes",
      `about ${duration(toMake)} to make the weights and ${duration(flops / gflops / 1e9)} for a step, besides compilation:`,
      `${inFlop(flops)} at the ${gflops.toPrecision(3)} GFLOP/s of a 512³ f32 matrix product`,
    );
    const start = performance.now();
    const model = await createRandomModel(device, config, 1, storage);
    const made = performance.now();
    const { liveBytes } = device.memory();
    row("made", `random weights in ${storage}: ${inGB(liveBytes)} in ${duration((made - start) / 1000)}`);
    device.resetPeak();
    const finite = await step(model);
    const { peakBytes } = device.memory();
    row(
      "step",
      `${duration((performance.now() - made) / 1000)} with compilation, ${inGB(peakBytes - liveBytes)} besides the weights`,
      finite ? "all logits are finite" : "there are logits that are NaN or infinite",
    );
    if (!finite) process.exitCode = 1;
    disposeRediff(model);
  } finally {
    await device.close();
  }
}

/** Encodes a picture of noise and predicts the canvas behind it. Whether all logits are finite. */
const step = (model: AnyRediff): Promise<boolean> =>
  noGrad(model.device, () =>
    scope(model.device, async () => {
      const { device, config } = model;
      const { imageSize: S } = config.vision;
      const noise = Uint8Array.from({ length: 3 * S * S }, (_, i) => (i * 2_654_435_761) >>> 24);
      const image = encodePicture(model, { width: S, height: S, data: noise });
      const T = config.text.canvas;
      const canvas = tensor(device, new Uint32Array(T), [1, T], "u32", "canvas");
      const logits = scope(device, () => canvasLogits(model, [image], [[0, IMAGE, 0]], canvas));
      return (await logits.read()).every(Number.isFinite);
    }),
  );

/** What a random weight takes to be made and stored, from the second of two small matrices: the first compiles. */
async function secondsPerWeight(device: Device, storage: WeightStorage): Promise<number> {
  const shape = [512, 4096] as const;
  let seconds = 0;
  for (let i = 0; i < 2; i++) {
    const start = performance.now();
    const rows = ({ start, end }: RowRange): Tensor => normal(device, [end - start, shape[1]], 1, start);
    disposeWeight(await createWeight(device, shape, storage, rows, "doctor"));
    seconds = (performance.now() - start) / 1000;
  }
  device.pool.trim();
  return seconds / (shape[0] * shape[1]);
}

function duration(seconds: number): string {
  if (seconds < 1) return `${Math.ceil(1000 * seconds)} ms`;
  return seconds < 100 ? `${seconds.toFixed(1)} s` : `${Math.round(seconds / 60)} min`;
}

const inFlop = (flops: number): string =>
  flops >= 1e12 ? `${(flops / 1e12).toFixed(1)} TFLOP` : `${(flops / 1e9).toPrecision(2)} GFLOP`;
