import { selfAttention } from "../nn/attention.ts";
import { layers } from "../nn/layers.ts";
import { linear } from "../nn/linear.ts";
import { tanhMlp } from "../nn/mlp.ts";
import { type Parameters, section } from "../nn/parameters.ts";
import { add, layerNorm, patches, reshape, type Tensor } from "../tensor/index.ts";
import type { VisionConfig } from "./config.ts";
import { VISION } from "./parameterSpecs.ts";

/**
 * SigLIP2-style vision transformer: pixels (B, 3, S, S) in [-1, 1] to features (B, P, C).
 *
 * - pre-norm blocks with biases, tanh GELU, learned positions
 * - no class token and no pooling head
 * - no final LayerNorm: LLaVA takes the hidden states before it
 *
 * `recompute`: layers keep no activations for backward, but run again there.
 */
export function visionEncoder(
  parameters: Parameters,
  pixels: Tensor,
  config: VisionConfig,
  { recompute = false }: { recompute?: boolean } = {},
): Tensor {
  const p = section(parameters, VISION);
  const weight = p("embeddings.patch_embedding.weight");
  // A convolution with stride = kernel is a matrix product over flattened patches.
  const flat = reshape(weight, [config.width, 3 * config.patch * config.patch]);
  const x = linear(patches(pixels, config.patch), flat, p("embeddings.patch_embedding.bias"));
  const placed = add(x, p("embeddings.position_embedding.weight"));
  const layer = (y: Tensor, i: number) => block(section(parameters, `${VISION}encoder.layers.${i}.`), y, config);
  return layers(config.layers, placed, layer, recompute);
}

function block(p: (name: string) => Tensor, x: Tensor, { heads, eps }: VisionConfig): Tensor {
  const norm = (name: string, input: Tensor) => layerNorm(input, p(`${name}.weight`), p(`${name}.bias`), eps);
  const within = (prefix: string) => (name: string) => p(prefix + name);
  x = add(x, selfAttention(within("self_attn."), norm("layer_norm1", x), { heads, output: "out_proj", bias: true }));
  return add(x, tanhMlp(within("mlp."), norm("layer_norm2", x)));
}
