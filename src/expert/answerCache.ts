/** Answers on disk, one file each, under the hash of the request: what was asked once is not paid for again. */
import { createHash, randomUUID } from "node:crypto";
import { mkdirSync, readFileSync, renameSync, writeFileSync } from "node:fs";
import { join } from "node:path";

export interface AnswerCache {
  get(key: string): string | undefined;
  set(key: string, answer: string): void;
}

/** The name of a request: the same for equal requests to one address, whatever the key. */
export const requestKey = (url: string, body: string): string =>
  createHash("sha256").update(`${url}\n${body}`).digest("hex");

/** A cache in a folder, which several runs may share. */
export function answerCache(folder: string): AnswerCache {
  const pathOf = (key: string): string => join(folder, key.slice(0, 2), `${key}.txt`);
  return {
    get(key) {
      try {
        return readFileSync(pathOf(key), "utf8");
      } catch (error) {
        if ((error as NodeJS.ErrnoException).code === "ENOENT") return undefined;
        throw error;
      }
    },
    set(key, answer) {
      const path = pathOf(key);
      mkdirSync(join(folder, key.slice(0, 2)), { recursive: true });
      // Under its name only when it is whole: a kill leaves no half answer that would be taken for one.
      const partial = `${path}.${randomUUID()}.partial`;
      writeFileSync(partial, answer);
      renameSync(partial, path);
    },
  };
}
