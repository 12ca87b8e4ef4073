/** Drafts (section 3.3, step 1): what our own model says about training flags at several speeds, mistakes and all. */
import { generateFlag } from "../data/flagGenerator.ts";
import { flagPicture } from "../data/flagPicture.ts";
import { normalise } from "../data/resize.ts";
import type { Rediff } from "../model/rediff.ts";
import type { Tokenizer } from "../model/tokenizer.ts";
import { captionImages, type CaptionOptions, type Decoder } from "../sample/index.ts";

/** One line of a drafts file. The flag is `generateFlag(seed, index)`. */
export interface DraftRecord {
  /** `seed-index-tokensPerStep`. */
  readonly id: string;
  readonly seed: number;
  readonly index: number;
  readonly tokensPerStep: number;
  readonly text: string;
  /** The canvas (T) as the decoder left it: the words may be cut into tokens otherwise than the tokenizer would. */
  readonly ids: readonly number[];
}

export const draftId = (seed: number, index: number, tokensPerStep: number): string =>
  `${seed}-${index}-${tokensPerStep}`;

/** Drafts for the flags `indices` of a seed at one speed, decoded together. */
export async function drawDrafts(
  model: Rediff,
  tokenizer: Tokenizer,
  decoder: Decoder,
  seed: number,
  indices: readonly number[],
  options: Omit<CaptionOptions, "history" | "onStep">,
): Promise<DraftRecord[]> {
  const S = model.config.vision.imageSize;
  const pixels = indices.map((index) => normalise(flagPicture(generateFlag(seed, index), S, index).image));
  const captions = await captionImages(model, tokenizer, pixels, decoder, options);
  const { tokensPerStep } = options;
  return captions.map(({ text, ids }, i) => {
    const index = indices[i]!;
    return { id: draftId(seed, index, tokensPerStep), seed, index, tokensPerStep, text, ids: [...ids] };
  });
}
