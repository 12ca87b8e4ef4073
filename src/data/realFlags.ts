/**
 * The real flags: pictures and descriptions that nobody here drew or wrote (data/flags/README.md says where they come
 * from). They are what the model is judged on after training on generated ones, so they never enter procedural training.
 */
import { readFile } from "node:fs/promises";
import { fileURLToPath } from "node:url";
import { readImage } from "./image.ts";
import type { Image } from "./resize.ts";

export type RealFlagSplit = "train" | "val" | "test";

export interface RealFlag {
  /** ISO 3166 code in small letters, or `eu`, `xk`. Also the stem of the picture's file name. */
  readonly id: string;
  readonly name: string;
  /** The Factbook's region; a region lies wholly in one split. */
  readonly region: string;
  readonly split: RealFlagSplit;
  /** Region and file in the Factbook package. */
  readonly source: string;
  /** The description as the Factbook has it. */
  readonly description: string;
  /** What of it can be seen: the description with clauses on meaning and history left out. Nothing is reworded. */
  readonly visual: string;
}

/** The form of data/flags/flags.json. */
export interface RealFlagFile {
  readonly versions: Readonly<Record<string, string>>;
  readonly built: string;
  readonly splits: Readonly<Record<string, RealFlagSplit>>;
  readonly flags: readonly RealFlag[];
  readonly excluded: readonly { readonly source: string; readonly name: string; readonly reason: string }[];
}

// The same two steps up from src/data and from dist/data, so the package needs no configuration to find its data.
const folder = new URL("../../data/flags/", import.meta.url);

/** Everything in flags.json, with the pairs that were left out and why. */
export async function realFlagFile(): Promise<RealFlagFile> {
  return JSON.parse(await readFile(new URL("flags.json", folder), "utf8")) as RealFlagFile;
}

/** The pairs, in order of id: all, or those of one split. */
export async function realFlags(split?: RealFlagSplit): Promise<RealFlag[]> {
  const { flags } = await realFlagFile();
  return flags.filter((flag) => split === undefined || flag.split === split);
}

/** Where the picture of a flag lies: a PNG, 120 pixels wide. */
export function realFlagPath(flag: RealFlag): string {
  return fileURLToPath(new URL(`png/${flag.id}.png`, folder));
}

/** The picture of a flag. */
export async function realFlagImage(flag: RealFlag): Promise<Image> {
  return readImage(realFlagPath(flag));
}
