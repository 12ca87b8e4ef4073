import type { AnyRediff } from "../model/rediff.ts";
import { embedSequences, sequenceLogits, type Sequences } from "../model/sequence.ts";
import {
  add,
  confidence,
  mul,
  noGrad,
  readAll,
  RediffError,
  reshape,
  scope,
  slice,
  sub,
  type Tensor,
  tensor,
} from "../tensor/index.ts";
import { bitmask, Change, checkDecoding, type Decoder } from "./decoder.ts";
import { cachedLogits, dropCache, type PromptCache } from "./promptCache.ts";
import { type Prediction, referenceRow, type ReferenceRules } from "./reference.ts";
import { checkCount } from "./schedules.ts";

/**
 * A decoder that does what the released code does, see reference.ts. Rows of a batch are independent. What is chosen is
 * decided here and not on the device, so canvas and predictions cross over at each step: 12·B·T bytes.
 *
 * Positions behind the end of a caption may remain masked. A draft is ReDiff's `fake_ans`; `request.late` is not used.
 */
export const reference =
  (rules: ReferenceRules = {}): Decoder =>
  async (model, request, options) => {
    const { device, config } = model;
    const { canvas: T = config.text.canvas, block = T, tokensPerStep, temperature = 0, seed = 0, onStep } = options;
    const { maskId, stopId, draft, prompts } = request;
    const { suffix = [] } = rules;
    const B = prompts.length;
    checkDecoding(options, T);
    const stepsPerBlock = blockSteps(T, block, tokensPerStep, rules);
    const steps = (T / block) * stepsPerBlock;
    const canvases = Array.from({ length: B }, (_, b) =>
      draft ? Uint32Array.from({ length: T }, (_, i) => draft[b * T + i]!) : new Uint32Array(T).fill(maskId),
    );
    const rows = canvases.map((canvas) => referenceRow(canvas, { block, stepsPerBlock, maskId, stopId }, rules));
    const whole = (): Uint32Array => Uint32Array.from(canvases.flatMap((canvas) => [...canvas]));

    return noGrad(device, () =>
      scope(device, async () => {
        const sequences = embedSequences(model, request.images, { rows: prompts, canvas: T + suffix.length });
        const unprompted = rules.guidance ? withoutPrompts(model, sequences, T + suffix.length, maskId) : undefined;
        const banned = bitmask(device, request.banned, config.text.vocabulary);
        let kept: PromptCache | undefined;
        let index = 0;
        const lengths = Array<number>(B).fill(T);
        const goesOn = (next: IteratorResult<void, number>, b: number): boolean => {
          if (next.done) lengths[b] = next.value;
          return !next.done;
        };
        let running = rows.map((row, b) => goesOn(row.next(), b));
        while (running.includes(true)) {
          const ids = canvases.flatMap((canvas) => [...canvas, ...suffix]);
          const pass = scope(device, () => {
            const canvas = tensor(device, ids, [B, T + suffix.length], "u32", "canvas");
            const prompted = cachedLogits(model, sequences, canvas, index, options, kept);
            const logits = guide(model, prompted.logits, unprompted, canvas, rules.guidance);
            const choice = confidence(slice(logits, 1, 0, T), { temperature, seed, counter: index, banned });
            return { ...choice, kept: prompted.kept };
          });
          dropCache(kept, pass.kept);
          kept = pass.kept;
          const [chosen, certainty] = (await readAll([pass.ids, pass.confidence])) as [Uint32Array, Float32Array];
          pass.ids.dispose();
          pass.confidence.dispose();
          const before = whole();
          running = rows.map((row, b) => running[b]! && goesOn(row.next(rowOf(chosen, certainty, b, T)), b));
          const canvas = whole();
          onStep?.({ index, steps, canvas, changes: changesOf(before, canvas, maskId) });
          index++;
        }
        return { canvas: whole(), steps: index, lengths };
      }),
    );
  };

/** Steps of a block. Throws RediffError unless blocks, and steps in each, are whole numbers, as the released code wants them. */
export function blockSteps(T: number, block: number, tokensPerStep: number, { steps }: ReferenceRules): number {
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

/** The same batch with a mask at every place of the prompts. */
const withoutPrompts = (model: AnyRediff, { layout }: Sequences, canvas: number, maskId: number): Sequences =>
  embedSequences(model, [], { rows: layout.promptLengths.map((length) => Array<number>(length).fill(maskId)), canvas });

/** Classifier-free guidance: u + (scale + 1)·(x − u), with u the logits without a prompt. */
function guide(model: AnyRediff, logits: Tensor, unprompted: Sequences | undefined, canvas: Tensor, scale = 0): Tensor {
  if (!unprompted) return logits;
  const u = reshape(sequenceLogits(model, unprompted, canvas), logits.shape);
  return add(u, mul(sub(logits, u), scale + 1));
}

const rowOf = (ids: Uint32Array, confidence: Float32Array, b: number, T: number): Prediction => ({
  ids: ids.subarray(b * T, (b + 1) * T),
  confidence: confidence.subarray(b * T, (b + 1) * T),
});

const changesOf = (before: Uint32Array, after: Uint32Array, maskId: number): Uint32Array =>
  after.map((id, i) =>
    id === maskId
      ? Change.masked
      : before[i] === maskId
        ? Change.committed
        : before[i] === id
          ? Change.kept
          : Change.replaced,
  );
