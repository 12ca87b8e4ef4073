import { ShapeError } from "../errors.ts";
import { defineOp, f32, u32 } from "../op.ts";
import { lanesOf, run } from "../run.ts";
import type { Tensor } from "../tensor.ts";

/** No token has this id. */
const NONE = 0xffffffff;

/**
 * select: one step of decoding. Inside the block [start, end) of every row of the canvas, the `count` masked positions of
 * highest confidence take their predictions (of equals the lowest position; all that remain when they are fewer).
 *
 * With `refine`, positions of the block that were visible before the step take their predictions too, where the confidence
 * is at least `gate`. Predictions of the `late` ids are committed only when nothing else in the block is masked: the ends of a
 * caption are sure long before it is, and would cut it short (LLaDA's confidence_eos_eot_inf). Nothing else changes.
 *
 * Predictions must not be maskId: ban it where they are made. No gradient.
 */
const op = defineOp("select", {
  inputs: { canvas: u32("B", "T"), predicted: u32("B", "T"), confidence: f32("B", "T") },
  outputs: { next: u32("B", "T"), changes: u32("B", "T") },
  attrs: { maskId: 0, start: 0, end: 0, count: 0, refine: false, gate: 0, late0: NONE, late1: NONE },
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
  forward: ({
    canvas,
    predicted,
    confidence,
    next,
    changes,
    B,
    T,
    maskId,
    start,
    end,
    count,
    refine,
    gate,
    late0,
    late1,
  }) => {
    const LANES = lanesOf(canvas.device);
    const params = { T, maskId, start, end, count, refine: Number(refine), gate, late0, late1 };
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
  /** Up to two ids that are committed last. */
  readonly late?: readonly number[];
}

/**
 * The canvas after the step, and what happened to each position: 0 kept, 1 committed, 2 replaced by another token, 3 still
 * masked. Source: low-confidence remasking of LLaDA; refine of ReDiff, section 3.4.
 */
export function select(
  inputs: SelectInputs,
  { late = [], ...options }: SelectOptions,
): { canvas: Tensor; changes: Tensor } {
  if (late.length > 2) throw new ShapeError(`select: at most two late ids; ${late.length} were given.`, { late });
  const [late0 = NONE, late1 = NONE] = late;
  const { next, changes } = op({ ...inputs }, { ...options, late0, late1 });
  return { canvas: next, changes };
}
