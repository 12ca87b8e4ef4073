import { type AttentionContext, selfAttention } from "../nn/attention.ts";
import { layers } from "../nn/layers.ts";
import { gatedMlp } from "../nn/mlp.ts";
import { type Parameters, section } from "../nn/parameters.ts";
import type { Weight } from "../nn/weight.ts";
import { add, type AttentionPrefix, rmsNorm, type Tensor } from "../tensor/index.ts";
import type { TextConfig } from "./config.ts";

export interface TransformerOptions extends Pick<AttentionContext, "lengths" | "start"> {
  /** Layers keep no activations for backward, but run again there. Default: no. */
  readonly recompute?: boolean;
  /** For each layer the keys and values of what comes before x. */
  readonly prefix?: readonly AttentionPrefix[];
  /** Is given the keys and values (B, T, H, D) of each layer. Tensors in what it returns outlive the layer. */
  readonly onKeys?: (layer: number, k: Tensor, v: Tensor) => unknown;
}

/**
 * LLaDA's mask predictor: hidden states (B, T, C) to (B, T, C), after the final norm.
 *
 * - LLaMA's block: RMSNorm before, rotary positions, SwiGLU, no biases
 * - attention is bidirectional and sees everything
 * - no time input: how much is masked can be seen in the input
 */
export function diffusionTransformer(
  parameters: Parameters<Weight>,
  x: Tensor,
  config: TextConfig,
  { recompute = false, prefix, onKeys, ...context }: TransformerOptions = {},
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
      }),
    { again: recompute, outlives: (i) => kept[i] },
  );
  return rmsNorm(mixed, section(parameters, "model.")("norm.weight"), config.eps);
}

function block(
  parameters: Parameters<Weight>,
  layer: string,
  x: Tensor,
  { heads, ropeBase, eps }: TextConfig,
  context: AttentionContext,
): Tensor {
  const p = section(parameters, layer);
  const attended = selfAttention(
    section(parameters, `${layer}self_attn.`),
    rmsNorm(x, p("input_layernorm.weight"), eps),
    { heads, ropeBase, output: "o_proj", bias: false },
    context,
  );
  const y = add(x, attended);
  return add(y, gatedMlp(section(parameters, `${layer}mlp.`), rmsNorm(y, p("post_attention_layernorm.weight"), eps)));
}
