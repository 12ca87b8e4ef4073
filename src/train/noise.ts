/** The forward process of mask prediction, eq. 1, and the weights of its loss, eq. 2. */
import type { randomStream } from "../tensor/index.ts";

type Random = ReturnType<typeof randomStream>;

/** Mask probabilities stay above this, so that 1/p is bounded. LLaDA's ε. */
export const EPSILON = 1e-3;

/**
 * Noise levels for a batch: t_i = (u + i/B) mod 1 with one uniform u, then p = (1 − ε)·t + ε. Each is uniform, and
 * together they cover [0, 1] evenly, which takes most of the variance out of the 1/t weights (MDLM's antithetic draw).
 */
export function noiseLevels(random: Random, B: number): number[] {
  const u = random.uniform();
  return Array.from({ length: B }, (_, i) => (1 - EPSILON) * ((u + i / B) % 1) + EPSILON);
}

export interface MaskedAnswer {
  /** r_t: the answer with some tokens replaced by the mask. */
  readonly canvas: Uint32Array;
  /** Weight of each token's cross-entropy: 1 / (p · L) where masked, else 0. */
  readonly weights: Float32Array;
}

/** Masks each token by itself with probability p. The loss of eq. 2 is Σ weights · cross-entropy, averaged over a batch. */
export function maskAnswer(answer: Uint32Array, p: number, maskId: number, random: Random): MaskedAnswer {
  const canvas = answer.slice();
  const weights = new Float32Array(answer.length);
  for (let i = 0; i < answer.length; i++) {
    if (random.uniform() >= p) continue;
    canvas[i] = maskId;
    weights[i] = 1 / (p * answer.length);
  }
  return { canvas, weights };
}
