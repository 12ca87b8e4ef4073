/**
 * What all decoders share: the canvas of masks, one forward pass a step, and the choice on the GPU of what to commit.
 *
 * A decoder is a policy for what happens to a canvas between two forward passes. Everything of a step stays on the GPU:
 * logits, confidence, choice, new canvas; the canvas is read once at the end, or after each step when somebody watches.
 */
import type { LanguageModel } from "../model/rediff.ts";
import { embedSequences } from "../model/sequence.ts";
import {
  confidence,
  type Device,
  noGrad,
  readAll,
  RediffError,
  scope,
  select,
  type Tensor,
  tensor,
} from "../tensor/index.ts";
import { cachedLogits, type CacheOptions, checkCache, dropCache, type PromptCache } from "./promptCache.ts";
import { blockSchedule, checkCount } from "./schedules.ts";

export interface DecodeOptions extends CacheOptions {
  /** n of section 3.4: masked tokens that are committed at each step. */
  readonly tokensPerStep: number;
  /** Tokens that are decoded before the next block begins; default: the whole canvas. */
  readonly block?: number;
  /** Tokens of the canvas, T; default: the model's own. Positions are rotary, so any length works. */
  readonly canvas?: number;
  /** 0 takes the most probable token; above, Gumbel noise of this temperature is added. */
  readonly temperature?: number;
  readonly seed?: number;
  /** Is given the canvas after every step, while the device works at the next one. Costs one read of 8·B·T bytes a step. */
  readonly onStep?: (step: DecodeStep) => void;
}

export interface DecodeStep {
  /** From 0. */
  readonly index: number;
  readonly steps: number;
  /** Ids (B·T), row by row. */
  readonly canvas: Uint32Array;
  /** What happened to each position: see `Change`. */
  readonly changes: Uint32Array;
}

/** What `select` writes for a position. */
export const Change = { kept: 0, committed: 1, replaced: 2, masked: 3 } as const;

/** Everything a decoder needs to know about one batch of prompts. */
export interface DecodeRequest {
  /** Image tokens in the order of their places: (n, P, C) from `encodeImage`, or (P, C) each. */
  readonly images: readonly Tensor[];
  /** Prompt ids of each row, with `IMAGE` for each image. */
  readonly prompts: readonly (readonly number[])[];
  /** The canvas to start from, (B·T) ids; default: all masks. Visible tokens in it are a draft. */
  readonly draft?: ArrayLike<number>;
  readonly maskId: number;
  /** Ids that are never chosen: the prompt's structure. The mask is banned besides, except by `reference`. */
  readonly banned: readonly number[];
  /** What ends a caption, each stop as one or more ids, for decoders that stop there (`reference`). Default: nothing does. */
  readonly stops?: readonly (readonly number[])[];
  /** End of text, for decoders that stop at a block which closes with it (`selfCorrect`). Default: none. */
  readonly fillId?: number;
  /**
   * Up to two ids that are committed only when nothing else in the block is masked: end of turn and end of text. They are sure
   * at the far end of the canvas before anything is known about the caption, and committed first they would cut it short.
   * LLaDA's confidence_eos_eot_inf. Default: none.
   */
  readonly late?: readonly number[];
}

export interface DecodeResult {
  /** Ids (B·T), row by row. */
  readonly canvas: Uint32Array;
  readonly steps: number;
  /** Tokens of each row's caption (B), from decoders that end it themselves (`reference`). Default: up to its first end. */
  readonly lengths?: readonly number[];
}

export type Decoder = (model: LanguageModel, request: DecodeRequest, options: DecodeOptions) => Promise<DecodeResult>;

/** Whether and when a visible token is replaced by the new prediction. */
export interface Replacement {
  readonly replace: boolean;
  /** Replace only where the prediction's probability is at least this. */
  readonly gate?: number;
}

/** The loop. `replacement` is all that differs between mask prediction and refining. */
export async function decodeCanvas(
  model: LanguageModel,
  request: DecodeRequest,
  options: DecodeOptions,
  { replace, gate = 0 }: Replacement,
): Promise<DecodeResult> {
  const { device, config } = model;
  const { tokensPerStep, canvas: T = config.text.canvas, block, temperature = 0, seed = 0, onStep } = options;
  const { maskId, images, prompts, draft, late = [] } = request;
  const B = prompts.length;
  checkDecoding(options, T);
  const blocks = blockSchedule(T, block ?? T, tokensPerStep);
  const steps = blocks.reduce((sum, { commits }) => sum + commits.length, 0);

  return noGrad(device, () =>
    scope(device, async () => {
      const sequences = embedSequences(model, images, { rows: prompts, canvas: T });
      const banned = bitmask(device, [...request.banned, maskId], config.text.vocabulary);
      let canvas = tensor(device, draft ?? new Uint32Array(B * T).fill(maskId), [B, T], "u32", "canvas");
      let kept: PromptCache | undefined;
      let index = 0;
      let shown: Promise<void> | undefined;
      for (const { start, end, commits } of blocks) {
        for (const count of commits) {
          const next = scope(device, () => {
            const pass = cachedLogits(model, sequences, canvas, index, options, kept);
            const predicted = confidence(pass.logits, { temperature, seed, counter: index, banned });
            const chosen = select(
              { canvas, predicted: predicted.ids, confidence: predicted.confidence },
              { maskId, start, end, count, refine: replace, gate, late },
            );
            return { ...chosen, kept: pass.kept };
          });
          canvas.dispose();
          canvas = next.canvas;
          dropCache(kept, next.kept);
          kept = next.kept;
          if (onStep) {
            // The step before is shown now that this one is under way, so the device does not wait for whoever watches.
            const showing = show(onStep, { index, steps }, canvas, next.changes);
            await shown;
            shown = showing;
          } else await device.submit();
          next.changes.dispose();
          index++;
        }
      }
      await shown;
      return { canvas: (await canvas.read()) as Uint32Array, steps };
    }),
  );
}

/** Reads the canvas after a step, when it is ready, and hands it on. Throws, when it is awaited, what `onStep` throws. */
function show(
  onStep: NonNullable<DecodeOptions["onStep"]>,
  step: Pick<DecodeStep, "index" | "steps">,
  canvas: Tensor,
  changes: Tensor,
): Promise<void> {
  const shown = readAll([canvas, changes]).then((values) => {
    const [ids, what] = values as [Uint32Array, Uint32Array];
    onStep({ ...step, canvas: ids, changes: what });
  });
  // It is awaited a step later: until then a failure must not count as one that nobody handles.
  shown.catch(() => undefined);
  return shown;
}

/** Throws on options that no decoder takes. */
export function checkDecoding({ block, temperature = 0, ...options }: DecodeOptions, T: number): void {
  checkCount("canvas", T);
  if (!(temperature >= 0 && Number.isFinite(temperature)))
    throw new RediffError(`temperature must be at least 0; it is ${temperature}.`, { temperature });
  checkCount("block", block ?? T);
  checkCache(options);
}

/** Bit id % 32 of word id / 32 is set for every id that is not to be chosen. */
export function bitmask(device: Device, ids: readonly number[], vocabulary: number): Tensor {
  const words = new Uint32Array(Math.ceil(vocabulary / 32));
  for (const id of ids) words[id >>> 5]! |= 1 << (id & 31);
  return tensor(device, words, [words.length], "u32", "banned ids");
}
