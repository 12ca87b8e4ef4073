/** How much of an answer is masked: the levels of the forward process, eq. 1. */
import type { randomStream } from "../tensor/index.ts";

type Random = ReturnType<typeof randomStream>;

/** Mask probabilities stay above this, so that 1/p is bounded. LLaDA's ε. */
export const EPSILON = 1e-3;

/**
 * Distributions of the noise level t over [0, 1], as inverse cumulative functions of a uniform u.
 *
 * - uniform: the paper's.
 * - high: density 2t. With the 1/p of eq. 2 left as it is, every masked token of every level then counts the same. At low
 *   levels the text around a mask gives it away; at high ones only the picture does, so more of the gradient teaches to look.
 */
const distributions = { uniform: (u: number) => u, high: (u: number) => Math.sqrt(u) };
export type NoiseName = keyof typeof distributions;
export const noiseNames = Object.keys(distributions) as readonly NoiseName[];

/**
 * Noise levels for a batch: u_i = (u + i/B) mod 1 with one uniform u, t_i from its distribution, then p = (1 − ε)·t + ε.
 * Together the u_i cover [0, 1] evenly, which takes most of the variance out of the 1/t weights (MDLM's antithetic draw).
 */
export function noiseLevels(random: Random, B: number, noise: NoiseName = "uniform"): number[] {
  const u = random.uniform();
  return Array.from({ length: B }, (_, i) => (1 - EPSILON) * distributions[noise]((u + i / B) % 1) + EPSILON);
}
