/**
 * The released sampler, `generate_with_embeds` of LLaDA-V and of ReDiff, with its ways:
 *
 * - the ids of start, end and headers are never chosen, but the mask is, and then fills its place in the schedule for nothing
 * - once a stop, such as an end of turn, has been seen the caption ends there: nothing behind it is committed any more, and decoding
 *   stops when all before it is visible. The end may move forward, but never goes away, even where refining has replaced it
 * - stops are looked for in the order of their list up to the first that is there, and only the first of the list once there was any
 * - refining replaces visible tokens of the current block only, also those behind the end, without a gate
 *
 * Of a quota larger than the masks that are left before the end, the original puts the rest where its top-k happens to fall
 * among places of confidence −∞. That is only ever the last step, behind the end; here the rest is dropped.
 */
import type { RandomStream } from "../tensor/index.ts";
import { mostConfident, type Prediction } from "./rowDecoder.ts";
import { evenSchedule } from "./schedules.ts";

export const remaskings = ["low_confidence", "random"] as const;
export type Remasking = (typeof remaskings)[number];

export interface ReferenceRules {
  /** ReDiff's `revise`: visible tokens of the block take the new prediction. Default: no, as LLaDA-V. */
  readonly refine?: boolean;
  /** `revise_topk`: only this share of them, the most confident. Default: all. */
  readonly refineShare?: number;
  /** `revise_start`: only in this last share of a block's steps. Default: 1, in all. */
  readonly refineSteps?: number;
  /** `cfg_scale`: how far logits are pushed away from those without a prompt. Costs a second pass. Default: 0. */
  readonly guidance?: number;
  /**
   * Which masks are committed: those with the most probable tokens, or any of the block, drawn uniformly (and, with `refineShare`,
   * which visible tokens are replaced). Default: low_confidence, which is LLaDA's word for the former.
   */
  readonly remasking?: Remasking;
  /** Ids that follow the canvas and stay: `generation_suffix`. Default: none. */
  readonly suffix?: readonly number[];
  /** Steps of the whole canvas; a multiple of its blocks. Default: from the tokens per step. */
  readonly steps?: number;
}

export interface ReferenceSchedule {
  readonly block: number;
  readonly stepsPerBlock: number;
  readonly maskId: number;
  /** Ids, one after the other, that end a caption: a list for each stop. */
  readonly stops: readonly (readonly number[])[];
  /** What `random` remasking draws from. */
  readonly random: RandomStream;
}

/** Decodes one canvas in place, and yields it whenever it wants a prediction for it. Returns where the caption ends; T: nowhere. */
export function* referenceRow(
  canvas: Uint32Array,
  { block, stepsPerBlock, maskId, stops, random }: ReferenceSchedule,
  { refine = false, refineShare, refineSteps = 1, remasking = "low_confidence" }: ReferenceRules,
): Generator<Uint32Array, number, Prediction> {
  const T = canvas.length;
  let stop: number | undefined;
  for (let start = 0; start < T; start += block) {
    const end = start + block;
    if (stop !== undefined && stop <= start) break;
    const masked = canvas.subarray(start, end).filter((id) => id === maskId).length;
    const quotas = evenSchedule(masked, stepsPerBlock);
    for (const [i, quota] of quotas.entries()) {
      if (stop !== undefined && !canvas.subarray(0, stop).includes(maskId)) break;
      if (!canvas.subarray(start, end).includes(maskId)) break;
      const { ids, confidence: certainty } = yield canvas;
      const confidence = remasking === "random" ? Float64Array.from(canvas, () => random.uniform()) : certainty;
      const limit = stop ?? end;
      const positions = Array.from(canvas.keys());
      const masks = positions.filter((p) => p < limit && canvas[p] === maskId);
      const chosen = mostConfident(masks, confidence, quota);
      if (refine && i >= stepsPerBlock - Math.ceil(stepsPerBlock * refineSteps)) {
        const visible = positions.filter((p) => p >= start && p < end && canvas[p] !== maskId);
        if (refineShare) {
          const reachable = visible.filter((p) => p < limit);
          chosen.push(...mostConfident(reachable, confidence, Math.floor(visible.length * refineShare)));
        } else chosen.push(...visible);
      }
      for (const p of chosen) canvas[p] = ids[p]!;
      stop = firstStop(canvas, stops, stop);
    }
  }
  return stop ?? T;
}

/** Where a canvas ends, from where it ended before. */
function firstStop(
  canvas: Uint32Array,
  stops: readonly (readonly number[])[],
  before: number | undefined,
): number | undefined {
  let stop = before;
  for (const ids of stops) {
    const seen = canvas.findIndex((_, at) => ids.every((id, i) => canvas[at + i] === id));
    if (seen >= 0 && seen < (stop ?? Infinity)) stop = seen;
    if (stop !== undefined) break;
  }
  return stop;
}
