/** Drafts about procedural flags, of which everything is known: spec, a right caption, and the picture. */
import { PNG } from "pngjs";
import { captionSeed, writeCaption } from "../data/flagCaption.ts";
import { generateFlag } from "../data/flagGenerator.ts";
import { flagPicture } from "../data/flagPicture.ts";
import type { FlagSpec } from "../data/flagSpec.ts";
import type { Draft } from "./expert.ts";

/** Which flag, and what was said about it. */
export interface FlagDraft extends Pick<Draft, "id" | "question" | "text"> {
  readonly seed: number;
  readonly index: number;
}

/** The draft with spec and ground truth, and with a picture of `pictureSize` pixels a side where the expert looks at one. */
export function flagDraft({ id, question, text, seed, index }: FlagDraft, pictureSize?: number): Draft {
  const spec = generateFlag(seed, index);
  const groundTruth = writeCaption(spec, captionSeed(seed, index, 0));
  const draft = { id, question, text, groundTruth, spec };
  return pictureSize === undefined ? draft : { ...draft, image: flagPng(spec, pictureSize, index) };
}

/** A PNG of what `flagPicture` draws, which is what the model saw, only larger. */
function flagPng(spec: FlagSpec, size: number, seed: number): Uint8Array {
  const { image } = flagPicture(spec, size, seed);
  const png = new PNG({ width: image.width, height: image.height });
  for (let i = 0; i < image.width * image.height; i++)
    png.data.set([image.data[3 * i]!, image.data[3 * i + 1]!, image.data[3 * i + 2]!, 255], 4 * i);
  return PNG.sync.write(png);
}
