/**
 * The released sampler, `generate_with_embeds` of LLaDA-V and of ReDiff, with its ways:
 *
 * - the ids of start, end and headers are never chosen, but the mask is, and then fills its place in the schedule for nothing
 * - once an end of turn has been seen the caption ends there: nothing behind it is committed any more, and decoding stops when all
 *   before it is visible. The end may move forward, but never goes away, even where refining has replaced it
 * - refining replaces visible tokens of the current block only, also those behind the end, without a gate
 *
 * Of a quota larger than the masks that are left before the end, the original puts the rest where its top-k happens to fall
 * among places of confidence −∞. That is only ever the last step, behind the end; here the rest is dropped.
 */
import { evenSchedule } from "./schedules.ts";

export interface ReferenceRules {
  /** ReDiff's `revise`: visible tokens of the block take the new prediction. Default: no, as LLaDA-V. */
  readonly refine?: boolean;
  /** `revise_topk`: only this share of them, the most confident. Default: all. */
  readonly refineShare?: number;
  /** `revise_start`: only in this last share of a block's steps. Default: 1, in all. */
  readonly refineSteps?: number;
  /** `cfg_scale`: how far logits are pushed away from those without a prompt. Costs a second pass. Default: 0. */
  readonly guidance?: number;
  /** Ids that follow the canvas and stay: `generation_suffix`. Default: none. */
  readonly suffix?: readonly number[];
  /** Steps of the whole canvas; a multiple of its blocks. Default: from the tokens per step. */
  readonly steps?: number;
}

/** What a model says about one canvas: for each position its choice, and how probable it finds that. */
export interface Prediction {
  readonly ids: Uint32Array;
  readonly confidence: Float32Array;
}

export interface ReferenceSchedule {
  readonly block: number;
  readonly stepsPerBlock: number;
  readonly maskId: number;
  /** The id that ends a caption; undefined: nothing does. */
  readonly stopId: number | undefined;
}

/**
 * Decodes one canvas in place. Yields whenever it wants a prediction for the canvas as it stands; returns where the
 * caption ends, T where no end was seen.
 */
export function* referenceRow(
  canvas: Uint32Array,
  { block, stepsPerBlock, maskId, stopId }: ReferenceSchedule,
  { refine = false, refineShare, refineSteps = 1 }: ReferenceRules,
): Generator<void, number, Prediction> {
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
      const { ids, confidence } = yield;
      const limit = stop ?? end;
      const positions = Array.from(canvas.keys());
      const most = (places: number[], count: number): number[] =>
        places.sort((a, b) => confidence[b]! - confidence[a]! || a - b).slice(0, count);
      const masks = positions.filter((p) => p < limit && canvas[p] === maskId);
      const chosen = most(masks, quota);
      if (refine && i >= stepsPerBlock - Math.ceil(stepsPerBlock * refineSteps)) {
        const visible = positions.filter((p) => p >= start && p < end && canvas[p] !== maskId);
        if (refineShare) {
          const reachable = visible.filter((p) => p < limit);
          chosen.push(...most(reachable, Math.floor(visible.length * refineShare)));
        } else chosen.push(...visible);
      }
      for (const p of chosen) canvas[p] = ids[p]!;
      const seen = stopId === undefined ? -1 : canvas.indexOf(stopId);
      if (seen >= 0 && (stop === undefined || seen < stop)) stop = seen;
    }
  }
  return stop ?? T;
}
