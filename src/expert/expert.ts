/**
 * Experts (section 3.3): who reads a model's draft beside the truth and says which segments are wrong and what should
 * stand there. Training sees the draft, and learns the right words at these segments only (eq. 5).
 */
import type { FlagSpec } from "../data/flagSpec.ts";

/** What a model said about a picture, with what is known of the picture. */
export interface Draft {
  readonly id: string;
  /** What the model was asked. */
  readonly question: string;
  /** What it answered. */
  readonly text: string;
  /** A right answer, by a person or by the caption grammar. */
  readonly groundTruth: string;
  /** Of a procedural flag: everything there is to know. */
  readonly spec?: FlagSpec;
  /** The path of a PNG, JPEG or WebP file, a data URL, or the bytes of such a file. */
  readonly image?: string | Uint8Array;
}

/** Characters [start, end) of the draft read `wrong` and should read `right`. */
export interface Segment {
  readonly wrong: string;
  readonly right: string;
  readonly start: number;
  readonly end: number;
}

/** Why an answer, or a part of one, teaches nothing. */
export type RejectionReason =
  /** No list of corrections could be read from it. */
  | "malformed"
  /** The wrong words are not in the draft. */
  | "not found"
  /** They are in it more than once. */
  | "ambiguous"
  /** They share letters with an earlier segment. */
  | "overlapping"
  /** They are replaced by themselves. */
  | "unchanged"
  /** The right words have more or fewer tokens, and only equal lengths are wanted. */
  | "unequal length";

/** How many corrections were left out, by reason; a reason that never came up is absent. */
export type Rejections = { readonly [R in RejectionReason]?: number };

export interface Revision {
  /** In the order of the draft; none overlaps another. None at all: the draft is right, unless something was rejected. */
  readonly segments: readonly Segment[];
  /** The draft with every segment replaced. */
  readonly corrected: string;
  readonly rejected: Rejections;
}

export interface Expert {
  readonly name: string;
  /** Throws an ExpertError when this expert cannot judge the draft. */
  revise(draft: Draft): Promise<Revision>;
}

/**
 * `any`: segments as the expert gives them; the trainer aligns them. `equal`: only those that leave the number of tokens
 * as it is, as the paper has it. `tokens` counts the tokens of a text.
 */
export type Lengths =
  | { readonly lengths: "any" }
  | { readonly lengths: "equal"; readonly tokens: (text: string) => number };

/** The draft with segments replaced. They must be in order and must not overlap. */
export function applySegments(text: string, segments: readonly Segment[]): string {
  let out = "";
  let at = 0;
  for (const { right, start, end } of segments) {
    out += text.slice(at, start) + right;
    at = end;
  }
  return out + text.slice(at);
}

/** A revision from segments in any order: sorts them, leaves out what may not stay, and counts what it left out. */
export function reviseBy(
  text: string,
  proposed: readonly Segment[],
  lengths: Lengths,
  rejected: Rejections = {},
): Revision {
  const counts: { [R in RejectionReason]?: number } = { ...rejected };
  const segments: Segment[] = [];
  let reached = 0;
  for (const segment of proposed.toSorted((a, b) => a.start - b.start || b.end - a.end)) {
    const reason = fault(text, segment, reached, lengths);
    if (reason !== undefined) {
      counts[reason] = (counts[reason] ?? 0) + 1;
      continue;
    }
    segments.push(segment);
    reached = segment.end;
  }
  return { segments, corrected: applySegments(text, segments), rejected: counts };
}

function fault(text: string, segment: Segment, reached: number, lengths: Lengths): RejectionReason | undefined {
  if (segment.wrong === segment.right) return "unchanged";
  if (segment.start < reached) return "overlapping";
  // Counted in the whole text: how a word falls into tokens depends on what stands beside it.
  if (lengths.lengths === "equal" && lengths.tokens(applySegments(text, [segment])) !== lengths.tokens(text))
    return "unequal length";
  return undefined;
}
