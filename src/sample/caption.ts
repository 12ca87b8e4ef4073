/** From pixels to captions: encode the picture once, decode the canvas, read the text off it. */
import { encodePictures, type Image } from "../model/encodePicture.ts";
import { askAbout, captionPrompt } from "../model/prompt.ts";
import type { AnyRediff, LanguageModel } from "../model/rediff.ts";
import { specialTokens, type Tokenizer } from "../model/tokenizer.ts";
import { noGrad, scope, ShapeError, type Tensor } from "../tensor/index.ts";
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
  /** Those of them that are the caption: the first so many. */
  readonly length: number;
  readonly steps: number;
  /** After each step, when asked for. */
  readonly history: readonly CaptionStep[];
}

export interface CaptionOptions extends Omit<DecodeOptions, "onStep"> {
  /** Whose rules about special tokens: see presets.ts. Default: fixed. */
  readonly preset?: SamplerName;
  /** Prompt ids with an `IMAGE` for each picture. Default: `captionPrompt`, with which our weights were trained. */
  readonly prompt?: readonly number[];
  /**
   * When the ends of a caption (end of turn, and the fill behind it) may be committed: `any` time, by confidence as everything
   * else, or `last`, when nothing else in the block is masked. They are sure at the far end of the canvas before anything is
   * known about the caption: with `any` captions come out short, with `last` and one block long. Default: the preset's.
   */
  readonly ends?: "any" | "last";
  /** Texts that end a caption, by the preset `reference`; the first is as good as alone once any was there. Default: end of turn. */
  readonly stops?: readonly string[];
  readonly history?: boolean;
  /** Canvases to start from, (B·T) ids: drafts, wholly visible or partly masked. Default: all masks. */
  readonly draft?: ArrayLike<number>;
  /** Called after every step with the canvases of all pictures. */
  readonly onStep?: (step: DecodeStep) => void;
}

/** Captions for a batch of pictures of any size, one for each: tiled where the model's config says so, else squashed to a square. */
export function captionImages(
  model: AnyRediff,
  tokenizer: Tokenizer,
  pictures: readonly Image[],
  decoder: Decoder,
  options: CaptionOptions,
): Promise<Caption[]> {
  const prompt = options.prompt ?? captionPrompt(tokenizer);
  return decodeCaptions(
    model,
    tokenizer,
    () => encodePictures(model, pictures),
    pictures.map(() => prompt),
    decoder,
    options,
  );
}

/** One caption, of one picture or of several that the prompt speaks of, each as in `captionImages`. */
export async function captionPictures(
  model: AnyRediff,
  tokenizer: Tokenizer,
  pictures: readonly Image[],
  decoder: Decoder,
  options: CaptionOptions,
): Promise<Caption> {
  const prompt = options.prompt ?? captionPrompt(tokenizer, askAbout(pictures.length));
  const encode = () => encodePictures(model, pictures);
  const [caption] = await decodeCaptions(model, tokenizer, encode, [prompt], decoder, options);
  return caption!;
}

/** What a model, also one without eyes, says to a prompt without pictures. */
export async function answerPrompt(
  model: LanguageModel,
  tokenizer: Tokenizer,
  prompt: readonly number[],
  decoder: Decoder,
  options: Omit<CaptionOptions, "prompt">,
): Promise<Caption> {
  const [answer] = await decodeCaptions(model, tokenizer, () => [], [prompt], decoder, options);
  return answer!;
}

/** The captions that follow the prompts, one for each. `encode` makes the image tokens, in the order of their places. */
async function decodeCaptions(
  model: LanguageModel,
  tokenizer: Tokenizer,
  encode: () => readonly Tensor[],
  prompts: readonly (readonly number[])[],
  decoder: Decoder,
  { history = false, onStep, preset = "fixed", ends = samplers[preset].ends, stops, draft, ...options }: CaptionOptions,
): Promise<Caption[]> {
  const { device, config } = model;
  if (config.text.vocabulary < tokenizer.vocabSize)
    throw new ShapeError(
      `The tokenizer has ${tokenizer.vocabSize} tokens but the model only ${config.text.vocabulary}. They do not belong together.`,
    );
  const { idOf } = tokenizer;
  const banned = samplers[preset].banned.flatMap((name) => tokenizer.special.get(name) ?? []);
  const steps: { canvas: Uint32Array; changes: Uint32Array }[] = [];
  const watch = (step: DecodeStep) => {
    if (history) steps.push(step);
    onStep?.(step);
  };
  const result = await noGrad(device, () =>
    scope(device, async () => {
      const request = {
        images: encode(),
        prompts,
        maskId: idOf(specialTokens.mask),
        stops: stops?.map((text) => withSpecials(text, tokenizer)) ?? [[idOf(specialTokens.turnEnd)]],
        fillId: idOf(specialTokens.end),
        banned,
        ...(draft ? { draft } : {}),
        late: ends === "last" ? [idOf(specialTokens.turnEnd), idOf(specialTokens.end)] : [],
      };
      return decoder(model, request, { ...options, ...(history || onStep ? { onStep: watch } : {}) });
    }),
  );
  const T = result.canvas.length / prompts.length;
  return prompts.map((__, i) => {
    const row = (canvas: Uint32Array) => canvas.slice(i * T, (i + 1) * T);
    const ids = row(result.canvas);
    const length = result.lengths?.[i] ?? captionLength(ids, tokenizer);
    return {
      text: textOf(ids.subarray(0, length), tokenizer),
      ids,
      length,
      steps: result.steps,
      history: steps.map(({ canvas, changes }) => ({ ids: row(canvas), changes: row(changes) })),
    };
  });
}

/** Ids of a text in which names of special tokens stand for them. */
function withSpecials(text: string, { encode, special }: Tokenizer): number[] {
  const names = [...special.keys()].map((name) => name.replaceAll(/[|\\^$.*+?(){}[\]]/g, String.raw`\$&`));
  const parts = text.split(new RegExp(`(${names.join("|")})`));
  return parts.flatMap((part) => special.get(part) ?? encode(part));
}

/** Where the caption ends: at the first end of turn or end of text. */
export function captionLength(ids: Uint32Array, { idOf }: Tokenizer): number {
  const ends = [idOf(specialTokens.turnEnd), idOf(specialTokens.end)];
  const at = ids.findIndex((id) => ends.includes(id));
  return at < 0 ? ids.length : at;
}

export const captionText = (ids: Uint32Array, tokenizer: Tokenizer): string =>
  textOf(ids.subarray(0, captionLength(ids, tokenizer)), tokenizer);

const textOf = (ids: Uint32Array, tokenizer: Tokenizer): string => tokenizer.decode(ids).trim();
