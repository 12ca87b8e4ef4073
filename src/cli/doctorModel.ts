/** `rediff doctor --model NAME`: in which storage a model would fit on this machine, and why not in the others. */
import { imageTokens, preset, type RediffConfig } from "../model/config.ts";
import { checkFits, inGB, type Machine, memoryNeed, obstacle, stepFlops } from "../model/memory.ts";
import { createRandomModel } from "../model/randomModel.ts";
import { type AnyRediff, disposeRediff, encodeImage, parameterCount } from "../model/rediff.ts";
import { canvasLogits, IMAGE } from "../model/sequence.ts";
import { createWeight, disposeWeight, type RowRange, type WeightStorage, weightStorages } from "../nn/weight.ts";
import { type Device, noGrad, normal, openDevice, scope, type Tensor, tensor, uniform } from "../tensor/index.ts";
import { measureMatmul } from "./adapter.ts";

/** What the command is asked about a model. */
export interface ModelQuestion {
  readonly name: string;
  /** Default: all. */
  readonly storage?: WeightStorage;
  /** Bytes that the adapter has, as its owner says. */
  readonly memory?: number;
  /** Makes the model with random weights, and runs one step. Needs `storage`. */
  readonly run?: boolean;
}

/** Tokens of text around a picture: LLaDA-V's template and a short question. */
const PROMPT = 64;

type Row = (name: string, ...lines: readonly string[]) => void;

/** What the adapter has, of what decides. Memory of a GPU is known only where its owner says it. */
export function machineOf(adapter: GPUAdapter, isSoftware: boolean, memory: number | undefined): Machine {
  const { maxBufferSize, maxStorageBufferBindingSize } = adapter.limits;
  return {
    maxBindingBytes: Math.min(maxBufferSize, maxStorageBufferBindingSize),
    hasF16: adapter.features.has("shader-f16"),
    freeBytes: memory ?? (isSoftware ? process.availableMemory() : undefined),
  };
}

/** Prints what a model takes in each storage, and what is against it. */
export function describeModel({ name, storage, memory }: ModelQuestion, machine: Machine, row: Row): void {
  const config = preset(name);
  const storages = storage ? [storage] : weightStorages;
  const needs = storages.map((dtype) =>
    memoryNeed(config, dtype, { batch: 1, prompt: PROMPT }, machine.maxBindingBytes),
  );
  row("model", `${name}: ${inWords(parameterCount(config))} parameters`);
  row("memory", memoryLine(machine, memory));
  row(
    "needs",
    cells("", "weights", "cache", "activations", "together"),
    ...needs.map((need) => {
      const why = obstacle(need, machine);
      const verdict =
        why !== undefined ? `no: ${why}` : machine.freeBytes === undefined ? "if the GPU has as much" : "fits";
      return `${cells(need.storage, ...[need.weights, need.cache, need.activations, need.total].map(inGB))}  ${verdict}`;
    }),
    `cache and activations: f32, one picture of ${imageTokens(config.vision)} tokens, ${PROMPT} of prompt, ${config.text.canvas} of canvas`,
    ...tiledLine(config),
  );
  const { split, largest } = needs.at(-1)!;
  const head = split.at(-1);
  row(
    "bindings",
    `the largest in ${needs.at(-1)!.storage} is ${inGB(largest.bytes)}: ${largest.name}`,
    head
      ? `${split.length} weights are split by rows as they are made, ${head.name} into ${head.parts} parts`
      : "no weight is split",
  );
}

/** 8.43 billion, 1.75 million, 103 thousand. */
function inWords(count: number): string {
  if (count >= 1e9) return `${(count / 1e9).toFixed(2)} billion`;
  return count >= 1e6 ? `${(count / 1e6).toFixed(2)} million` : `${Math.round(count / 1e3)} thousand`;
}

const cells = (first: string, ...rest: readonly string[]): string =>
  first.padEnd(6) + rest.map((cell) => cell.padStart(12)).join("");

function memoryLine({ freeBytes }: Machine, memory: number | undefined): string {
  if (memory !== undefined) return `${inGB(memory)}, as --memory says`;
  if (freeBytes !== undefined)
    return `${inGB(freeBytes)} available to this process; the adapter computes on the processor`;
  return "unknown: WebGPU does not tell what a GPU has. Say it with --memory GB";
}

/** What the largest picture takes where pictures are tiled. */
function tiledLine({ tiling, ...config }: RediffConfig): string[] {
  if (tiling?.maxTiles === undefined) return [];
  const picture = (tiling.maxTiles + 1) * imageTokens(config.vision);
  const { cache, activations } = memoryNeed(config, "int4", { batch: 1, prompt: PROMPT, picture });
  return [
    `of a picture in ${tiling.maxTiles} tiles and a view, ${picture} tokens: ${inGB(cache)} and ${inGB(activations)}`,
  ];
}

/** Makes the model and runs one step of decoding, behind a picture. Throws before anything is made where it does not fit. */
export async function tryModel(name: string, storage: WeightStorage, machine: Machine, row: Row): Promise<void> {
  const config = preset(name);
  checkFits(memoryNeed(config, storage, { batch: 1, prompt: PROMPT }, machine.maxBindingBytes), machine);
  const device = await openDevice();
  try {
    const toMake = parameterCount(config) * (await secondsPerWeight(device, storage));
    const flops = stepFlops(config, { batch: 1, prompt: PROMPT });
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
      const image = scope(device, () => encodeImage(model, uniform(device, [1, 3, S, S], 1, 0)));
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
