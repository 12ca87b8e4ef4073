/** Batches of procedural flags: a pure function of (seed, step), so the step is all there is to a data position. */
import { captionSeed, writeCaption } from "../data/flagCaption.ts";
import { generateFlag } from "../data/flagGenerator.ts";
import { flagPicture } from "../data/flagPicture.ts";
import type { FlagSpec } from "../data/flagSpec.ts";
import { normalise } from "../data/resize.ts";
import { specialTokens, type Tokenizer } from "../model/tokenizer.ts";
import { type RandomStream, randomStream, RediffError } from "../tensor/index.ts";
import { type Canvas, cleanCanvas, type Corruption } from "./corruption.ts";
import { noiseLevels, type NoiseName } from "./noise.ts";
import { type Losses, lossWeights } from "./revisionLoss.ts";

export interface Example {
  readonly spec: FlagSpec;
  readonly caption: string;
  /** The seed that `caption` was written with. */
  readonly phrasing: number;
  /** Ids (T): caption, end of turn, then end of text to fill the canvas. */
  readonly answer: Uint32Array;
}

/** How hard flags are, and how long the canvas is. Part of a curriculum. */
export interface Difficulty {
  /** Tokens of the canvas, T. */
  readonly canvas: number;
  /** Shares of flags of difficulty 0, 1 and 2 (see `generateFlag`). */
  readonly shares: readonly [number, number, number];
}

/** Caption ids, end of turn, and fill. `<|endoftext|>` after the end is learned too, as LLaDA-V does. Undefined when too long. */
export function answerIds(caption: string, tokenizer: Tokenizer, canvas: number): Uint32Array | undefined {
  const ids = tokenizer.encode(caption);
  if (ids.length >= canvas) return undefined;
  const answer = new Uint32Array(canvas).fill(tokenizer.idOf(specialTokens.end));
  answer.set(ids);
  answer[ids.length] = tokenizer.idOf(specialTokens.turnEnd);
  return answer;
}

/** The example of (seed, index). A caption that does not fit the canvas is drawn again, flag and all. */
export function drawExample(
  seed: number,
  index: number,
  { canvas, shares }: Difficulty,
  tokenizer: Tokenizer,
): Example {
  for (let attempt = 0; attempt < 64; attempt++) {
    const random = randomStream(seed, index, attempt);
    const difficulty = random.weighted([
      [0, shares[0]],
      [1, shares[1]],
      [2, shares[2]],
    ] as const);
    const spec = generateFlag(seed, index + attempt * 2 ** 26, { difficulty: difficulty });
    const phrasing = captionSeed(seed, index, attempt);
    const caption = writeCaption(spec, phrasing);
    const answer = answerIds(caption, tokenizer, canvas);
    if (answer) return { spec, caption, phrasing, answer };
  }
  throw new RediffError(`No caption of 64 tries fits a canvas of ${canvas} tokens. Use a longer canvas.`, { canvas });
}

export interface Batch {
  /** (B, 3, S, S) in [-1, 1]. */
  readonly pixels: Float32Array;
  /** r_0, r_t, the category of each position (see corruption.ts) and the loss weights, each (B, T). */
  readonly answer: Uint32Array;
  readonly canvas: Uint32Array;
  readonly category: Uint32Array;
  readonly weights: Float32Array;
  readonly B: number;
  readonly T: number;
}

export interface BatchOptions extends Difficulty {
  readonly seed: number;
  readonly batch: number;
  readonly imageSize: number;
  readonly noise?: NoiseName;
}

/** What happens to the answer of an example, and what its positions weigh. */
export interface Lesson {
  readonly corrupt: (example: Example, random: RandomStream) => Corruption;
  readonly losses: Losses;
}

/** The batch of a step. */
export const drawBatch = (step: number, options: BatchOptions, lesson: Lesson, tokenizer: Tokenizer): Batch =>
  stack(drawRows(step, options, lesson, tokenizer));

/** Its rows. */
export function drawRows(step: number, options: BatchOptions, lesson: Lesson, tokenizer: Tokenizer): BatchRow[] {
  const { seed, batch: B, imageSize, noise } = options;
  const random = randomStream(seed, 0x6d61736b, step);
  const levels = noiseLevels(random, B, noise);
  return levels.map((p, i) => {
    const index = step * B + i;
    const example = drawExample(seed, index, options, tokenizer);
    const canvas = lesson.corrupt(example, random)(cleanCanvas(example.answer), {
      p,
      random,
      maskId: tokenizer.idOf(specialTokens.mask),
      ordinary: ordinaryTokens(tokenizer),
    });
    const pixels = normalise(flagPicture(example.spec, imageSize, index).image);
    return { pixels, canvas, weights: lossWeights(canvas, p, lesson.losses) };
  });
}

/** One answer with its picture. */
export interface BatchRow {
  /** (3, S, S). */
  readonly pixels: Float32Array;
  readonly canvas: Canvas;
  /** (T), not yet divided by the size of the batch. */
  readonly weights: Float32Array;
}

/** Rows of one canvas length as a batch; the weights then make the mean over the batch. */
export function stack(rows: readonly BatchRow[]): Batch {
  const [first] = rows;
  if (!first) throw new RediffError("A batch has at least one row.");
  const B = rows.length;
  const T = first.canvas.shown.length;
  const S = first.pixels.length;
  const batch = {
    pixels: new Float32Array(B * S),
    answer: new Uint32Array(B * T),
    canvas: new Uint32Array(B * T),
    category: new Uint32Array(B * T),
    weights: new Float32Array(B * T),
    B,
    T,
  };
  rows.forEach(({ pixels, canvas, weights }, i) => {
    batch.pixels.set(pixels, i * S);
    batch.answer.set(canvas.target, i * T);
    batch.canvas.set(canvas.shown, i * T);
    batch.category.set(canvas.category, i * T);
    batch.weights.set(
      weights.map((weight) => weight / B),
      i * T,
    );
  });
  return batch;
}

/** Ids below this are text: special tokens come last. */
export const ordinaryTokens = ({ special }: Tokenizer): number => Math.min(...special.values());
