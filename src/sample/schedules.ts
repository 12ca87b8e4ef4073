/** How many tokens are committed at each step. */
import { RediffError } from "../tensor/index.ts";

/**
 * Commits per step for `masks` tokens in exactly `steps` steps: as equal as whole numbers allow, the larger ones first.
 * LLaDA's get_num_transfer_tokens: 10 masks in 4 steps are 3, 3, 2, 2.
 */
export function evenSchedule(masks: number, steps: number): number[] {
  const whole = Math.floor(masks / steps);
  const rest = masks % steps;
  return Array.from({ length: steps }, (_, i) => whole + (i < rest ? 1 : 0));
}

/** A stretch of the canvas that is decoded before the next one begins, and its commits per step. */
export interface BlockSchedule {
  readonly start: number;
  readonly end: number;
  readonly commits: readonly number[];
}

/**
 * Splits a canvas of T tokens into blocks from left to right; each takes ceil(block size / tokensPerStep) steps.
 * More tokens a step than a block holds are allowed: the block is then done in one step.
 */
export function blockSchedule(T: number, block: number, tokensPerStep: number): BlockSchedule[] {
  checkCount("tokens per step", tokensPerStep);
  checkCount("block", block);
  const blocks: BlockSchedule[] = [];
  for (let start = 0; start < T; start += block) {
    const end = Math.min(start + block, T);
    blocks.push({ start, end, commits: evenSchedule(end - start, Math.ceil((end - start) / tokensPerStep)) });
  }
  return blocks;
}

/** Throws unless `value` is a whole number of at least 1. */
export function checkCount(name: string, value: number): void {
  if (!Number.isSafeInteger(value) || value < 1)
    throw new RediffError(`${name} must be a whole number of at least 1; it is ${value}.`, { name, value });
}
