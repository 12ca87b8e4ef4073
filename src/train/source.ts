/** Where examples come from: procedural flags, the user's own captioned pictures, or a mixture. */
import { plantError } from "../data/captionErrors.ts";
import { captionSeed, writeCaption } from "../data/flagCaption.ts";
import { generateFlag } from "../data/flagGenerator.ts";
import { flagPicture } from "../data/flagPicture.ts";
import { readImage } from "../data/image.ts";
import type { CaptionedPicture } from "../data/pictureSets.ts";
import { normalise, toPixels } from "../data/resize.ts";
import { answerIds, type Tokenizer } from "../model/tokenizer.ts";
import { type RandomStream, randomStream, RediffError } from "../tensor/index.ts";

export interface Example {
  readonly caption: string;
  /** Ids (T): caption, end of turn, then end of text to fill the canvas. */
  readonly answer: Uint32Array;
  /** The picture, (3, S, S) in [-1, 1]. */
  readonly pixels: (size: number) => Float32Array | Promise<Float32Array>;
  /** The caption with a phrase that contradicts the picture; undefined when there is none to offer. */
  readonly falseCaption: (random: RandomStream) => string | undefined;
}

/** How hard flags are, and how long the canvas is. Part of a curriculum. */
export interface Difficulty {
  /** Tokens of the canvas, T. */
  readonly canvas: number;
  /** Shares of flags of difficulty 0, 1 and 2 (see `generateFlag`). */
  readonly shares: readonly [number, number, number];
}

/** The example at an index: a pure function. Examples that do not fit the canvas are drawn again. */
export type Source = (index: number, difficulty: Difficulty, tokenizer: Tokenizer) => Example;

/** Procedural flags of a seed. */
export const flagSource =
  (seed: number): Source =>
  (index, { canvas, shares }, tokenizer) =>
    firstThatFits(canvas, (attempt) => {
      const random = randomStream(seed, index, attempt);
      const difficulty = random.weighted([
        [0, shares[0]],
        [1, shares[1]],
        [2, shares[2]],
      ] as const);
      const spec = generateFlag(seed, index + attempt * 2 ** 26, { difficulty });
      const phrasing = captionSeed(seed, index, attempt);
      const caption = writeCaption(spec, phrasing);
      const answer = answerIds(caption, tokenizer, canvas);
      return (
        answer && {
          caption,
          answer,
          pixels: (size) => normalise(flagPicture(spec, size, index).image),
          falseCaption: (random) => plantError(spec, phrasing, random.bits())?.wrong,
        }
      );
    });

/** Pixels that are kept so that a picture is not decoded again each epoch, in bytes. */
const CACHE = 1 << 30;

/** Captioned pictures, each once in random order, then again in another. */
export function pictureSource(seed: number, pictures: readonly CaptionedPicture[]): Source {
  const kept = new Map<string, Float32Array>();
  const order = shuffledOrder(seed, pictures.length);
  const load = async (path: string, size: number): Promise<Float32Array> => {
    const key = `${size} ${path}`;
    const found = kept.get(key);
    if (found) return found;
    const pixels = toPixels(await readImage(path), size);
    if ((kept.size + 1) * pixels.byteLength <= CACHE) kept.set(key, pixels);
    return pixels;
  };
  return (index, { canvas }, tokenizer) =>
    firstThatFits(canvas, (attempt) => {
      const { path, caption, wrong } = pictures[order(index + attempt)]!;
      const answer = answerIds(caption, tokenizer, canvas);
      return answer && { caption, answer, pixels: (size) => load(path, size), falseCaption: () => wrong };
    });
}

/** Examples of several sources, as often as their shares say. */
export function mixedSource(
  seed: number,
  parts: readonly { readonly source: Source; readonly share: number }[],
): Source {
  const [first] = parts;
  if (!first) throw new RediffError("A mixture has at least one source.");
  const choices = parts.map(({ source, share }) => [source, share] as const);
  return (index, ...rest) =>
    parts.length === 1
      ? first.source(index, ...rest)
      : randomStream(seed, 0x6d6978, index).weighted(choices)(index, ...rest);
}

/** `at` to one of 0 to n − 1, every one once in an epoch of n. */
export function shuffledOrder(seed: number, n: number): (at: number) => number {
  let [epoch, order] = [-1, [] as number[]];
  return (at) => {
    const asked = Math.floor(at / n);
    if (asked !== epoch) {
      epoch = asked;
      order = randomStream(seed, 0x6f726472, epoch).shuffle(Array.from({ length: n }, (_, i) => i));
    }
    return order[at % n]!;
  };
}

function firstThatFits(canvas: number, draw: (attempt: number) => Example | undefined): Example {
  for (let attempt = 0; attempt < 64; attempt++) {
    const example = draw(attempt);
    if (example) return example;
  }
  throw new RediffError(`No caption of 64 tries fits a canvas of ${canvas} tokens. Use a longer canvas.`, { canvas });
}
