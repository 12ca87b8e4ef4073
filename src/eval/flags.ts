/** Scores on procedural hold-out flags, whose facts are known: exact, no judge. */
import { generateFlag } from "../data/flagGenerator.ts";
import { flagPicture } from "../data/flagPicture.ts";
import type { Image } from "../data/resize.ts";
import type { AnyRediff } from "../model/rediff.ts";
import type { Tokenizer } from "../model/tokenizer.ts";
import type { Decoder } from "../sample/decoder.ts";
import { captionAll, type ManyOptions } from "./captions.ts";
import { countCaption, type FlagScore, summarise } from "./counts.ts";

export type { FlagScore };

/** Hold-out flags come from a seed that training never uses: `rediff train` takes seeds up to 2^31. */
export const HOLD_OUT_SEED: number = 2 ** 31 + 1;

export type Difficulty = 0 | 1 | 2;

/** The hold-out flag at an index. */
export const holdOutFlag = (index: number, difficulty: Difficulty = 2): ReturnType<typeof generateFlag> =>
  generateFlag(HOLD_OUT_SEED, index, { difficulty });

/** The picture of a hold-out flag, S pixels a side, worn and squashed as in training. */
export const holdOutPicture = (index: number, S: number, difficulty: Difficulty = 2): Image =>
  flagPicture(holdOutFlag(index, difficulty), S, index).image;

export interface ScoredFlags {
  readonly summary: FlagScore;
  readonly examples: readonly { readonly index: number; readonly text: string }[];
}

export interface ScoreOptions extends ManyOptions<number> {
  readonly count: number;
  readonly difficulty?: Difficulty;
}

/** Captions the first `count` hold-out flags and scores them. */
export async function scoreOnFlags(
  model: AnyRediff,
  tokenizer: Tokenizer,
  decoder: Decoder,
  { count, difficulty = 2, ...options }: ScoreOptions,
): Promise<ScoredFlags> {
  const indices = Array.from({ length: count }, (_, i) => i);
  const picture = async (index: number, S: number) => holdOutPicture(index, S, difficulty);
  const texts = await captionAll(model, tokenizer, decoder, indices, picture, options);
  return {
    examples: texts.map((text, index) => ({ index, text })),
    summary: summarise(texts.map((text, index) => countCaption(text, holdOutFlag(index, difficulty)))),
  };
}
