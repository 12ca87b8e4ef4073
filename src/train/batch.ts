/** Batches of examples: a pure function of (source, seed, step), so the step is all there is to a data position. */
import { specialTokens, type Tokenizer } from "../model/tokenizer.ts";
import { type RandomStream, randomStream, RediffError } from "../tensor/index.ts";
import { type Canvas, cleanCanvas, type Corruption } from "./corruption.ts";
import { noiseLevels, type NoiseName } from "./noise.ts";
import { type Losses, lossWeights } from "./revisionLoss.ts";
import { type Difficulty, type Example, flagSource, type Source } from "./source.ts";

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
  /** Default: procedural flags of the seed. */
  readonly source?: Source;
}

/** What happens to the answer of an example, and what its positions weigh. */
export interface Lesson {
  readonly corrupt: (example: Example, random: RandomStream) => Corruption;
  readonly losses: Losses;
}

/** The batch of a step. */
export const drawBatch = async (
  step: number,
  options: BatchOptions,
  lesson: Lesson,
  tokenizer: Tokenizer,
): Promise<Batch> => stack(await drawRows(step, options, lesson, tokenizer));

/** Its rows. */
export function drawRows(
  step: number,
  options: BatchOptions,
  lesson: Lesson,
  tokenizer: Tokenizer,
): Promise<BatchRow[]> {
  const { seed, batch: B, imageSize, noise, source = flagSource(seed) } = options;
  const random = randomStream(seed, 0x6d61736b, step);
  const rows = noiseLevels(random, B, noise).map((p, i) => {
    const example = source(step * B + i, options, tokenizer);
    const canvas = lesson.corrupt(example, random)(cleanCanvas(example.answer), {
      p,
      random,
      maskId: tokenizer.idOf(specialTokens.mask),
      ordinary: ordinaryTokens(tokenizer),
    });
    return { example, canvas, weights: lossWeights(canvas, p, lesson.losses) };
  });
  return Promise.all(rows.map(async ({ example, ...row }) => ({ pixels: await example.pixels(imageSize), ...row })));
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
const ordinaryTokens = ({ special }: Tokenizer): number => Math.min(...special.values());
