/** Our checkpoints in a published layout. */
import { join } from "node:path";
import { pendingTensors } from "../checkpoint.ts";
import { writeAtomically, writeCheckpoint } from "../files.ts";
import type { Rediff } from "../rediff.ts";
import type { WeightDtype } from "../storedValues.ts";
import type { DeclaredTokens } from "./config.ts";
import { formatPreprocessing, formatPublished } from "./format.ts";
import { type Layout, publishedName } from "./names.ts";

export interface ExportOptions {
  /** Names of the language model: LLaDA-V's and ReDiff's (default), or LLaDA's own. The tower is LLaVA's in both, as in LaViDa. */
  readonly layout?: Layout;
  /** Default: F32. */
  readonly dtype?: WeightDtype;
  /** A tensor is never split; a file is larger only if one tensor is. Default: one file. */
  readonly maxShardBytes?: number;
  /** Ids for config.json. */
  readonly tokens?: DeclaredTokens;
}

const torchDtypes = { F32: "float32", F16: "float16", BF16: "bfloat16" } as const;

/** Writes config.json, preprocessor_config.json and the weights into `folder`. Returns the names of the files of weights. */
export async function exportModel(
  model: Rediff,
  folder: string,
  { layout = "llava", dtype = "F32", maxShardBytes, tokens }: ExportOptions = {},
): Promise<string[]> {
  const json = (name: string, value: unknown): Promise<void> =>
    writeAtomically(join(folder, name), `${JSON.stringify(value, null, 2)}\n`);
  const tensors = pendingTensors(model, dtype, (name) => publishedName(name, layout));
  const files = await writeCheckpoint(folder, tensors, { format: "pt" }, maxShardBytes);
  await json("preprocessor_config.json", formatPreprocessing(model.config));
  await json("config.json", formatPublished(model.config, layout, torchDtypes[dtype], tokens));
  return files;
}
