import { selfAttention } from "../nn/attention.ts";
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
 */
export function diffusionTransformer(
  parameters: Parameters,
  x: Tensor,
  { layers, heads, ropeBase, eps }: TextConfig,
): Tensor {
  for (let i = 0; i < layers; i++) {
    const layer = `model.layers.${i}.`;
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
    x = add(x, attended);
    x = add(x, gatedMlp(section(parameters, `${layer}mlp.`), rmsNorm(x, p("post_attention_layernorm.weight"), eps)));
  }
  return rmsNorm(x, section(parameters, "model.")("norm.weight"), eps);
}
