import { selfAttention } from "../nn/attention.ts";
import { type Convolution, conv2d } from "../nn/conv2d.ts";
import { layers } from "../nn/layers.ts";
import { linear } from "../nn/linear.ts";
import { tanhMlp } from "../nn/mlp.ts";
import { type Parameters, section, type Section } from "../nn/parameters.ts";
import type { Weight } from "../nn/weight.ts";
import { add, gelu, layerNorm, patches, permute, reshape, type Tensor } from "../tensor/index.ts";
import { imageTokens, patchCells, type VisionConfig } from "./config.ts";
import { VISION } from "./parameterSpecs.ts";

/**
 * SigLIP2-style vision transformer: pixels (B, 3, S, S) in [-1, 1] to features (B, P, C).
 *
 * - pre-norm blocks with biases, tanh GELU, learned positions
 * - no class token and no pooling head
 * - no final LayerNorm: LLaVA takes the hidden states before it
 * - not of SigLIP, and only where the config has it: a stem of convolutions before the patch embedding
 *
 * `recompute`: layers keep no activations for backward, but run again there.
 */
export function visionEncoder(
  parameters: Parameters<Weight>,
  pixels: Tensor,
  config: VisionConfig,
  { recompute = false }: { recompute?: boolean } = {},
): Tensor {
  const p = section(parameters, `${VISION}embeddings.`);
  const x = config.stem ? stemmed(p, pixels, config) : embedded(p, pixels, config);
  const placed = add(x, p("position_embedding.weight"));
  const layer = (y: Tensor, i: number) => block(parameters, `${VISION}encoder.layers.${i}.`, y, config);
  return layers(config.layers, placed, layer, { again: recompute });
}

/** Patches of pixels (B, 3, S, S) to (B, P, C): a convolution with stride = kernel is a matrix product over flattened patches. */
function embedded(p: Section, pixels: Tensor, { patch, width }: VisionConfig): Tensor {
  const flat = reshape(p("patch_embedding.weight"), [width, 3 * patch * patch]);
  return linear(patches(pixels, patch), flat, p("patch_embedding.bias"));
}

/** Pixels (B, 3, S, S) through the stem to (B, P, C). Channels are innermost from here on. */
function stemmed(p: Section, pixels: Tensor, config: VisionConfig): Tensor {
  const convolve = (name: string, x: Tensor, options: Convolution) =>
    conv2d(x, p(`${name}.weight`), p(`${name}.bias`), options);
  const cells = config.stem!.widths.reduce(
    (x, _, i) => gelu(convolve(`stem.${i}`, x, { stride: 2, padding: 1 })),
    permute(pixels, [0, 2, 3, 1]),
  );
  const x = convolve("patch_embedding", cells, { stride: patchCells(config).side });
  return reshape(x, [x.shape[0]!, imageTokens(config), config.width]);
}

function block(parameters: Parameters<Weight>, layer: string, x: Tensor, { heads, eps }: VisionConfig): Tensor {
  const p = section(parameters, layer);
  const norm = (name: string, input: Tensor) => layerNorm(input, p(`${name}.weight`), p(`${name}.bias`), eps);
  const attention = section(parameters, `${layer}self_attn.`);
  x = add(x, selfAttention(attention, norm("layer_norm1", x), { heads, output: "out_proj", bias: true }));
  return add(x, tanhMlp(section(parameters, `${layer}mlp.`), norm("layer_norm2", x)));
}
