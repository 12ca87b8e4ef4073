/** Special tokens by id: what a published config.json declares, and whether the tokenizer beside it agrees. */
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { specialTokens, type Tokenizer, TokenizerError } from "../tokenizer.ts";
import { type DeclaredTokens, isPublished, readTokens } from "./config.ts";

/** The ids that the config.json of a published folder declares; undefined for a folder of ours, or none. */
export function declaredTokens(folder: string): DeclaredTokens | undefined {
  const path = join(folder, "config.json");
  if (!existsSync(path)) return undefined;
  let given: unknown;
  try {
    given = JSON.parse(readFileSync(path, "utf8"));
  } catch {
    return undefined; // Loading the model says what is wrong with it.
  }
  return isPublished(given) ? readTokens(given) : undefined;
}

/** What a config.json of ours declares, from the tokenizer. */
export const tokensOf = ({ idOf }: Tokenizer): DeclaredTokens => ({
  mask: idOf(specialTokens.mask),
  end: idOf(specialTokens.end),
  pad: idOf(specialTokens.end),
});

/**
 * Throws TokenizerError where a declared mask or end is another token in the tokenizer. Ids come from the tokenizer, never
 * from here: a wrong one would fill captions with noise and say nothing.
 */
export function checkDeclared(declared: DeclaredTokens, tokenizer: Tokenizer, path: string): void {
  const own = tokensOf(tokenizer);
  const wrong = (["mask", "end"] as const).filter(
    (role) => declared[role] !== undefined && declared[role] !== own[role],
  );
  if (wrong.length)
    throw new TokenizerError(
      `${path} and config.json beside it disagree: ${wrong
        .map((role) => `${specialTokens[role]} is ${own[role]} in the tokenizer and ${declared[role]} in the config`)
        .join("; ")}. They are of different models.`,
    );
}
