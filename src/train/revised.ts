/** What an expert made of a draft, in tokens: canvas and target of eq. 5. */
import { specialTokens, type Tokenizer } from "../model/tokenizer.ts";
import { captionLength } from "../sample/index.ts";
import type { Recipe } from "./recipes.ts";

/** Characters [start, end) of a draft's text that should read `right`. */
export interface Correction {
  readonly start: number;
  readonly end: number;
  readonly right: string;
}

export interface RevisedCanvas {
  /** T ids: the draft with its corrections. Tokens outside of them are the draft's own. */
  readonly revised: Uint32Array;
  /** Corrections left out because their two sides differ in token count ("equal"), or because the rest would not fit. */
  readonly dropped: number;
}

/**
 * The canvas (T) of a draft with corrections put in. The corrections refer to its text, `captionText(draft)`, in order. A
 * correction takes whole tokens: it is written again with the letters around it that share a token. With lengths "any", one
 * of another token count shifts what follows; ends and fill move along.
 */
export function reviseCanvas(
  draft: Uint32Array,
  corrections: readonly Correction[],
  lengths: Recipe["lengths"],
  tokenizer: Tokenizer,
): RevisedCanvas {
  const T = draft.length;
  const length = captionLength(draft, tokenizer);
  const ends = tokenEnds(draft.subarray(0, length), tokenizer);
  const raw = tokenizer.decode(draft.subarray(0, length));
  const indent = raw.length - raw.trimStart().length;
  const ids: number[] = [];
  let next = 0;
  let dropped = 0;
  for (const { start, end, right } of corrections) {
    // Tokens [first, last) cover the letters of the correction.
    const first = ends.findIndex((tokenEnd) => tokenEnd > start + indent);
    const last = ends.findIndex((tokenEnd) => tokenEnd >= end + indent) + 1;
    if (first < next || last <= first) {
      dropped++;
      continue;
    }
    const from = first ? ends[first - 1]! : 0;
    const text = raw.slice(from, start + indent) + right + raw.slice(end + indent, ends[last - 1]);
    const replacement = tokenizer.encode(text);
    const fits = ids.length + (first - next) + replacement.length + (length - last) < T;
    if (!fits || (lengths === "equal" && replacement.length !== last - first)) {
      dropped++;
      continue;
    }
    ids.push(...draft.subarray(next, first), ...replacement);
    next = last;
  }
  ids.push(...draft.subarray(next, length));
  // What stood behind the caption keeps its place, unless the caption has moved its end.
  if (ids.length === length) ids.push(...draft.subarray(length));
  else {
    ids.push(tokenizer.idOf(specialTokens.turnEnd));
    while (ids.length < T) ids.push(tokenizer.idOf(specialTokens.end));
  }
  return { revised: Uint32Array.from(ids), dropped };
}

/** Where each token ends in the decoded text. Decoded from the start, because half a character has no letters yet. */
function tokenEnds(ids: Uint32Array, tokenizer: Tokenizer): number[] {
  const settled = (text: string) => text.replace(/\uFFFD+$/, "").length;
  return Array.from(ids, (_, i) => settled(tokenizer.decode(ids.subarray(0, i + 1))));
}
