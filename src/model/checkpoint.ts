/**
 * Checkpoints on disk: a folder with `config.json` and `model.safetensors` (weights, to use), and one file
 * `state.safetensors` (weights, moments, step, seed, to go on training exactly where it stopped).
 */
import { mkdirSync, readFileSync, statSync } from "node:fs";
import { open, rename } from "node:fs/promises";
import { dirname, join } from "node:path";
import type { ParameterSpec } from "../nn/parameters.ts";
import { createParameters, disposeParameters } from "../nn/parameters.ts";
import { type Device, sameShape, showShape, type Tensor } from "../tensor/index.ts";
import { preset, type RediffConfig } from "./config.ts";
import { parameterSpecs } from "./parameterSpecs.ts";
import type { Rediff } from "./rediff.ts";
import {
  CheckpointError,
  f32ToStored,
  formatSafetensors,
  parseSafetensors,
  type StoredFile,
  storedToF32,
} from "./safetensors.ts";

/** Writes a file so that a crash at any moment leaves the old one or the new one, never a part. */
export async function writeAtomically(path: string, bytes: Uint8Array | string): Promise<void> {
  mkdirSync(dirname(path), { recursive: true });
  const temporary = `${path}.${process.pid}.partial`;
  const file = await open(temporary, "w");
  try {
    await file.writeFile(bytes);
    await file.sync();
  } finally {
    await file.close();
  }
  await rename(temporary, path);
}

/** Saves weights for use: `config.json` and `model.safetensors` in `folder`, f16 by default. */
export async function saveModel(
  model: Rediff,
  folder: string,
  metadata: Readonly<Record<string, string>> = {},
  dtype: "F16" | "F32" = "F16",
): Promise<void> {
  const tensors = [];
  for (const [name, parameter] of model.parameters)
    tensors.push(f32ToStored(name, parameter.shape, (await parameter.read()) as Float32Array, dtype));
  await writeAtomically(join(folder, "config.json"), `${JSON.stringify(model.config, null, 2)}\n`);
  await writeAtomically(join(folder, "model.safetensors"), formatSafetensors(tensors, { format: "pt", ...metadata }));
}

/**
 * Overwrites the parameters of `model` whose names begin with `prefix` by those of a folder that `saveModel` wrote; the folder
 * may hold others too. Throws CheckpointError where one is missing or has another shape.
 */
export function loadWeights({ parameters }: Rediff, folder: string, prefix = ""): void {
  const path = join(folder, "model.safetensors");
  const file = parseSafetensors(readFile(path, folder), path);
  const wanted = [...parameters].filter(([name]) => name.startsWith(prefix));
  const specs = wanted.map(([name, { shape }]) => ({ name, shape }));
  checkStored(file, specs, "", path);
  for (const [name, parameter] of wanted) parameter.write(storedToF32(file.tensors.get(name)!));
}

/** Loads a folder that `saveModel` wrote. Throws CheckpointError with every name that is missing, unexpected or misshapen. */
export function loadModel(device: Device, folder: string): Rediff {
  const config = parseConfig(readFile(join(folder, "config.json"), folder), join(folder, "config.json"));
  const path = join(folder, "model.safetensors");
  const file = parseSafetensors(readFile(path, folder), path);
  return { device, config, parameters: parametersFrom(device, file, parameterSpecs(config), "", path) };
}

function readFile(path: string, folder: string): Uint8Array {
  try {
    if (!statSync(folder).isDirectory()) throw new Error("it is not a folder");
    return readFileSync(path);
  } catch (error) {
    throw new CheckpointError(
      `A checkpoint is a folder with config.json and model.safetensors; ${path} cannot be read (${error instanceof Error ? error.message : String(error)}).`,
      { path },
    );
  }
}

