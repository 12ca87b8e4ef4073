import { selfAttention } from "../nn/attention.ts";
import { layers } from "../nn/layers.ts";
import { gatedMlp } from "../nn/mlp.ts";
import { type Parameters, section } from "../nn/parameters.ts";
import { add, rmsNorm, type Tensor } from "../tensor/index.ts";
import type { TextConfig } from "./config.ts";

/**
 * LLaDA's mask predictor: hidden states (B, T, C) to (B, T, C), after the final norm.
 *
 * - LLaMA's block: RMSNorm before, rotary positions, SwiGLU, no biases
 * - attention is bidirectional and sees everything
 * - no time input: how much is masked can be seen in the input
 *
 * `recompute`: layers keep no activations for backward, but run again there.
 */
export function diffusionTransformer(
  parameters: Parameters,
  x: Tensor,
  config: TextConfig,
  { recompute = false }: { recompute?: boolean } = {},
): Tensor {
  const mixed = layers(
    config.layers,
    x,
    (input, i) => block(parameters, `model.layers.${i}.`, input, config),
    recompute,
  );
  return rmsNorm(mixed, section(parameters, "model.")("norm.weight"), config.eps);
}

function block(parameters: Parameters, layer: string, x: Tensor, { heads, ropeBase, eps }: TextConfig): Tensor {
  const p = section(parameters, layer);
  const attended = selfAttention(
    section(parameters, `${layer}self_attn.`),
    rmsNorm(x, p("input_layernorm.weight"), eps),
    {
      heads,
      ropeBase,
      output: "o_proj",
      bias: false,
    },
  );
  const y = add(x, attended);
  return add(y, gatedMlp(section(parameters, `${layer}mlp.`), rmsNorm(y, p("post_attention_layernorm.weight"), eps)));
}
