/** Scores on procedural hold-out flags, whose facts are known: exact, no judge. */
import { scoreCaption } from "../data/captionParser.ts";
import { generateFlag } from "../data/flagGenerator.ts";
import { flagPicture } from "../data/flagPicture.ts";
import { normalise } from "../data/resize.ts";
import type { Rediff } from "../model/rediff.ts";
import type { Tokenizer } from "../model/tokenizer.ts";
import { captionImages, type CaptionOptions } from "../sample/caption.ts";
import type { Decoder } from "../sample/decoder.ts";

/** Hold-out flags come from a seed that training never uses: `rediff train` takes seeds up to 2^31. */
export const HOLD_OUT_SEED: number = 2 ** 31 + 1;

export interface FlagScore {
  readonly count: number;
  /** Mean share of a flag's facts that its caption states. */
  readonly coverage: number;
  /** Share of all statements that are true; null when nothing was stated. */
  readonly factuality: number | null;
  /** Statements that could be read from the captions, per caption: beside the ratio, because chaos states little. */
  readonly statements: number;
  readonly hallucinations: number;
  /** Share of captions that are sentences of the grammar, and of captions that are so and state every fact and no other. */
  readonly grammatical: number;
  readonly exact: number;
}

export interface ScoredFlags {
  readonly summary: FlagScore;
  readonly examples: readonly { readonly index: number; readonly text: string }[];
}

export interface ScoreOptions extends Omit<CaptionOptions, "history" | "onStep"> {
  readonly count: number;
  readonly batch?: number;
  readonly difficulty?: 0 | 1 | 2;
  readonly onBatch?: (done: number) => void;
}

export async function scoreOnFlags(
  model: Rediff,
  tokenizer: Tokenizer,
  decoder: Decoder,
  { count, batch = 16, difficulty = 2, onBatch, ...decode }: ScoreOptions,
): Promise<ScoredFlags> {
  const S = model.config.vision.imageSize;
  const examples: { index: number; text: string }[] = [];
  let [coverage, stated, correct, grammatical, exact] = [0, 0, 0, 0, 0];
  for (let from = 0; from < count; from += batch) {
    const indices = Array.from({ length: Math.min(batch, count - from) }, (_, i) => from + i);
    const specs = indices.map((index) => generateFlag(HOLD_OUT_SEED, index, { difficulty }));
    const pixels = specs.map((spec, i) => normalise(flagPicture(spec, S, indices[i]!).image));
    const captions = await captionImages(model, tokenizer, pixels, decoder, decode);
    captions.forEach(({ text }, i) => {
      const score = scoreCaption(text, specs[i]!);
      coverage += score.coverage;
      stated += score.stated;
      correct += score.correct;
      grammatical += Number(score.grammatical);
      exact += Number(score.grammatical && score.correct === score.total && score.hallucinated.length === 0);
      examples.push({ index: indices[i]!, text });
    });
    onBatch?.(examples.length);
  }
  return {
    examples,
    summary: {
      count,
      coverage: coverage / count,
      factuality: stated ? correct / stated : null,
      statements: stated / count,
      hallucinations: (stated - correct) / count,
      grammatical: grammatical / count,
      exact: exact / count,
    },
  };
}