function parseConfig(bytes: Uint8Array, path: string): RediffConfig {
  let given: unknown;
  try {
    given = JSON.parse(new TextDecoder().decode(bytes));
  } catch {
    throw new CheckpointError(`${path} is not JSON.`, { path });
  }
  const model = preset("nano");
  const wrong = [...differences(given, model, "")];
  if (wrong.length)
    throw new CheckpointError(`${path} does not describe a model: ${wrong.join("; ")}.`, { path, wrong });
  return given as RediffConfig;
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

function parametersFrom(
  device: Device,
  file: StoredFile,
  specs: readonly ParameterSpec[],
  prefix: string,
  path: string,
): Rediff["parameters"] {
  const names = new Set(specs.map(({ name }) => prefix + name));
  checkStored(file, specs, prefix, path, prefix ? [] : [...file.tensors.keys()].filter((name) => !names.has(name)));
  return createParameters(device, specs, ({ name }) => storedToF32(file.tensors.get(prefix + name)!));
}

/** Throws CheckpointError with every name that is missing or misshapen in `file`, and those given as unexpected. */
function checkStored(
  file: StoredFile,
  specs: readonly ParameterSpec[],
  prefix: string,
  path: string,
  unexpected: readonly string[] = [],
): void {
  const wanted = new Map(specs.map((spec) => [prefix + spec.name, spec]));
  const missing = [...wanted.keys()].filter((name) => !file.tensors.has(name));
  const misshapen = [...wanted].flatMap(([name, { shape }]) => {
    const stored = file.tensors.get(name);
    return stored && !sameShape(stored.shape, shape)
      ? [`${name} is ${showShape(stored.shape)}, not ${showShape(shape)}`]
      : [];
  });
  if (missing.length + unexpected.length + misshapen.length)
    throw new CheckpointError(
      `${path} does not fit its config.` +
        list("Missing", missing) +
        list("Unexpected", unexpected) +
        list("Of another shape", misshapen),
      { path, missing, unexpected, misshapen },
    );
}

function list(title: string, names: readonly string[]): string {
  if (!names.length) return "";
  const shown = names.slice(0, 8).join(", ");
  return ` ${title} (${names.length}): ${shown}${names.length > 8 ? ", …" : ""}.`;
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
  const tensors = [];
  for (const [name, parameter] of model.parameters) {
    const { m, v } = moments.get(name)!;
    for (const [kind, values] of [
      ["weights", parameter],
      ["adam.m", m],
      ["adam.v", v],
    ] as const)
      tensors.push(f32ToStored(`${kind}.${name}`, values.shape, (await values.read()) as Float32Array, "F32"));
  }
  const metadata = { step: String(step), options, config: JSON.stringify(model.config) };
  await writeAtomically(path, formatSafetensors(tensors, metadata));
}

/**
 * Reads what `saveState` wrote. `specsOf` says which parameters were trained: the whole model, unless a stage trains others.
 * Throws CheckpointError when the file is damaged.
 */
export function loadState(device: Device, path: string, specsOf = parameterSpecs): TrainingState {
  const file = parseSafetensors(readFile(path, dirname(path)), path);
  const step = Number(file.metadata["step"]);
  const { options, config: configText } = file.metadata;
  if (!Number.isSafeInteger(step) || step < 0 || !options || !configText)
    throw new CheckpointError(`${path} is not a training state: its metadata lacks step, options or config.`, { path });
  const config = parseConfig(new TextEncoder().encode(configText), path);
  const specs = specsOf(config);
  const parameters = parametersFrom(device, file, specs, "weights.", path);
  const m = parametersFrom(device, file, specs, "adam.m.", path);
  const v = parametersFrom(device, file, specs, "adam.v.", path);
  for (const moment of [...m.values(), ...v.values()]) moment.requiresGrad = false;
  const moments = new Map(specs.map(({ name }) => [name, { m: m.get(name)!, v: v.get(name)! }]));
  return { model: { device, config, parameters }, moments, step, options };
}

export function disposeState({ model, moments }: TrainingState): void {
  disposeParameters(model.parameters);
  for (const { m, v } of moments.values()) {
    m.dispose();
    v.dispose();
  }
}
