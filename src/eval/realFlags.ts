/** Scores on real flags: CAPTURE against what a person wrote. */
import { type RealFlag, realFlagImage } from "../data/realFlags.ts";
import type { AnyRediff } from "../model/rediff.ts";
import type { Tokenizer } from "../model/tokenizer.ts";
import type { Decoder } from "../sample/decoder.ts";
import { captionAll, type ManyOptions } from "./captions.ts";
import { captureScore } from "./capture.ts";

/** Mean CAPTURE of a model's captions, 0 to 1. */
export async function scoreOnRealFlags(
  model: AnyRediff,
  tokenizer: Tokenizer,
  decoder: Decoder,
  flags: readonly RealFlag[],
  options: ManyOptions<RealFlag>,
): Promise<number> {
  const texts = await captionAll(model, tokenizer, decoder, flags, realFlagImage, options);
  return texts.reduce((sum, text, i) => sum + captureScore(text, flags[i]!.visual).capture, 0) / flags.length;
}
