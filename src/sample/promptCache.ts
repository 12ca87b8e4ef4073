/**
 * Keys and values of the prompt, kept from one decoding step to the next, so that a step runs the canvas alone.
 *
 * In the whole computation the prompt sees the canvas too, so kept keys belong to an older canvas: an approximation, which
 * `refresh` bounds by a whole pass every so many steps. Refreshed at every step it is exact. Source: the prefix cache of
 * Fast-dLLM; dLLM-Cache, which ReDiff switches off because captions suffer.
 */
import { linear } from "../nn/linear.ts";
import { section } from "../nn/parameters.ts";
import { lookUp } from "../nn/weight.ts";
import { diffusionTransformer } from "../model/diffusionTransformer.ts";
import type { LanguageModel } from "../model/rediff.ts";
import { type Sequences, sequenceStates } from "../model/sequence.ts";
import { type AttentionPrefix, concat, reshape, RediffError, slice, type Tensor, tensor } from "../tensor/index.ts";
import { checkCount } from "./schedules.ts";

export interface CacheOptions {
  /** `prompt` keeps the prompt's keys and values between steps. Default: `none`. */
  readonly cache?: "none" | "prompt";
  /** With `prompt`: they are made again every so many steps. Default: never again. */
  readonly refresh?: number;
}

/** One for each layer: keys and values (B, P, H, D), where P is the longest prompt. */
export type PromptCache = readonly AttentionPrefix[];

/** Throws on options that contradict each other. */
export function checkCache({ cache = "none", refresh }: CacheOptions): void {
  if (refresh === undefined) return;
  checkCount("refresh", refresh);
  if (cache === "none")
    throw new RediffError(`refresh belongs to cache "prompt"; without a cache everything is made anew.`, { refresh });
}

/** Logits (B, T, V) of a canvas (B, T) behind its prompts, and the cache to give to the next step. */
export function cachedLogits(
  model: LanguageModel,
  sequences: Sequences,
  canvas: Tensor,
  step: number,
  { cache = "none", refresh = Infinity }: CacheOptions,
  kept?: PromptCache,
): { logits: Tensor; kept: PromptCache | undefined } {
  const [B, T] = canvas.shape as [number, number];
  const { text } = model.config;
  const head = (states: Tensor): Tensor =>
    reshape(linear(states, section(model.parameters, "lm_head.").matrix("weight")), [B, T, text.vocabulary]);
  if (cache === "none") return { logits: head(sequenceStates(model, sequences, canvas)), kept: undefined };
  if (kept && step % refresh !== 0) {
    const x = lookUp(section(model.parameters, "model.").matrix("embed_tokens.weight"), canvas);
    const start = sequences.layout.promptLengths;
    return { logits: head(diffusionTransformer(model.parameters, x, text, { prefix: kept, start })), kept };
  }
  const layers: AttentionPrefix[] = [];
  const longest = Math.max(...sequences.layout.promptLengths);
  const lengths = tensor(model.device, sequences.layout.promptLengths, [B], "u32", "prompt lengths");
  // A copy: the rest of k and v, which belongs to the canvas, is let go.
  const ofPrompt = (y: Tensor): Tensor => concat([slice(y, 1, 0, longest)], 1);
  const states = sequenceStates(model, sequences, canvas, (layer, k, v) => {
    return (layers[layer] = { k: ofPrompt(k), v: ofPrompt(v), lengths });
  });
  return { logits: head(states), kept: layers };
}

/** Frees a cache, unless `next` is the same. */
export function dropCache(kept: PromptCache | undefined, next: PromptCache | undefined): void {
  if (!kept || kept === next) return;
  kept[0]?.lengths?.dispose();
  for (const { k, v } of kept) {
    k.dispose();
    v.dispose();
  }
}
