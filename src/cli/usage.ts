/** Options of the commands: parsing with clear errors, and what the user sees when something is wrong. */
import { accessSync, closeSync, constants, existsSync, openSync, readFileSync, rmSync, statSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs, type ParseArgsConfig } from "node:util";
import { PictureSetError } from "../data/pictureSets.ts";
import { ImageError } from "../data/resize.ts";
import { makeFolder } from "../model/files.ts";
import { askAbout, captionPrompt, llavaPrompt, type PromptPreset, type Turn } from "../model/prompt.ts";
import { speaksLlava } from "../model/published/conversation.ts";
import { checkDeclared, declaredTokens } from "../model/published/tokens.ts";
import { loadTokenizer, type Tokenizer, TokenizerError } from "../model/tokenizer.ts";
import type { CaptionOptions } from "../sample/caption.ts";
import { RediffError } from "../tensor/index.ts";

/** A command was called in a way that it does not take. */
export class UsageError extends RediffError {}

/** Errors whose message is all that a user needs. */
export const isExpected = (error: unknown): error is Error =>
  error instanceof RediffError ||
  error instanceof ImageError ||
  error instanceof PictureSetError ||
  error instanceof TokenizerError;

/** Runs a program: what its user can mend is one line and exit code 2; anything else is a bug, which keeps its stack, and 1. */
export async function answering(program: string, body: () => Promise<void>): Promise<void> {
  try {
    await body();
  } catch (error) {
    if (isExpected(error)) console.error(`${program}: ${error.message}`);
    else console.error(error);
    process.exitCode = isExpected(error) ? 2 : 1;
  }
}

type Options = NonNullable<ParseArgsConfig["options"]>;
type Value<O extends Options[string]> = O["type"] extends "boolean"
  ? boolean
  : O extends { multiple: true }
    ? string[]
    : string;

/** `parseArgs` with errors in one sentence. */
export function parse<const O extends Options>(
  args: readonly string[],
  options: O,
  allowPositionals = false,
): { values: { [K in keyof O]?: Value<O[K]> }; positionals: string[] } {
  try {
    return parseArgs({ args: [...args], options, allowPositionals, strict: true });
  } catch (error) {
    const [rule = ""] = (error as Error).message.split(/\n|\. To specify/);
    const hint = rule.includes("ambiguous") ? " A value that begins with - is written --name=-1." : "";
    throw new UsageError(`${rule.replace(/\.?$/, ".")}${hint} See --help.`);
  }
}

interface Bounds {
  readonly min?: number;
  readonly max?: number;
}

/** A whole number within bounds. */
export function wholeNumber(
  name: string,
  text: string | undefined,
  fallback: number,
  { min = 1, max = 1e6 }: Bounds = {},
): number {
  if (text === undefined) return fallback;
  const value = Number(text);
  if (!/^[+-]?\d+(e\d+)?$/i.test(text.trim()) || !Number.isSafeInteger(value) || value < min || value > max)
    throw new UsageError(`--${name} must be a whole number from ${min} to ${max}; it is ${text}.`, { name, text });
  return value;
}

/** `--tokens-per-step` of commands that decode at several speeds, such as "1,4,8". */
export const speedsOf = (text: string): number[] =>
  text.split(",").map((one) => wholeNumber("tokens-per-step", one, 1, { max: 4096 }));

/** A finite number within bounds. */
export function decimal(
  name: string,
  text: string | undefined,
  fallback: number,
  { min = 0, max = Infinity }: Bounds = {},
): number {
  if (text === undefined) return fallback;
  const value = Number(text);
  if (text.trim() === "" || !Number.isFinite(value) || value < min || value > max)
    throw new UsageError(
      `--${name} must be a number from ${min}${max < Infinity ? ` to ${max}` : ""}; it is ${text}.`,
      { name, text },
    );
  return value;
}

/** One of the values allowed. */
export function oneOf<const T extends string>(
  name: string,
  text: string | undefined,
  fallback: T,
  allowed: readonly T[],
): T {
  if (text === undefined) return fallback;
  const found = allowed.find((value) => value === text);
  if (!found) throw new UsageError(`--${name} must be one of ${allowed.join(", ")}; it is ${text}.`, { name, text });
  return found;
}

