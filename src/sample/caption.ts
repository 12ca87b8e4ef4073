/** From pixels to captions: encode the picture once, decode the canvas, read the text off it. */
import { encodeImage, type AnyRediff } from "../model/rediff.ts";
import { captionPrompt } from "../model/prompt.ts";
import { specialTokens, type Tokenizer } from "../model/tokenizer.ts";
import { noGrad, scope, ShapeError, tensor } from "../tensor/index.ts";
import type { DecodeOptions, DecodeStep, Decoder } from "./decoder.ts";
import { type SamplerName, samplers } from "./presets.ts";

/** The canvas of one picture after one step. */
export interface CaptionStep {
  readonly ids: Uint32Array;
  /** See `Change`. */
  readonly changes: Uint32Array;
}

export interface Caption {
  readonly text: string;
  /** Ids (T) of the canvas at the end. */
  readonly ids: Uint32Array;
  readonly steps: number;
  /** After each step, when asked for. */
  readonly history: readonly CaptionStep[];
}

export interface CaptionOptions extends Omit<DecodeOptions, "onStep"> {
  /** Whose rules about special tokens: see presets.ts. Default: fixed. */
  readonly preset?: SamplerName;
  /** Prompt ids with one `IMAGE`. Default: `captionPrompt`, with which our weights were trained. */
  readonly prompt?: readonly number[];
  /**
   * When the ends of a caption (end of turn, and the fill behind it) may be committed: `any` time, by confidence as everything
   * else, or `last`, when nothing else in the block is masked. They are sure at the far end of the canvas before anything is
   * known about the caption: with `any` captions come out short, with `last` and one block long. Default: the preset's.
   */
  readonly ends?: "any" | "last";
  readonly history?: boolean;
  /** Canvases to start from, (B·T) ids: drafts, wholly visible or partly masked. Default: all masks. */
  readonly draft?: ArrayLike<number>;
  /** Called after every step with the canvases of all pictures. */
  readonly onStep?: (step: DecodeStep) => void;
}

/** Captions for a batch of pictures, pixels (B, 3, S, S) as `toPixels` makes them. */
export async function captionImages(
  model: AnyRediff,
  tokenizer: Tokenizer,
  pixels: readonly Float32Array[],
  decoder: Decoder,
  {
    history = false,
    onStep,
    preset = "fixed",
    ends = samplers[preset].ends,
    prompt,
    draft,
    ...options
  }: CaptionOptions,
): Promise<Caption[]> {
  const { device, config } = model;
  const S = config.vision.imageSize;
  const B = pixels.length;
  if (config.text.vocabulary < tokenizer.vocabSize)
    throw new ShapeError(
      `The tokenizer has ${tokenizer.vocabSize} tokens but the model only ${config.text.vocabulary}. They do not belong together.`,
    );
  const all = new Float32Array(B * 3 * S * S);
  pixels.forEach((picture, i) => all.set(picture, i * 3 * S * S));
  const { idOf } = tokenizer;
  const banned = samplers[preset].banned.flatMap((name) => tokenizer.special.get(name) ?? []);
  const steps: { canvas: Uint32Array; changes: Uint32Array }[] = [];
  const watch = (step: DecodeStep) => {
    if (history) steps.push(step);
    onStep?.(step);
  };
  const result = await noGrad(device, () =>
    scope(device, async () => {
      const ids = prompt ?? captionPrompt(tokenizer);
      const request = {
        images: [encodeImage(model, tensor(device, all, [B, 3, S, S], "f32", "pixels"))],
        prompts: pixels.map(() => ids),
        maskId: idOf(specialTokens.mask),
        stopId: idOf(specialTokens.turnEnd),
        banned,
        ...(draft ? { draft } : {}),
        late: ends === "last" ? [idOf(specialTokens.turnEnd), idOf(specialTokens.end)] : [],
      };
      return decoder(model, request, { ...options, ...(history || onStep ? { onStep: watch } : {}) });
    }),
  );
  const T = result.canvas.length / B;
  return pixels.map((_, i) => {
    const row = (canvas: Uint32Array) => canvas.slice(i * T, (i + 1) * T);
    const final = row(result.canvas);
    return {
      text: captionText(final, tokenizer),
      ids: final,
      steps: result.steps,
      history: steps.map(({ canvas, changes }) => ({ ids: row(canvas), changes: row(changes) })),
    };
  });
}

/** Where the caption ends: at the first end of turn or end of text. */
export function captionLength(ids: Uint32Array, { idOf }: Tokenizer): number {
  const ends = [idOf(specialTokens.turnEnd), idOf(specialTokens.end)];
  const at = ids.findIndex((id) => ends.includes(id));
  return at < 0 ? ids.length : at;
}

export const captionText = (ids: Uint32Array, tokenizer: Tokenizer): string =>
  tokenizer.decode(ids.subarray(0, captionLength(ids, tokenizer))).trim();
