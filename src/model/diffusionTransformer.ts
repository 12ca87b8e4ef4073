import { type AttentionContext, selfAttention } from "../nn/attention.ts";
import { layers } from "../nn/layers.ts";
import { gatedMlp } from "../nn/mlp.ts";
import { type Parameters, section } from "../nn/parameters.ts";
import type { Weight } from "../nn/weight.ts";
import { add, type AttentionPrefix, gather, reshape, rmsNorm, type Tensor } from "../tensor/index.ts";
import type { TextConfig } from "./config.ts";

/** W places of each row of a batch, one after the other from `starts[b]` on. */
export interface Places {
  readonly starts: readonly number[];
  /** (B·W) of u32: the same places as indices into the (B·T) of all rows. */
  readonly index: Tensor;
}

export interface TransformerOptions extends Pick<AttentionContext, "lengths" | "start"> {
  /** The places whose hidden states are wanted; the last layer computes no other. Default: all. */
  readonly wanted?: Places | undefined;
  /** Layers keep no activations for backward, but run again there. Default: no. */
  readonly recompute?: boolean;
  /** For each layer the keys and values of what comes before x. */
  readonly prefix?: readonly AttentionPrefix[];
  /** Is given the keys and values (B, T, H, D) of each layer. Tensors in what it returns outlive the layer. */
  readonly onKeys?: (layer: number, k: Tensor, v: Tensor) => unknown;
}

/**
 * LLaDA's mask predictor: hidden states (B, T, C) to (B, T, C), or (B, W, C) of the `wanted` places, after the final norm.
 *
 * - LLaMA's block: RMSNorm before, rotary positions, SwiGLU, no biases
 * - attention is bidirectional and sees everything
 * - no time input: how much is masked can be seen in the input
 */
export function diffusionTransformer(
  parameters: Parameters<Weight>,
  x: Tensor,
  config: TextConfig,
  { recompute = false, prefix, wanted, onKeys, ...context }: TransformerOptions = {},
): Tensor {
  const kept: unknown[] = [];
  const mixed = layers(
    config.layers,
    x,
    (input, i) =>
      block(parameters, `model.layers.${i}.`, input, config, {
        ...context,
        prefix: prefix?.[i],
        ...(onKeys ? { onKeys: (k, v) => void (kept[i] = onKeys(i, k, v)) } : {}),
        ...(wanted && i === config.layers - 1 ? { wanted } : {}),
      }),
    { again: recompute, outlives: (i) => kept[i] },
  );
  const last = wanted && config.layers === 0 ? at(mixed, wanted) : mixed;
  return rmsNorm(last, section(parameters, "model.")("norm.weight"), config.eps);
}

/** x (B, T, C) at places of each row, (B, W, C). */
function at(x: Tensor, { index }: Places): Tensor {
  const [B, T, C] = x.shape as [number, number, number];
  return reshape(gather(reshape(x, [B * T, C]), index), [B, index.size / B, C]);
}

function block(
  parameters: Parameters<Weight>,
  layer: string,
  x: Tensor,
  { heads, ropeBase, eps }: TextConfig,
  { wanted, ...context }: AttentionContext & Pick<TransformerOptions, "wanted">,
): Tensor {
  const p = section(parameters, layer);
  const norm = (input: Tensor): Tensor => rmsNorm(input, p("input_layernorm.weight"), eps);
  // Keys and values are of all places, the rest of the layer is of those that go on.
  const goesOn = wanted ? at(x, wanted) : x;
  const attended = selfAttention(
    section(parameters, `${layer}self_attn.`),
    norm(x),
    { heads, ropeBase, output: "o_proj", bias: false },
    { ...context, ...(wanted ? { queries: { x: norm(goesOn), start: wanted.starts } } : {}) },
  );
  const y = add(goesOn, attended);
  return add(y, gatedMlp(section(parameters, `${layer}mlp.`), rmsNorm(y, p("post_attention_layernorm.weight"), eps)));
}
