/** How a command that only uses weights holds and multiplies them: as asked, or in the most exact storage that fits. */
import { pictureTokens } from "../model/anyResolution.ts";
import { checkpointConfig, languageConfig, loadLanguageModelAs, loadModelAs } from "../model/checkpoint.ts";
import type { LanguageConfig } from "../model/config.ts";
import { checkFits, fittingStorage, inGB, type Machine, memoryNeed, type Workload } from "../model/memory.ts";
import type { AnyRediff, LanguageModel } from "../model/rediff.ts";
import { type WeightStorage, weightStorages } from "../nn/weight.ts";
import type { Device, MatmulPrecision } from "../tensor/index.ts";
import { decimal, oneOf } from "./usage.ts";

/** What the user said of weights. */
export interface WeightChoice {
  readonly storage: WeightStorage | "auto";
  /** Bytes that the adapter has, as its owner says. */
  readonly memory: number | undefined;
  readonly matmul: MatmulPrecision;
}

/** For `parse`, of commands that use weights without training them. */
export const weightOptions = {
  dtype: { type: "string" },
  memory: { type: "string" },
  matmul: { type: "string" },
} as const;

type WeightValues = { readonly [O in keyof typeof weightOptions]?: string };

export const weightChoice = (values: WeightValues): WeightChoice => ({
  storage: oneOf("dtype", values.dtype, "auto", ["auto", ...weightStorages]),
  memory: memoryOption(values.memory),
  matmul: oneOf("matmul", values.matmul, "f32", ["f32", "f16"]),
});

/** `--memory GB` in bytes. */
export const memoryOption = (text: string | undefined): number | undefined =>
  text === undefined ? undefined : decimal("memory", text, 8, { min: 0.001, max: 1e4 }) * 1e9;

/** What an adapter or a device has, of what decides. Memory of a GPU is known only where its owner says it. */
export function machineOf(
  { limits, features }: Pick<GPUAdapter, "limits" | "features">,
  isSoftware: boolean,
  memory: number | undefined,
): Machine {
  const { maxBufferSize, maxStorageBufferBindingSize } = limits;
  return {
    maxBindingBytes: Math.min(maxBufferSize, maxStorageBufferBindingSize),
    hasF16: features.has("shader-f16"),
    freeBytes: memory ?? (isSoftware ? process.availableMemory() : undefined),
  };
}

/** Bytes of a GPU of which nobody has said what it has: what a model of eight billion weights needs in int4. */
const ASSUMED_BYTES = 8e9;

/** What a command decodes; `picture`: tokens of all pictures of a row, by default of one that takes most. */
export type Decoding = Pick<Workload, "batch" | "picture" | "canvas" | "cache"> & { readonly prompt: number };

/**
 * Loads a folder to use. With `auto` in f32 where that fits, so that a small model is exact, else in the first of f16, int8 and int4
 * that does, and says so in a line on standard error. Throws LimitError or OutOfMemoryError, with what is missing, where nothing fits.
 */
export async function loadToUse(
  device: Device,
  folder: string,
  choice: WeightChoice,
  decoding: Decoding,
): Promise<AnyRediff> {
  setPrecision(device, choice);
  const config = checkpointConfig(folder);
  const workload = { picture: pictureTokens(config).most, ...decoding };
  return loadModelAs(device, folder, storageFor(device, config, choice, workload));
}

/** `loadToUse` of a folder that may hold a language model alone, to use without pictures. */
export async function loadLanguageToUse(
  device: Device,
  folder: string,
  choice: WeightChoice,
  decoding: Omit<Decoding, "picture">,
): Promise<LanguageModel> {
  setPrecision(device, choice);
  const storage = storageFor(device, languageConfig(folder), choice, { ...decoding, picture: 0 });
  return loadLanguageModelAs(device, folder, storage);
}

function setPrecision(device: Device, { matmul }: WeightChoice): void {
  device.matmulPrecision = matmul;
  if (matmul === "f16" && !device.matrix.f16)
    console.error("--matmul f16 changes nothing: this adapter offers no matrix units for f16.");
}

function storageFor(
  device: Device,
  config: LanguageConfig,
  { storage, memory }: WeightChoice,
  workload: Workload,
): WeightStorage {
  const machine = { ...machineOf(device.gpu, device.isSoftware, memory), maxBindingBytes: device.maxBindingBytes };
  if (storage !== "auto") {
    checkFits(memoryNeed(config, storage, workload, machine.maxBindingBytes), machine);
    return storage;
  }
  const isAssumed = machine.freeBytes === undefined;
  const { need, against } = fittingStorage(config, workload, {
    ...machine,
    freeBytes: machine.freeBytes ?? ASSUMED_BYTES,
  });
  if (against.length) {
    const whose = isAssumed
      ? `${inGB(ASSUMED_BYTES)} are assumed, say --memory GB`
      : `${inGB(machine.freeBytes!)} are free`;
    console.error(
      `Weights in ${need.storage}: ${inGB(need.weights)}, ${inGB(need.total)} with all else (${whose}). Not in ${against.join("; ")}.`,
    );
  }
  return need.storage;
}
