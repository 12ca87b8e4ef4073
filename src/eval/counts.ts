/** What is counted of one caption of a flag whose facts are known, and the scores that follow. Counts can be summed; ratios cannot. */
import { captionEchoes, scoreCaption } from "../data/captionParser.ts";
import type { FlagSpec } from "../data/flagSpec.ts";

export const countNames = ["stated", "correct", "total", "grammatical", "exact", "words", "echoes"] as const;

/** Facts: stated by the caption, those of them that are true, and those of the flag. Words: all, and those that repeat the ones before. */
export type CaptionCounts = { readonly [N in (typeof countNames)[number]]: number };

/** The counts of a caption, by the facts of its flag. */
export function countCaption(text: string, spec: FlagSpec): CaptionCounts {
  const { stated, correct, total, grammatical, hallucinated } = scoreCaption(text, spec);
  const exact = grammatical && correct === total && hallucinated.length === 0;
  return { stated, correct, total, grammatical: Number(grammatical), exact: Number(exact), ...captionEchoes(text) };
}

export interface FlagScore {
  readonly count: number;
  /** Share of the flags' facts that are stated. */
  readonly coverage: number;
  /** Share of all statements that are true; null when nothing was stated. */
  readonly factuality: number | null;
  /** Harmonic mean of the two, 2·correct / (stated + total): what a caption loses by silence as well as by falsehood. */
  readonly f1: number;
  /** Statements that could be read from the captions, per caption: beside the ratio, because chaos states little. */
  readonly statements: number;
  readonly hallucinations: number;
  /** Share of captions that are sentences of the grammar, and of captions that are so and state every fact and no other. */
  readonly grammatical: number;
  readonly exact: number;
  /** Words of a caption, and the share of them that repeat what stands right before. */
  readonly words: number;
  readonly echoes: number;
}

/** The scores of many captions: ratios of sums, so that a caption that says more weighs more. */
export function summarise(captions: readonly CaptionCounts[]): FlagScore {
  const count = captions.length;
  const sum = (name: keyof CaptionCounts): number => captions.reduce((total, caption) => total + caption[name], 0);
  const [stated, correct, total, words] = [sum("stated"), sum("correct"), sum("total"), sum("words")];
  return {
    count,
    coverage: total ? correct / total : 0,
    factuality: stated ? correct / stated : null,
    f1: stated + total ? (2 * correct) / (stated + total) : 0,
    statements: stated / count,
    hallucinations: (stated - correct) / count,
    grammatical: sum("grammatical") / count,
    exact: sum("exact") / count,
    words: words / count,
    echoes: words ? sum("echoes") / words : 0,
  };
}
