/**
 * Published models: LLaDA-V and ReDiff whole, in either layout; LLaDA (and what was trained from it) and SigLIP2 as the parts
 * that such a model is begun from.
 */
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { createParameters, type ParameterSpec } from "../../nn/parameters.ts";
import type { Device } from "../../tensor/index.ts";
import type { RediffConfig } from "../config.ts";
import { inFolder } from "../files.ts";
import { checkFit } from "../fit.ts";
import { loadParameters, type NameOf } from "../loadParameters.ts";
import { initialValues, NEWLINE, parameterSpecs, PROJECTOR, VISION } from "../parameterSpecs.ts";
import type { Rediff } from "../rediff.ts";
import { CheckpointError } from "../safetensors.ts";
import { openTensorFile, type TensorFile } from "../tensorFile.ts";
import { isPublished, parsePublished, type PublishedConfig } from "./config.ts";
import { isUnused, ourName } from "./names.ts";
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
  for (const name of file.tensors.keys()) {
    const ours = ourName(name);
    stored.set(ours, name);
    if (isUnused(ours, config)) unused.push(name);
  }
  return { config, file, stored, unused };
}

/** A published model that has eyes, checked. Throws CheckpointError for a part alone, and with every name that does not fit. */
export function openPublishedModel(folder: string): {
  config: RediffConfig;
  file: TensorFile;
  specs: readonly ParameterSpec[];
  nameOf: NameOf;
} {
  const opened = openPublished(folder);
  try {
    const { name, text, vision, tiling } = opened.config;
    if (!text || !vision)
      throw new CheckpointError(
        `${folder} holds ${text ? "a language model" : "a vision tower"} alone. A model takes both: assembleModel(device, { text, vision }) puts them together, with a new projector between.`,
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
): NameOf {
  const nameOf = (ours: string): string => stored.get(ours) ?? ours;
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

/** What LLaVA's first stage begins with: a language model, a vision tower, and a projector that knows nothing yet. */
export function assembleModel(device: Device, { text: textFolder, vision: visionFolder, seed = 0 }: Parts): Rediff {
  const language = openPublished(textFolder);
  try {
    const tower = openPublished(visionFolder);
    try {
      const { text, name } = language.config;
      const { vision } = tower.config;
      if (!text) throw new CheckpointError(`${textFolder} holds no language model.`, { folder: textFolder });
      if (!vision) throw new CheckpointError(`${visionFolder} holds no vision tower.`, { folder: visionFolder });
      const config: RediffConfig = { name, text, vision };
      const specs = specsByPart(config);
      // Both are checked before either is loaded.
      const towerNames = checkedNames(tower, specs.vision, visionFolder);
      const languageNames = checkedNames(language, specs.text, textFolder);
      const parameters = new Map([
        ...loadParameters(device, tower.file, specs.vision, towerNames),
        ...createParameters(device, specs.projector, (spec) => initialValues(spec, config, seed)),
        ...loadParameters(device, language.file, specs.text, languageNames),
      ]);
      return { device, config, parameters };
    } finally {
      tower.file.close();
    }
  } finally {
    language.file.close();
  }
}

function specsByPart(config: RediffConfig): Record<"vision" | "projector" | "text", ParameterSpec[]> {
  const parts: Record<"vision" | "projector" | "text", ParameterSpec[]> = { vision: [], projector: [], text: [] };
  for (const spec of parameterSpecs(config)) {
    const isBetween = spec.name.startsWith(PROJECTOR) || spec.name === NEWLINE;
    parts[spec.name.startsWith(VISION) ? "vision" : isBetween ? "projector" : "text"].push(spec);
  }
  return parts;
}

function readJson(path: string): unknown {
  try {
    return JSON.parse(readFileSync(path, "utf8"));
  } catch (error) {
    throw new CheckpointError(`${path} cannot be read (${(error as Error).message}).`, { path });
  }
}
