/** Checkpoints in a published layout: a model on the device, or another checkpoint, which goes from file to file by parts. */
import { join } from "node:path";
import { sizeOf } from "../../tensor/index.ts";
import { pendingTensors } from "../checkpoint.ts";
import type { RediffConfig } from "../config.ts";
import { type PendingTensor, writeAtomically, writeCheckpoint } from "../files.ts";
import type { OpenModel } from "../loadParameters.ts";
import { VISION } from "../parameterSpecs.ts";
import type { Rediff } from "../rediff.ts";
import { f32ToStored, storedToF32, type WeightDtype } from "../storedValues.ts";
import type { DeclaredTokens } from "./config.ts";
import { formatPreprocessing, formatPublished, formatTower } from "./format.ts";
import { type Layout, publishedName, towerName } from "./names.ts";

export interface ExportOptions {
  /** Names of the language model: LLaDA-V's and ReDiff's (default), or LLaDA's own. The tower is LLaVA's in both, as in LaViDa. */
  readonly layout?: Layout;
  /** Default: F32. */
  readonly dtype?: WeightDtype;
  /** A tensor is never split; a file is larger only if one tensor is. Default: one file. */
  readonly maxShardBytes?: number;
  /** Ids for config.json. */
  readonly tokens?: DeclaredTokens;
  /** Whose prompt the model answers, which loading goes by: see conversation.ts. Default: ours. */
  readonly prompt?: "ours" | "llava";
}

const torchDtypes = { F32: "float32", F16: "float16", BF16: "bfloat16" } as const;

/**
 * Writes config.json, preprocessor_config.json and the weights into `folder`, and the vision tower once more into `folder`/siglip, from
 * where LLaDA-V's code builds it; not where it has a stem, which that code does not. Returns the names of the files of weights.
 */
export const exportModel = (model: Rediff, folder: string, options: ExportOptions = {}): Promise<string[]> =>
  write(model.config, pendingTensors(model, options.dtype ?? "F32"), folder, options);

/** `exportModel` of an open checkpoint, of any size: memory holds parts of tensors only. The caller closes `file`. */
export const exportCheckpoint = (
  { config, file, specs, nameOf }: OpenModel,
  folder: string,
  options: ExportOptions = {},
): Promise<string[]> => {
  const dtype = options.dtype ?? "F32";
  const tensors = specs.map(({ name, shape }): PendingTensor => {
    const rows = shape[0]!;
    const atOnce = Math.max(1, Math.floor(MOST_VALUES / sizeOf(shape.slice(1))));
    return {
      name,
      dtype,
      shape,
      pieces: async function* () {
        for (let from = 0; from < rows; from += atOnce) {
          const part = file.read(nameOf(name), from, Math.min(rows, from + atOnce));
          yield f32ToStored(name, part.shape, storedToF32(part), dtype).bytes;
        }
      },
    };
  });
  // What the weights were trained to do decides how they are read: see learnedToRevise.
  const { options: training } = file.metadata;
  return write(config, tensors, folder, options, training === undefined ? {} : { options: training });
};

/** Values of a tensor that are in memory at a time: 64 MiB of f32. */
const MOST_VALUES = 2 ** 24;

/** `tensors` by our names. */
async function write(
  config: RediffConfig,
  tensors: readonly PendingTensor[],
  folder: string,
  { layout = "llava", dtype = "F32", maxShardBytes, tokens, prompt = "ours" }: ExportOptions,
  training: Readonly<Record<string, string>> = {},
): Promise<string[]> {
  const json = (name: string, value: unknown): Promise<void> =>
    writeAtomically(join(folder, name), `${JSON.stringify(value, null, 2)}\n`);
  const renamed = (some: readonly PendingTensor[], nameOf: (name: string) => string): PendingTensor[] =>
    some.map((tensor) => ({ ...tensor, name: nameOf(tensor.name) }));
  const named = renamed(tensors, (name) => publishedName(name, layout));
  const files = await writeCheckpoint(folder, named, { format: "pt", ...training }, maxShardBytes);
  // Its builder knows towers by a path that has "siglip" in it, and loads them from there before it loads the rest.
  const tower = config.vision.stem ? undefined : join(folder, "siglip");
  if (tower) {
    const own = tensors.filter(({ name }) => name.startsWith(VISION));
    await writeCheckpoint(tower, renamed(own, towerName), { format: "pt" });
    await writeAtomically(join(tower, "config.json"), `${JSON.stringify(formatTower(config.vision), null, 2)}\n`);
  }
  await json("preprocessor_config.json", formatPreprocessing(config));
  await json("config.json", formatPublished(config, { layout, dtype: torchDtypes[dtype], tokens, tower, prompt }));
  return files;
}
