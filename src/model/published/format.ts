import type { RediffConfig, VisionConfig } from "../config.ts";
import type { DeclaredTokens } from "./config.ts";
import type { Layout } from "./names.ts";

export interface PublishedFormat {
  readonly layout: Layout;
  readonly dtype: "float32" | "float16" | "bfloat16";
  readonly tokens?: DeclaredTokens | undefined;
  /** Where the tower is stored by itself, for LLaDA-V's builder; undefined: only among the model's weights. */
  readonly tower?: string | undefined;
  /** `ours` writes the length of the canvas, by which a folder is known as ours. */
  readonly prompt: "ours" | "llava";
}

/**
 * A configuration of ours as a published config.json, which examples/load_in_pytorch.py reads and `loadModel` too. The vision
 * tower is described in `vision_config`, with the layer that LLaVA leaves out counted, as SigLIP counts it.
 */
export function formatPublished(
  { name, text, vision, tiling }: RediffConfig,
  { layout, dtype, tokens: { mask, end, pad } = {}, tower, prompt }: PublishedFormat,
): Record<string, unknown> {
  const common = {
    _name_or_path: name,
    vocab_size: text.vocabulary,
    rope_theta: text.ropeBase,
    rms_norm_eps: text.eps,
    canvas: prompt === "ours" ? text.canvas : undefined,
    mask_token_id: mask,
    eos_token_id: end,
    pad_token_id: pad,
    torch_dtype: dtype,
    mm_vision_tower: tower ?? "within",
    mm_hidden_size: vision.width,
    mm_projector_type: "mlp2x_gelu",
    mm_vision_select_layer: -2,
    mm_vision_select_feature: "patch",
    image_aspect_ratio: !tiling ? "square" : tiling.maxTiles ? `anyres_max_${tiling.maxTiles}` : "anyres",
    mm_patch_merge_type: tiling ? "spatial_unpad" : "flat",
    image_grid_pinpoints: tiling?.pinpoints,
    vision_config: formatTower(vision),
  };
  if (layout === "llava")
    return {
      architectures: ["LlavaLLaDAModelLM"],
      model_type: "llava_llada",
      hidden_size: text.width,
      intermediate_size: text.mlp,
      num_hidden_layers: text.layers,
      num_attention_heads: text.heads,
      num_key_value_heads: text.heads,
      hidden_act: "silu",
      attention_bias: false,
      rope_scaling: null,
      tie_word_embeddings: false,
      ...common,
    };
  return {
    architectures: ["LLaDAModelLM"],
    model_type: "llada",
    d_model: text.width,
    mlp_hidden_size: text.mlp,
    n_layers: text.layers,
    n_heads: text.heads,
    n_kv_heads: text.heads,
    embedding_size: text.vocabulary,
    block_type: "llama",
    activation_type: "silu",
    layer_norm_type: "rms",
    rope: true,
    weight_tying: false,
    ...common,
  };
}

/** The vision tower as SigLIP's vision configuration, with the last layer, which is left out, counted. */
export const formatTower = (vision: VisionConfig): Record<string, unknown> => ({
  model_type: "siglip_vision_model",
  hidden_size: vision.width,
  intermediate_size: vision.mlp,
  num_hidden_layers: vision.layers + 1,
  num_attention_heads: vision.heads,
  num_channels: 3,
  image_size: vision.imageSize,
  patch_size: vision.patch,
  hidden_act: "gelu_pytorch_tanh",
  layer_norm_eps: vision.eps,
  stem_widths: vision.stem?.widths,
});

/** How pictures are prepared for the tower, as Hugging Face's preprocessor_config.json: bicubic (3), then to [-1, 1]. */
export const formatPreprocessing = ({ vision: { imageSize } }: RediffConfig): Record<string, unknown> => ({
  image_processor_type: "SiglipImageProcessor",
  do_resize: true,
  size: { height: imageSize, width: imageSize },
  resample: 3,
  do_rescale: true,
  rescale_factor: 1 / 255,
  do_normalize: true,
  image_mean: [0.5, 0.5, 0.5],
  image_std: [0.5, 0.5, 0.5],
});
