/**
 * Published models: LLaDA-V and ReDiff whole, in either layout; LLaDA (and what was trained from it) and SigLIP2 as the parts
 * that such a model is begun from.
 */
import { existsSync } from "node:fs";
import { join } from "node:path";
import type { ParameterSpec } from "../../nn/parameters.ts";
import type { WeightStorage } from "../../nn/weight.ts";
import type { Device } from "../../tensor/index.ts";
import type { LanguageConfig, RediffConfig } from "../config.ts";
import { inFolder, readJson } from "../files.ts";
import { checkFit } from "../fit.ts";
import { loadForUse, loadParameters, type OpenModel } from "../loadParameters.ts";
import { initialValues, parameterSpecs, projectorSpecs, textSpecs, visionSpecs } from "../parameterSpecs.ts";
import type { AnyRediff, Rediff } from "../rediff.ts";
import { CheckpointError } from "../safetensors.ts";
import { f32ToStored } from "../storedValues.ts";
import { openTensorFile, type TensorFile } from "../tensorFile.ts";
import { isPublished, parsePublished, type PublishedConfig } from "./config.ts";
import { isUnused, nameAmong, ourName } from "./names.ts";
import { checkPreprocessing } from "./preprocessing.ts";

/** A published folder that is open. Close `file` when done. */
export interface PublishedFolder {
  readonly config: PublishedConfig;
  readonly file: TensorFile;
  /** Name in the files by our name. */
  readonly stored: ReadonlyMap<string, string>;
  /** Tensors in the files that the model does not use, by the names they have there. */
  readonly unused: readonly string[];
}

/** Opens a published folder: headers and configuration, no weights. */
export function openPublished(folder: string): PublishedFolder {
  const path = join(folder, "config.json");
  const given = readJson(path);
  if (!isPublished(given))
    throw new CheckpointError(`${path} has no model_type, so it is no published model's. Load it with loadModel.`, {
      path,
    });
  const config = parsePublished(given, path);
  const preprocessing = join(folder, "preprocessor_config.json");
  if (config.vision && existsSync(preprocessing))
    checkPreprocessing(readJson(preprocessing), config.vision, preprocessing);
  const file = openTensorFile(folder, inFolder(folder));
  const stored = new Map<string, string>();
  const unused: string[] = [];
  const twice: string[] = [];
  for (const name of file.tensors.keys()) {
    const ours = ourName(name);
    const other = stored.get(ours);
    if (other !== undefined) twice.push(`${other} and ${name}`);
    stored.set(ours, name);
    if (isUnused(ours, config)) unused.push(name);
  }
  if (twice.length) {
    file.close();
    throw new CheckpointError(
      `${folder} has the same weights under names of two layouts: ${twice.join("; ")}. Remove one of each.`,
      { folder, twice },
    );
  }
  return { config, file, stored, unused };
}

/** A published model with eyes or without, checked. Throws CheckpointError with every name that does not fit, and for a tower alone. */
export function openPublishedLanguage(folder: string): OpenModel<LanguageConfig> {
  const opened = openPublished(folder);
  const { name, text, vision } = opened.config;
  if (vision || !text) {
    opened.file.close();
    return openPublishedModel(folder);
  }
  try {
    const specs = textSpecs(text);
    return { config: { name, text }, file: opened.file, specs, nameOf: checkedNames(opened, specs, folder) };
  } catch (error) {
    opened.file.close();
    throw error;
  }
}

/** A published model that has eyes, checked. Throws CheckpointError for a part alone, and with every name that does not fit. */
export function openPublishedModel(folder: string): OpenModel {
  const opened = openPublished(folder);
  try {
    const { name, text, vision, tiling } = opened.config;
    if (!text || !vision)
      throw new CheckpointError(
        `${folder} holds ${text ? "a language model" : "a vision tower"} alone, and pictures take both. \`rediff export --checkpoint LANGUAGE_MODEL --tower VISION_TOWER --out DIR\` puts them together, with a new projector between; so does assembleModel(device, { text, vision }).`,
        { folder },
      );
    const config = { name, vision, ...(tiling ? { tiling } : {}), text };
    const specs = parameterSpecs(config);
    return { config, file: opened.file, specs, nameOf: checkedNames(opened, specs, folder) };
  } catch (error) {
    opened.file.close();
    throw error;
  }
}

