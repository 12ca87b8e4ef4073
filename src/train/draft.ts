/** Drafts (section 3.3, step 1): what our own model says about training pictures at several speeds, mistakes and all. */
import { generateFlag } from "../data/flagGenerator.ts";
import { flagPicture } from "../data/flagPicture.ts";
import { readImage } from "../data/image.ts";
import { type Image, toPixels } from "../data/resize.ts";
import type { AnyRediff } from "../model/rediff.ts";
import type { Tokenizer } from "../model/tokenizer.ts";
import { captionImages, type CaptionOptions, type Decoder } from "../sample/index.ts";

/** What a draft is about: the flag `generateFlag(seed, index)`, or a captioned picture of the user's. */
export type Subject =
  | { readonly seed: number; readonly index: number }
  | {
      /** The picture's file, and its caption. */
      readonly image: string;
      readonly groundTruth: string;
    };

/** One line of a drafts file. */
export type DraftRecord = Subject & {
  /** See `draftId`. */
  readonly id: string;
  readonly tokensPerStep: number;
  readonly text: string;
  /** The canvas (T) as the decoder left it: the words may be cut into tokens otherwise than the tokenizer would. */
  readonly ids: readonly number[];
};

/** `seed-index-tokensPerStep`, or with the picture's file in front. */
export const draftId = (subject: Subject, tokensPerStep: number): string =>
  `${"image" in subject ? subject.image : `${subject.seed}-${subject.index}`}-${tokensPerStep}`;

/** The picture of a subject: a flag of `size` pixels a side, or the user's as it is. */
async function subjectPicture(subject: Subject, size: number): Promise<Image> {
  if ("image" in subject) return readImage(subject.image);
  const { seed, index } = subject;
  return flagPicture(generateFlag(seed, index), size, index).image;
}

/** A square view of a subject, (3, size, size) in [-1, 1]. */
export const subjectPixels = async (subject: Subject, size: number): Promise<Float32Array> =>
  toPixels(await subjectPicture(subject, size), size);

/** Drafts about subjects at one speed, decoded together. */
export async function drawDrafts(
  model: AnyRediff,
  tokenizer: Tokenizer,
  decoder: Decoder,
  subjects: readonly Subject[],
  options: Omit<CaptionOptions, "history" | "onStep">,
): Promise<DraftRecord[]> {
  const { imageSize } = model.config.vision;
  const pictures = await Promise.all(subjects.map((subject) => subjectPicture(subject, imageSize)));
  const captions = await captionImages(model, tokenizer, pictures, decoder, options);
  const { tokensPerStep } = options;
  return captions.map(({ text, ids }, i) => {
    const subject = subjects[i]!;
    return { id: draftId(subject, tokensPerStep), ...subject, tokensPerStep, text, ids: [...ids] };
  });
}
