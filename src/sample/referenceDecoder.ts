import { randomStream, RediffError } from "../tensor/index.ts";
import type { Decoder } from "./decoder.ts";
import { referenceRow, type ReferenceRules } from "./reference.ts";
import { decodeRows } from "./rowDecoder.ts";
import { checkCount } from "./schedules.ts";

/** A decoder that does what the released code does, see reference.ts. A draft is ReDiff's `fake_ans`; `late` is not used. */
export const reference =
  (rules: ReferenceRules = {}): Decoder =>
  async (model, request, options) => {
    const { canvas: T = model.config.text.canvas, block = T, tokensPerStep, seed = 0 } = options;
    const { maskId, stops = [], banned } = request;
    if (stops.some((ids) => ids.length === 0)) throw new RediffError("A stop must have at least one token.");
    const stepsPerBlock = blockSteps(T, block, tokensPerStep, rules.steps);
    const policy = (canvas: Uint32Array, row: number) =>
      referenceRow(canvas, { block, stepsPerBlock, maskId, stops, random: randomStream(seed, row) }, rules);
    return decodeRows(model, request, options, policy, { ...rules, passes: (T / block) * stepsPerBlock, banned });
  };

/** Steps of a block. Throws RediffError unless blocks, and steps in each, are whole numbers, as the released code wants them. */
export function blockSteps(T: number, block: number, tokensPerStep: number, steps: number | undefined): number {
  checkCount("block", block);
  if (T % block)
    throw new RediffError(`The reference decodes whole blocks: ${block} does not divide ${T}.`, { T, block });
  if (steps === undefined) {
    checkCount("tokens per step", tokensPerStep);
    return Math.ceil(block / tokensPerStep);
  }
  checkCount("steps", steps);
  if (steps % (T / block))
    throw new RediffError(`The steps are a multiple of the ${T / block} blocks; they are ${steps}.`, { steps });
  return (steps * block) / T;
}