/** Names of `specs` in an open folder, which must have them and nothing else that is used. */
function checkedNames(
  { file, stored, unused }: PublishedFolder,
  specs: readonly ParameterSpec[],
  folder: string,
): OpenModel["nameOf"] {
  const missing = nameAmong([...stored.values()]);
  const nameOf = (ours: string): string => stored.get(ours) ?? missing(ours);
  const known = new Set([...specs.map(({ name }) => nameOf(name)), ...unused]);
  checkFit(file.tensors, specs, folder, {
    nameOf,
    unexpected: [...stored.values()].filter((name) => !known.has(name)),
  });
  return nameOf;
}

export interface Parts {
  /** Folders of a language model (LLaDA's or converted) and of a vision tower (SigLIP2's). */
  readonly text: string;
  readonly vision: string;
  /** Of the projector's initial values. Default: 0. */
  readonly seed?: number;
}

/**
 * What LLaVA's first stage begins with: a language model, a vision tower, and a projector that knows nothing yet. To train, in f32.
 * Throws CheckpointError with everything that is wrong with either folder.
 */
export function assembleModel(device: Device, parts: Parts): Rediff {
  const { config, file, specs, nameOf } = openParts(parts);
  try {
    return { device, config, parameters: loadParameters(device, file, specs, nameOf) };
  } finally {
    file.close();
  }
}

/** `assembleModel` to use only, with matrices in any storage; no part of the model is whole in memory. */
export async function assembleModelAs(device: Device, parts: Parts, storage: WeightStorage): Promise<AnyRediff> {
  const { config, file, specs, nameOf } = openParts(parts);
  try {
    return { device, config, parameters: await loadForUse(device, file, specs, nameOf, storage) };
  } finally {
    file.close();
  }
}

/** Both folders as one, with the projector's first values between. Both are checked, and all that is wrong is one error. */
export function openParts({ text: textFolder, vision: visionFolder, seed = 0 }: Parts): OpenModel {
  const problems: CheckpointError[] = [];
  const attempt = <R>(body: () => R): R | undefined => {
    try {
      return body();
    } catch (error) {
      if (!(error instanceof CheckpointError)) throw error;
      problems.push(error);
      return undefined;
    }
  };
  const lacks = (folder: string, what: string) => new CheckpointError(`${folder} holds no ${what}.`, { folder });
  const language = attempt(() => openPublished(textFolder));
  const tower = attempt(() => openPublished(visionFolder));
  try {
    const languageNames = attempt(() => {
      if (!language) return undefined;
      if (!language.config.text) throw lacks(textFolder, "language model");
      return checkedNames(language, textSpecs(language.config.text), textFolder);
    });
    const towerNames = attempt(() => {
      if (!tower) return undefined;
      if (!tower.config.vision) throw lacks(visionFolder, "vision tower");
      return checkedNames(tower, visionSpecs(tower.config.vision), visionFolder);
    });
    if (!language || !tower || !languageNames || !towerNames)
      throw problems.length === 1
        ? problems[0]!
        : new CheckpointError(problems.map(({ message }) => message).join(" "), { problems });
    const config = { name: language.config.name, vision: tower.config.vision!, text: language.config.text! };
    const visionNames = new Set(visionSpecs(config.vision).map(({ name }) => name));
    const textNames = new Set(textSpecs(config.text).map(({ name }) => name));
    return {
      config,
      file: joined(language.file, tower.file, config, seed),
      specs: parameterSpecs(config),
      nameOf: (name) => (visionNames.has(name) ? towerNames(name) : textNames.has(name) ? languageNames(name) : name),
    };
  } catch (error) {
    language?.file.close();
    tower?.file.close();
    throw error;
  }
}

/** The tensors of both files, and the initial values of what connects them, F32. */
function joined(language: TensorFile, tower: TensorFile, config: RediffConfig, seed: number): TensorFile {
  const between = new Map(projectorSpecs(config).map((spec) => [spec.name, { ...spec, dtype: "F32" as const }]));
  return {
    name: `${language.name} and ${tower.name}`,
    tensors: new Map([...tower.tensors, ...between, ...language.tensors]),
    metadata: {},
    read: (name, from, to) => {
      const spec = between.get(name);
      if (!spec) return (tower.tensors.has(name) ? tower : language).read(name, from, to);
      const [rows, ...rest] = spec.shape as [number, ...number[]];
      const values = initialValues(spec, config, seed);
      const [start, end] = [from ?? 0, to ?? rows];
      const width = values.length / rows;
      return f32ToStored(name, [end - start, ...rest], values.slice(start * width, end * width), "F32");
    },
    close: () => {
      language.close();
      tower.close();
    },
  };
}
