/** Options of the commands: parsing with clear errors, and what the user sees when something is wrong. */
import { existsSync, readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { parseArgs, type ParseArgsConfig } from "node:util";
import { PictureSetError } from "../data/pictureSets.ts";
import { ImageError } from "../data/resize.ts";
import { checkDeclared, declaredTokens } from "../model/published/tokens.ts";
import { loadTokenizer, type Tokenizer, TokenizerError } from "../model/tokenizer.ts";
import type { CaptionOptions } from "../sample/caption.ts";
import { RediffError } from "../tensor/index.ts";

/** A command was called in a way that it does not take. */
export class UsageError extends RediffError {}

/** Errors whose message is all that a user needs: printed without a stack, exit code 2. */
export const isExpected = (error: unknown): error is Error =>
  error instanceof RediffError ||
  error instanceof ImageError ||
  error instanceof PictureSetError ||
  error instanceof TokenizerError;

type Options = NonNullable<ParseArgsConfig["options"]>;

/** `parseArgs` with errors in one sentence. */
export function parse<const O extends Options>(
  args: readonly string[],
  options: O,
  allowPositionals = false,
): { values: { [K in keyof O]?: O[K]["type"] extends "boolean" ? boolean : string }; positionals: string[] } {
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

const root = new URL("../../", import.meta.url);

/** The checkpoints that the project ships: what captions, and the base of all stages, which predicts masks and does not revise. */
export const shippedCheckpoint: string = fileURLToPath(new URL("weights/small-stage1", root));
export const shippedBase: string = fileURLToPath(new URL("weights/small-base", root));

/** The tokenizer.json beside a checkpoint, or else the project's own, which belongs to no published model. */
export function tokenizerPath(checkpoint: string): string {
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
