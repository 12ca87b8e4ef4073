/**
 * Captioned pictures of the user's own, in two forms:
 *
 * - a folder of pairs: `name.png` (or .jpg, .jpeg, .webp) and beside it `name.txt` with the caption
 * - a JSON or JSON Lines file as LLaVA trains on: `{ image, conversations: [{ from: "human", value }, { from: "gpt", value }] }`,
 *   with paths of pictures relative to the file. ReDiff's `revise: [{ org, target }]` is understood: the answer is then a
 *   caption with errors, and each `org` in it ought to read `target`
 */
import { existsSync } from "node:fs";
import { readdir, readFile, stat } from "node:fs/promises";
import { basename, dirname, extname, join, resolve } from "node:path";
import { z } from "zod";

export interface CaptionedPicture {
  /** The picture's file. */
  readonly path: string;
  readonly caption: string;
  /** The caption with errors in it, where the file has one. */
  readonly wrong?: string;
}

export interface PictureSet {
  readonly pictures: readonly CaptionedPicture[];
  /** Entries that were left out, by reason. */
  readonly skipped: ReadonlyMap<string, number>;
}

/** A set that cannot be read. The message is one sentence: the rule, the facts, the remedy. */
export class PictureSetError extends Error {
  override readonly name = "PictureSetError";
}

const pictureTypes = [".png", ".jpg", ".jpeg", ".webp"];

/** Reads a folder of pairs, or a file in LLaVA's form. Pictures themselves are not read. Throws PictureSetError. */
export async function readPictureSet(path: string): Promise<PictureSet> {
  if (!existsSync(path)) throw new PictureSetError(`There is no ${path}: give a folder of pairs or a JSON file.`);
  const skipped = new Map<string, number>();
  const skip = (reason: string) => void skipped.set(reason, (skipped.get(reason) ?? 0) + 1);
  const pictures = (await stat(path)).isDirectory() ? await readPairs(path, skip) : await readLlava(path, skip);
  if (!pictures.length)
    throw new PictureSetError(
      `${path} must hold at least one picture with a caption; it holds none${describe(skipped)}.`,
    );
  return { pictures, skipped };
}

/** " (12 without a caption, 3 without a picture)", or nothing. */
export const describe = (skipped: PictureSet["skipped"]): string =>
  skipped.size ? ` (${[...skipped].map(([reason, count]) => `${count} ${reason}`).join(", ")})` : "";

type Skip = (reason: string) => void;

async function readPairs(folder: string, skip: Skip): Promise<CaptionedPicture[]> {
  const pairs: CaptionedPicture[] = [];
  const names = new Set(await readdir(folder));
  for (const name of [...names].sort()) {
    if (!pictureTypes.includes(extname(name).toLowerCase())) continue;
    const text = `${basename(name, extname(name))}.txt`;
    const caption = names.has(text) ? (await readFile(join(folder, text), "utf8")).trim() : "";
    if (caption) pairs.push({ path: join(folder, name), caption });
    else skip("without a caption");
  }
  return pairs;
}

const item = z.object({
  image: z.string().optional(),
  conversations: z.array(z.object({ from: z.string(), value: z.string() })),
  revise: z.array(z.object({ org: z.string().min(1), target: z.string() })).optional(),
});

async function readLlava(path: string, skip: Skip): Promise<CaptionedPicture[]> {
  const pictures: CaptionedPicture[] = [];
  for (const [i, entry] of (await readEntries(path)).entries()) {
    const parsed = item.safeParse(entry);
    if (!parsed.success) {
      const { path: at, message } = parsed.error.issues[0]!;
      throw new PictureSetError(
        `Entry ${i + 1} of ${path} must be in LLaVA's form, { image, conversations: [{ from, value }, …] }: ${at.map(String).join(".") || "it"}: ${message}.`,
      );
    }
    const { image, conversations, revise } = parsed.data;
    const [question, answer] = conversations;
    if (image === undefined) skip("without a picture");
    else if (question?.from !== "human" || answer?.from !== "gpt") skip("that do not begin with human, then gpt");
    else if (!answer.value.trim()) skip("without a caption");
    else {
      const picture = resolve(dirname(path), image);
      if (!existsSync(picture))
        throw new PictureSetError(
          `Paths of pictures are relative to the file that names them; entry ${i + 1} of ${path} names ${image}, but there is no ${picture}.`,
        );
      const said = answer.value.trim();
      const right = corrected(said, revise ?? []);
      if (right === undefined) skip("with a correction of words that do not occur");
      else pictures.push({ path: picture, caption: right, ...(right === said ? {} : { wrong: said }) });
    }
  }
  return pictures;
}

/** The text with every `org`, at its first occurrence, replaced by its `target`. Undefined when one does not occur. */
function corrected(text: string, corrections: readonly { org: string; target: string }[]): string | undefined {
  for (const { org, target } of corrections) {
    const at = text.indexOf(org);
    if (at < 0) return undefined;
    text = text.slice(0, at) + target + text.slice(at + org.length);
  }
  return text;
}

async function readEntries(path: string): Promise<unknown[]> {
  const text = await readFile(path, "utf8");
  const parse = (json: string, where: string): unknown => {
    try {
      return JSON.parse(json);
    } catch (error) {
      throw new PictureSetError(`${path} must be JSON, or JSON Lines; ${where} is not: ${(error as Error).message}.`);
    }
  };
  if (text.trimStart().startsWith("[")) return parse(text, "it") as unknown[];
  return text
    .split("\n")
    .map((line, i) => [line, `line ${i + 1}`] as const)
    .filter(([line]) => line.trim())
    .map(([line, where]) => parse(line, where));
}
