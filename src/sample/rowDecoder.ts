/**
 * Decoding whose choices are made on the host, a row at a time: one forward pass for all rows, then each row says what it wants
 * a prediction for next. Canvas and predictions cross over at each pass: 12·B·T bytes.
 */
import type { LanguageModel } from "../model/rediff.ts";
import { embedSequences, sequenceLogits, type Sequences } from "../model/sequence.ts";
import {
  add,
  confidence,
  mul,
  noGrad,
  readAll,
  reshape,
  scope,
  slice,
  sub,
  type Tensor,
  tensor,
} from "../tensor/index.ts";
import {
  bitmask,
  Change,
  checkDecoding,
  type DecodeOptions,
  type DecodeRequest,
  type DecodeResult,
} from "./decoder.ts";
import { cachedLogits, dropCache, type PromptCache } from "./promptCache.ts";

/** What a model says about one canvas: for each position its choice, and how probable it finds that. */
export interface Prediction {
  readonly ids: Uint32Array;
  readonly confidence: Float32Array;
}

/** The `count` positions of `places` that are most probable; of equal ones the first. */
export const mostConfident = (places: readonly number[], confidence: ArrayLike<number>, count: number): number[] =>
  places.toSorted((a, b) => confidence[b]! - confidence[a]! || a - b).slice(0, count);

/** Changes its canvas (T) in place, yields canvases that it wants predictions for, and returns the caption's length. */
export type RowPolicy = (canvas: Uint32Array, row: number) => Generator<Uint32Array, number, Prediction>;

export interface RowRules {
  /** Passes that a row takes at most. */
  readonly passes: number;
  /** Ids that are never chosen. */
  readonly banned: readonly number[];
  /** See `ReferenceRules`. */
  readonly guidance?: number;
  readonly suffix?: readonly number[];
}

/** Decodes all rows of a request, each by itself. Positions behind the end of a caption may remain masked. */
export async function decodeRows(
  model: LanguageModel,
  request: DecodeRequest,
  options: DecodeOptions,
  policy: RowPolicy,
  { passes, banned, guidance, suffix = [] }: RowRules,
): Promise<DecodeResult> {
  const { device, config } = model;
  const { canvas: T = config.text.canvas, temperature = 0, seed = 0, onStep } = options;
  const { maskId, draft, prompts } = request;
  const B = prompts.length;
  checkDecoding(options, T);
  const canvases = prompts.map((_, b) =>
    draft ? Uint32Array.from({ length: T }, (__, i) => draft[b * T + i]!) : new Uint32Array(T).fill(maskId),
  );
  const rows = canvases.map(policy);
  const whole = (): Uint32Array => Uint32Array.from(canvases.flatMap((canvas) => [...canvas]));

  return noGrad(device, () =>
    scope(device, async () => {
      const sequences = embedSequences(model, request.images, { rows: prompts, canvas: T + suffix.length });
      const unprompted = guidance ? withoutPrompts(model, sequences, T + suffix.length, maskId) : undefined;
      const never = bitmask(device, banned, config.text.vocabulary);
      let kept: PromptCache | undefined;
      let index = 0;
      const lengths = Array<number>(B).fill(T);
      /** What a row wants a prediction for; undefined: it is done. */
      const wish = (next: IteratorResult<Uint32Array, number>, b: number): Uint32Array | undefined => {
        if (!next.done) return next.value;
        lengths[b] = next.value;
        return undefined;
      };
      let wanted = rows.map((row, b) => wish(row.next(), b));
      while (wanted.some((canvas) => canvas)) {
        const ids = canvases.flatMap((canvas, b) => [...(wanted[b] ?? canvas), ...suffix]);
        const pass = scope(device, () => {
          const canvas = tensor(device, ids, [B, T + suffix.length], "u32", "canvas");
          const prompted = cachedLogits(model, sequences, canvas, index, options, kept);
          const logits = guide(model, prompted.logits, unprompted, canvas, guidance);
          const choice = confidence(slice(logits, 1, 0, T), { temperature, seed, counter: index, banned: never });
          return { ...choice, kept: prompted.kept };
        });
        dropCache(kept, pass.kept);
        kept = pass.kept;
        const [chosen, certainty] = (await readAll([pass.ids, pass.confidence])) as [Uint32Array, Float32Array];
        pass.ids.dispose();
        pass.confidence.dispose();
        const before = whole();
        wanted = rows.map((row, b) => wanted[b] && wish(row.next(rowOf(chosen, certainty, b, T)), b));
        const canvas = whole();
        onStep?.({ index, steps: passes, canvas, changes: changesOf(before, canvas, maskId) });
        index++;
      }
      return { canvas: whole(), steps: index, lengths };
    }),
  );
}

/** The same batch with a mask at every place of the prompts. */
const withoutPrompts = (model: LanguageModel, { layout }: Sequences, canvas: number, maskId: number): Sequences =>
  embedSequences(model, [], { rows: layout.promptLengths.map((length) => Array<number>(length).fill(maskId)), canvas });

/** Classifier-free guidance: u + (scale + 1)·(x − u), with u the logits without a prompt. */
function guide(
  model: LanguageModel,
  logits: Tensor,
  unprompted: Sequences | undefined,
  canvas: Tensor,
  scale = 0,
): Tensor {
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
