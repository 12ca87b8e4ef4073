/**
 * Checkpoints on disk. A folder holds weights to use: ours (`config.json` as `RediffConfig`, `model.safetensors`) or a published
 * model's. One file, `state.safetensors`, holds all that training needs to go on exactly where it stopped.
 */
import { existsSync } from "node:fs";
import { join } from "node:path";
import type { ParameterSpec } from "../nn/parameters.ts";
import { createParameters, disposeParameters } from "../nn/parameters.ts";
import type { WeightStorage } from "../nn/weight.ts";
import type { Device, Tensor } from "../tensor/index.ts";
import { parsePinpoints } from "./anyResolution.ts";
import { type LanguageConfig, preset, type RediffConfig } from "./config.ts";
import {
  inFolder,
  type PendingTensor,
  readBytes,
  readJson,
  writeAtomically,
  writeCheckpoint,
  writeSafetensors,
} from "./files.ts";
import { checkFit } from "./fit.ts";
import { loadForUse, loadParameters, type OpenModel } from "./loadParameters.ts";
import { parameterSpecs } from "./parameterSpecs.ts";
import { isPublished } from "./published/config.ts";
import { openPublishedLanguage, openPublishedModel } from "./published/load.ts";
import type { AnyRediff, LanguageModel, Rediff } from "./rediff.ts";
import { CheckpointError, parseJson, parseSafetensors, type StoredFile } from "./safetensors.ts";
import { f32ToStored, storedToF32, type WeightDtype } from "./storedValues.ts";
import { openTensorFile } from "./tensorFile.ts";

/** Saves weights for use: `config.json` and `model.safetensors` in `folder`, f16 by default. */
export async function saveModel(
  model: Rediff,
  folder: string,
  metadata: Readonly<Record<string, string>> = {},
  dtype: WeightDtype = "F16",
): Promise<void> {
  await writeAtomically(join(folder, "config.json"), `${JSON.stringify(model.config, null, 2)}\n`);
  await writeCheckpoint(folder, pendingTensors(model, dtype), { format: "pt", ...metadata });
}

/** The parameters of a model as tensors to be written, each read from the device when it is its turn. */
export const pendingTensors = (
  { parameters }: Rediff,
  dtype: WeightDtype,
  nameOf: (name: string) => string = (name) => name,
): PendingTensor[] => [...parameters].map(([name, parameter]) => pending(nameOf(name), parameter, dtype));

const pending = (name: string, tensor: Tensor, dtype: WeightDtype): PendingTensor => ({
  name,
  dtype,
  shape: tensor.shape,
  pieces: async function* () {
    yield f32ToStored(name, tensor.shape, (await tensor.read()) as Float32Array, dtype).bytes;
  },
});

/**
 * Overwrites the parameters of `model` that `isWanted` names by those of a folder that `saveModel` wrote; the folder may hold
 * others too. Throws CheckpointError where one is missing or has another shape.
 */
export function loadWeights({ parameters }: Rediff, folder: string, isWanted: (name: string) => boolean): void {
  const path = join(folder, "model.safetensors");
  const file = parseSafetensors(readBytes(path), path);
  const wanted = [...parameters].filter(([name]) => isWanted(name));
  checkFit(
    file.tensors,
    wanted.map(([name, { shape }]) => ({ name, shape })),
    path,
  );
  for (const [name, parameter] of wanted) parameter.write(storedToF32(file.tensors.get(name)!));
}

/**
 * Loads a folder that `saveModel` wrote, or a published model (see published/load.ts), in one file or in shards, to train or
 * to use. Throws CheckpointError with every name that is missing, unexpected or misshapen.
 */
export function loadModel(device: Device, folder: string): Rediff {
  const opened = openModel(folder);
  try {
    return {
      device,
      config: opened.config,
      parameters: loadParameters(device, opened.file, opened.specs, opened.nameOf),
    };
  } finally {
    opened.file.close();
  }
}

/** `loadModel` to use only, with matrices in any storage; no part of the model is whole in memory. */
export async function loadModelAs(device: Device, folder: string, storage: WeightStorage): Promise<AnyRediff> {
  const { config, file, specs, nameOf } = openModel(folder);
  try {
    return { device, config, parameters: await loadForUse(device, file, specs, nameOf, storage) };
  } finally {
    file.close();
  }
}

/** `loadModelAs` of a folder that may hold a language model alone (LLaDA, ProSeCo), which answers questions without pictures. */
export async function loadLanguageModelAs(
  device: Device,
  folder: string,
  storage: WeightStorage,
): Promise<LanguageModel> {
  const { config, file, specs, nameOf } = openLanguageModel(folder);
  try {
    return { device, config, parameters: await loadForUse(device, file, specs, nameOf, storage) };
  } finally {
    file.close();
  }
}

/** As `checkpointConfig`, of a folder that may hold a language model alone. */
export function languageConfig(folder: string): LanguageConfig {
  const { config, file } = openLanguageModel(folder);
  file.close();
  return config;
}

const openLanguageModel = (folder: string): OpenModel<LanguageConfig> =>
  isPublished(configOf(folder)) ? openPublishedLanguage(folder) : openModel(folder);

/** The config of a folder whose headers fit it, without its weights. */
export function checkpointConfig(folder: string): RediffConfig {
  const { config, file } = openModel(folder);
  file.close();
  return config;
}

