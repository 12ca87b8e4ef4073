/** Files of JSON lines that a command is given: read and checked, and left as they are. */
import { readFileSync } from "node:fs";
import { z } from "zod";
import { UsageError } from "./usage.ts";

export interface Line<T> {
  /** "drafts.jsonl: line 3" */
  readonly where: string;
  readonly record: T;
}

/** A subject of a draft: a procedural flag, or a file. */
const flag = { seed: z.int().min(0), index: z.int().min(0) };
const picture = { groundTruth: z.string().min(1), image: z.string().min(1) };
type About<S extends z.ZodRawShape> = z.infer<z.ZodObject<S>>;

/**
 * The records of a file, each about a flag or, with an `image`, about a picture, and with these fields. `what` they are is for
 * messages, as is the command whose help describes them. Throws UsageError with line and field.
 */
export function readRecords<Fields extends z.ZodRawShape>(path: string, fields: Fields, what: string, command: string) {
  const aboutFlag = z.looseObject({ ...fields, ...flag });
  const aboutPicture = z.looseObject({ ...fields, ...picture });
  type Item = About<Fields> & (About<typeof flag> | About<typeof picture>);
  let text: string;
  try {
    text = readFileSync(path, "utf8");
  } catch (error) {
    throw new UsageError(`The ${what}s cannot be read: ${(error as Error).message}`, { path });
  }
  return text.split("\n").flatMap((line, i): Line<Item>[] => {
    if (line.trim() === "") return [];
    const where = `${path}: line ${i + 1}`;
    let value: unknown;
    try {
      value = JSON.parse(line) as unknown;
    } catch {
      throw new UsageError(`${where} is not JSON.`, { path, line: i + 1 });
    }
    const schema = typeof value === "object" && value !== null && "image" in value ? aboutPicture : aboutFlag;
    const parsed = schema.safeParse(value);
    if (parsed.success) return [{ where, record: parsed.data as Item }];
    const [{ path: field, message }] = parsed.error.issues as [z.core.$ZodIssue];
    throw new UsageError(`${where} is no ${what}. ${[...field, message].join(": ")}. See \`${command} --help\`.`, {
      path,
      line: i + 1,
    });
  });
}
