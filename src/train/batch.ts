/** Batches of procedural flags: a pure function of (seed, step), so the step is all there is to a data position. */
import { captionSeed, writeCaption } from "../data/flagCaption.ts";
import { generateFlag } from "../data/flagGenerator.ts";
import { renderFlag } from "../data/flagRenderer.ts";
import type { FlagSpec } from "../data/flagSpec.ts";
import { normalise } from "../data/resize.ts";
import { specialTokens, type Tokenizer } from "../model/tokenizer.ts";
import { randomStream, RediffError } from "../tensor/index.ts";
import { maskAnswer, noiseLevels } from "./noise.ts";

export interface Example {
  readonly spec: FlagSpec;
  readonly caption: string;
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
    const caption = writeCaption(spec, captionSeed(seed, index, attempt));
    const answer = answerIds(caption, tokenizer, canvas);
    if (answer) return { spec, caption, answer };
  }
  throw new RediffError(`No caption of 64 tries fits a canvas of ${canvas} tokens. Use a longer canvas.`, { canvas });
}

export interface Batch {
  /** (B, 3, S, S) in [-1, 1]. */
  readonly pixels: Float32Array;
  /** r_0, r_t and the loss weights, each (B, T). */
  readonly answer: Uint32Array;
  readonly canvas: Uint32Array;
  readonly weights: Float32Array;
  readonly B: number;
  readonly T: number;
}

export interface BatchOptions extends Difficulty {
  readonly seed: number;
  readonly batch: number;
  readonly imageSize: number;
  /** Upper bound of the 1/p weight of eq. 2. Infinity is the paper's; a bound trades a little bias for much variance. */
  readonly maxWeight: number;
}

/** The batch of a step. */
export function drawBatch(step: number, options: BatchOptions, tokenizer: Tokenizer): Batch {
  const { seed, batch: B, imageSize: S, canvas: T, maxWeight } = options;
  const maskId = tokenizer.idOf(specialTokens.mask);
  const random = randomStream(seed, 0x6d61736b, step);
  const levels = noiseLevels(random, B);
  const pixels = new Float32Array(B * 3 * S * S);
  const answer = new Uint32Array(B * T);
  const canvas = new Uint32Array(B * T);
  const weights = new Float32Array(B * T);
  for (let i = 0; i < B; i++) {
    const example = drawExample(seed, step * B + i, options, tokenizer);
    const picture = renderFlag(example.spec, { width: S, height: S, wear: { seed: step * B + i } });
    pixels.set(normalise(picture), i * 3 * S * S);
    const p = levels[i]!;
    const masked = maskAnswer(example.answer, p, maskId, random);
    const bound = Math.min(1, maxWeight * p);
    answer.set(example.answer, i * T);
    canvas.set(masked.canvas, i * T);
    weights.set(
      masked.weights.map((weight) => (weight * bound) / B),
      i * T,
    );
  }
  return { pixels, answer, canvas, weights, B, T };
}