/** Whether the weights of a folder were trained to revise (Stage I or II), as `saveModel` wrote it and exports pass on. Of other published ones nothing is known. */
export function learnedToRevise(folder: string): boolean {
  const { file } = openLanguageModel(folder);
  file.close();
  const { options } = file.metadata;
  if (options === undefined) return false;
  // Others may write metadata of that name too, and of any form.
  const given = parseJson(options, `metadata of ${folder}`);
  return typeof given === "object" && given !== null && "recipe" in given;
}

/** Reads headers, and checks that they fit the config. */
export function openModel(folder: string): OpenModel {
  const given = configOf(folder);
  if (isPublished(given)) return openPublishedModel(folder);
  const config = checkConfig(given, join(folder, "config.json"));
  const specs = parameterSpecs(config);
  const file = openTensorFile(folder, inFolder(folder));
  try {
    const names = new Set(specs.map(({ name }) => name));
    checkFit(file.tensors, specs, folder, { unexpected: [...file.tensors.keys()].filter((name) => !names.has(name)) });
  } catch (error) {
    file.close();
    throw error;
  }
  return { config, file, specs, nameOf: (name) => name };
}

function configOf(folder: string): unknown {
  const path = join(folder, "config.json");
  if (!existsSync(path))
    throw new CheckpointError(
      `A checkpoint is a folder with config.json and model.safetensors; ${path} cannot be read: there is no such file.`,
      { path },
    );
  return readJson(path);
}

function checkConfig(given: unknown, path: string): RediffConfig {
  const wrong = [...differences(given, preset("nano"), "")];
  if (wrong.length)
    throw new CheckpointError(`${path} does not describe a model: ${wrong.join("; ")}.`, { path, wrong });
  const config = given as RediffConfig;
  if (config.tiling) parsePinpoints(config.tiling.pinpoints, config.vision.imageSize);
  return config;
}

/** Fields of `like` that `given` lacks or has with another type, and sizes that are no positive numbers. */
function* differences(given: unknown, like: unknown, path: string): Generator<string> {
  if (typeof like === "object" && like !== null) {
    if (typeof given !== "object" || given === null) yield `${path || "it"} must be an object`;
    else
      for (const [key, value] of Object.entries(like))
        yield* differences((given as Record<string, unknown>)[key], value, path ? `${path}.${key}` : key);
  } else if (typeof given !== typeof like) yield `${path} must be a ${typeof like}, it is ${JSON.stringify(given)}`;
  else if (typeof given === "number" && !(given > 0 && Number.isFinite(given)))
    yield `${path} must be positive, it is ${given}`;
}

/** All that training needs to go on to the bit. The data position is the step: batches are functions of (seed, step). */
export interface TrainingState {
  readonly model: Rediff;
  readonly moments: ReadonlyMap<string, { readonly m: Tensor; readonly v: Tensor }>;
  /** Optimiser steps done. */
  readonly step: number;
  /** What the run was started with, as JSON; a resumed run must be started with the same. */
  readonly options: string;
}

export async function saveState({ model, moments, step, options }: TrainingState, path: string): Promise<void> {
  const tensors = [...model.parameters].flatMap(([name, parameter]) => {
    const { m, v } = moments.get(name)!;
    const kinds = { weights: parameter, "adam.m": m, "adam.v": v };
    return Object.entries(kinds).map(([kind, values]) => pending(`${kind}.${name}`, values, "F32"));
  });
  const metadata = { step: String(step), options, config: JSON.stringify(model.config) };
  await writeSafetensors(path, tensors, metadata);
}

/**
 * Reads what `saveState` wrote. `specsOf` says which parameters were trained: the whole model, unless a stage trains others.
 * Throws CheckpointError when the file is damaged.
 */
export function loadState(device: Device, path: string, specsOf = parameterSpecs): TrainingState {
  const file = parseSafetensors(readBytes(path), path);
  const step = Number(file.metadata["step"]);
  const { options, config: configText } = file.metadata;
  if (!Number.isSafeInteger(step) || step < 0 || !options || !configText)
    throw new CheckpointError(`${path} is not a training state: its metadata lacks step, options or config.`, { path });
  const config = checkConfig(parseJson(configText, path), path);
  const specs = specsOf(config);
  const parameters = parametersFrom(device, file, specs, "weights.", path);
  const m = parametersFrom(device, file, specs, "adam.m.", path);
  const v = parametersFrom(device, file, specs, "adam.v.", path);
  for (const moment of [...m.values(), ...v.values()]) moment.requiresGrad = false;
  const moments = new Map(specs.map(({ name }) => [name, { m: m.get(name)!, v: v.get(name)! }]));
  return { model: { device, config, parameters }, moments, step, options };
}

function parametersFrom(
  device: Device,
  file: StoredFile,
  specs: readonly ParameterSpec[],
  prefix: string,
  path: string,
): Rediff["parameters"] {
  checkFit(file.tensors, specs, path, { nameOf: (name) => prefix + name });
  return createParameters(device, specs, ({ name }) => storedToF32(file.tensors.get(prefix + name)!));
}

export function disposeState({ model, moments }: TrainingState): void {
  disposeParameters(model.parameters);
  for (const { m, v } of moments.values()) {
    m.dispose();
    v.dispose();
  }
}
