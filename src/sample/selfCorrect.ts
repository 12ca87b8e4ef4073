/**
 * Self-correction, the sampler of ProSeCo: mask prediction in which at every N-th step the model looks again at all it has written.
 * Its masks are filled with the most probable tokens, and the whole is replaced by the model's choice for it, up to K times or until
 * nothing changes. Visible tokens become what they are then, and the step's commitments are chosen among the filled ones.
 * Source: kuleshov-group/proseco, llada/generate.py; arXiv 2602.11590.
 *
 * Blocks behind the current one are filled once, as context. After a block that closes with the end of text the rest is end of text.
 * The original asks for sameness within 1e-5 of an id, so that ids above 100,000 count as the same as their neighbours; here the
 * same is the same. It decodes a batch until all its rows are done; here a row is by itself. The mask is never chosen.
 */
import type { Decoder } from "./decoder.ts";
import { blockSteps } from "./referenceDecoder.ts";
import { decodeRows, mostConfident, type Prediction } from "./rowDecoder.ts";
import { checkCount, evenSchedule } from "./schedules.ts";

export interface CorrectionRules {
  /** N: correct at every so many steps. Default: 2, as the original. */
  readonly every?: number;
  /** K: passes of one correction at most. Default: 4, as the original. */
  readonly passes?: number;
  /** Steps of the whole canvas; a multiple of its blocks. Default: from the tokens per step. */
  readonly steps?: number;
}

export const selfCorrect =
  ({ every = 2, passes = 4, steps }: CorrectionRules = {}): Decoder =>
  async (model, request, options) => {
    const { canvas: T = model.config.text.canvas, block = T, tokensPerStep } = options;
    const { maskId, fillId, banned } = request;
    checkCount("every", every);
    checkCount("passes", passes);
    const stepsPerBlock = blockSteps(T, block, tokensPerStep, steps);
    const most = (T / block) * (stepsPerBlock + Math.floor(stepsPerBlock / every) * passes);
    const policy = (canvas: Uint32Array) =>
      correctedRow(canvas, { block, stepsPerBlock, maskId, fillId, every, passes });
    return decodeRows(model, request, options, policy, { passes: most, banned: [...banned, maskId] });
  };

interface CorrectionSchedule {
  readonly block: number;
  readonly stepsPerBlock: number;
  readonly maskId: number;
  /** End of text; undefined: there is none. */
  readonly fillId: number | undefined;
  readonly every: number;
  readonly passes: number;
}

function* correctedRow(
  canvas: Uint32Array,
  { block, stepsPerBlock, maskId, fillId, every, passes }: CorrectionSchedule,
): Generator<Uint32Array, number, Prediction> {
  const T = canvas.length;
  for (let end = block; end <= T; end += block) {
    const masked = canvas.subarray(end - block, end).filter((id) => id === maskId).length;
    for (const [step, quota] of evenSchedule(masked, stepsPerBlock).entries()) {
      if (!canvas.subarray(end - block, end).includes(maskId)) break;
      let { ids, confidence } = yield canvas;
      if ((step + 1) % every === 0) {
        const filled = canvas.map((id, i) => (id === maskId ? ids[i]! : id));
        for (let pass = 0; pass < passes; pass++) {
          ({ ids, confidence } = yield filled);
          if (filled.subarray(0, end).every((id, i) => id === ids[i])) break;
          filled.set(ids.subarray(0, end));
        }
        for (let i = 0; i < end; i++) if (canvas[i] !== maskId) canvas[i] = ids[i]!;
      }
      const masks = [...canvas.keys()].filter((p) => p < end && canvas[p] === maskId);
      for (const p of mostConfident(masks, confidence, quota)) canvas[p] = ids[p]!;
    }
    if (fillId !== undefined && canvas[end - 1] === fillId) {
      for (let i = 0; i < T; i++) if (canvas[i] === maskId) canvas[i] = fillId;
      break;
    }
  }
  const at = fillId === undefined ? -1 : canvas.indexOf(fillId);
  return at < 0 ? T : at;
}
