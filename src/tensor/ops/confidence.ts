import { ShapeError } from "../errors.ts";
import { defineOp, f32, u32 } from "../op.ts";
import { runRows } from "../rows.ts";
import { empty, scope, type Tensor } from "../tensor.ts";

/**
 * confidence: the token that the logits of every row choose, and how probable they find it.
 *
 *   id[n] = argmax_v (x[n,v] + temperature · gumbel[n,v])      confidence[n] = softmax(x[n])[id[n]]
 *
 * Temperature 0 takes the most probable token, of equals the lowest id. Above it the argmax of noisy logits is a draw from
 * softmax(x / temperature) (the Gumbel-max trick); the noise is Philox, keyed by seed and counter, so a step can be
 * repeated. The probability is that of the logits without noise and at temperature 1, as in LLaDA. No gradient.
 */
const op = defineOp("confidence", {
  inputs: { logits: f32("N*", "C"), banned: u32("W") },
  outputs: { ids: u32("N*"), confidence: f32("N*") },
  attrs: { temperature: 0, seed: 0, counter: 0, bans: false },
  derive: ({ C, W, bans }) => {
    const words = Math.ceil(C! / 32);
    if (bans && W !== words)
      throw new ShapeError(`confidence: banned is a bit mask of (${words},) words for V = ${C}; it is (${W},).`, {
        words,
        got: W,
      });
    return {};
  },
  forward: ({ logits, banned, ids, confidence, N, C, temperature, seed, counter, bans }) => {
    const overrides = { NOISE: temperature > 0, BANS: bans };
    runRows("confidence", { logits, banned, ids, confidence }, { N, C, temperature, seed, counter }, { overrides });
  },
});

export interface ConfidenceOptions {
  /** 0 (default) is the argmax. */
  readonly temperature?: number;
  /** Key of the noise, two words of 32 bits: give each step another counter. */
  readonly seed?: number;
  readonly counter?: number;
  /** Ids that are never chosen and have no probability: bit id % 32 of word id / 32, u32 (V / 32, rounded up). */
  readonly banned?: Tensor | undefined;
}

/** logits (…, V) to ids (…) of u32 and confidence (…). PyTorch: softmax(x).gather(argmax(x + T · gumbel)). */
export function confidence(
  logits: Tensor,
  { banned, ...options }: ConfidenceOptions = {},
): { ids: Tensor; confidence: Tensor } {
  if (banned) return op({ logits, banned }, { ...options, bans: true });
  // The binding must hold something; the kernel does not read it.
  return scope(logits.device, () => op({ logits, banned: empty(logits.device, [1], "u32", "no bans") }, options));
}
