import { ShapeError } from "../errors.ts";
import { defineOp, f32, u32 } from "../op.ts";
import { lanesOf, run } from "../run.ts";
import type { Tensor } from "../tensor.ts";

/**
 * select: one step of decoding. Inside the block [start, end) of every row of the canvas, the `count` masked positions of
 * highest confidence take their predictions (of equals the lowest position; all that remain when they are fewer).
 *
 * With `refine`, positions of the block that were visible before the step take their predictions too, where the confidence
 * is at least `gate`. Nothing else changes. Predictions must not be maskId: ban it where they are made. No gradient.
 */
const op = defineOp("select", {
  inputs: { canvas: u32("B", "T"), predicted: u32("B", "T"), confidence: f32("B", "T") },
  outputs: { next: u32("B", "T"), changes: u32("B", "T") },
  attrs: { maskId: 0, start: 0, end: 0, count: 0, refine: false, gate: 0 },
  derive: ({ T, start, end, count }) => {
    if (!(start >= 0 && start < end && end <= T!))
      throw new ShapeError(`select: the block is 0 <= start < end <= T = ${T}; start is ${start}, end is ${end}.`, {
        start,
        end,
        T,
      });
    if (!Number.isInteger(count) || count < 0)
      throw new ShapeError(`select: count is an integer of at least 0; it is ${count}.`, { count });
    return {};
  },
  forward: ({ canvas, predicted, confidence, next, changes, B, T, maskId, start, end, count, refine, gate }) => {
    const LANES = lanesOf(canvas.device);
    const params = { T, maskId, start, end, count, refine: Number(refine), gate };
    run("select", { canvas, predicted, confidence, next, changes }, params, {
      workgroups: [Math.ceil(T / LANES), B],
      overrides: { LANES },
    });
  },
});

export interface SelectInputs {
  /** (B, T) of u32. */
  readonly canvas: Tensor;
  readonly predicted: Tensor;
  /** (B, T) of f32. */
  readonly confidence: Tensor;
}

export interface SelectOptions {
  readonly maskId: number;
  /** The block: positions start … end − 1. */
  readonly start: number;
  readonly end: number;
  /** How many masked positions of each row are committed. */
  readonly count: number;
  readonly refine?: boolean;
  readonly gate?: number;
}

/**
 * The canvas after the step, and what happened to each position: 0 kept, 1 committed, 2 replaced by another token, 3 still
 * masked. Source: low-confidence remasking of LLaDA; refine of ReDiff, section 3.4.
 */
export function select(inputs: SelectInputs, options: SelectOptions): { canvas: Tensor; changes: Tensor } {
  const { next, changes } = op({ ...inputs }, options);
  return { canvas: next, changes };
}