/** `--block`, `--ends`, `--cache` and `--refresh`, which commands that decode take. */
export function decodeOptions(values: {
  readonly block?: string;
  readonly ends?: string;
  readonly cache?: string;
  readonly refresh?: string;
}): Pick<CaptionOptions, "block" | "ends" | "cache" | "refresh"> {
  if (values.refresh !== undefined && values.cache !== "prompt")
    throw new UsageError("--refresh belongs to --cache prompt; without a cache everything is made anew.");
  return {
    ...(values.ends === undefined ? {} : { ends: oneOf("ends", values.ends, "last", ["last", "any"]) }),
    ...(values.cache === undefined ? {} : { cache: oneOf("cache", values.cache, "none", ["none", "prompt"]) }),
    ...(values.refresh === undefined ? {} : { refresh: wholeNumber("refresh", values.refresh, 1, { max: 4096 }) }),
    ...(values.block === undefined ? {} : { block: wholeNumber("block", values.block, 1, { max: 4096 }) }),
  };
}

/** `--out`, or another option, of a command that writes a folder: makes it. Throws UsageError at once, not after the work, where it cannot be written. */
export function outFolder(path: string, option = "out"): string {
  if (existsSync(path) && !statSync(path).isDirectory())
    throw new UsageError(`--${option} must be a folder; ${path} is a file.`);
  return tried(path, option, () => tryFolder(path));
}

/** `--out` of a command that writes a file, as `outFolder`: makes its folder. */
export function outFile(path: string): string {
  if (existsSync(path) && statSync(path).isDirectory())
    throw new UsageError(`--out must be a file; ${path} is a folder.`);
  return tried(path, "out", () => {
    tryFolder(dirname(path));
    if (existsSync(path)) accessSync(path, constants.W_OK);
  });
}

/** Makes a file in a folder. Permissions alone do not tell: root has all of them, and below /proc no file can be made. */
function tryFolder(folder: string): void {
  makeFolder(folder);
  const probe = join(folder, `.${process.pid}.partial`);
  closeSync(openSync(probe, "w"));
  rmSync(probe);
}

function tried(path: string, option: string, attempt: () => void): string {
  try {
    attempt();
  } catch (error) {
    throw new UsageError(`--${option} ${path} cannot be written (${(error as Error).message}).`, { path });
  }
  return path;
}

/** The ids that a folder is asked with, about one picture unless `asked` says otherwise: LLaDA-V's prompt for published ones, else ours. */
export const promptFor = (
  checkpoint: string,
  tokenizer: Tokenizer,
  asked: Turn = askAbout(1),
  preset: PromptPreset = "fixed",
): number[] => (speaksLlava(checkpoint) ? llavaPrompt(tokenizer, asked, preset) : captionPrompt(tokenizer, asked));

const root = new URL("../../", import.meta.url);

/** The checkpoints that the project ships: what captions, and the base of all stages, which predicts masks and does not revise. */
export const shippedCheckpoint: string = fileURLToPath(new URL("weights/small-rediff", root));
export const shippedBase: string = fileURLToPath(new URL("weights/small-base", root));

/** The tokenizer.json beside a checkpoint, or else the project's own, which belongs to no published model. */
export function tokenizerPath(checkpoint: string): string {
  if (!existsSync(checkpoint)) throw new UsageError(`A checkpoint is a folder, and there is no ${checkpoint}.`);
  const beside = `${checkpoint}/tokenizer.json`;
  if (existsSync(beside)) return beside;
  if (declaredTokens(checkpoint))
    throw new UsageError(
      `${checkpoint} is a published model without its tokenizer.json. Download that too, into the same folder.`,
    );
  return fileURLToPath(new URL("data/tokenizer/tokenizer.json", root));
}

/** The tokenizer of a checkpoint. Throws TokenizerError where it is not the one that the checkpoint's config.json speaks of. */
export function tokenizerFor(checkpoint: string): Tokenizer {
  const path = tokenizerPath(checkpoint);
  const tokenizer = loadTokenizer(readFileSync(path, "utf8"));
  checkDeclared(declaredTokens(checkpoint) ?? {}, tokenizer, path);
  return tokenizer;
}
