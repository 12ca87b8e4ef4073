/**
 * Settings of published configurations that a model of this architecture has to have, and why. The values that their code
 * takes for absent fields are those of configuration_llada.py in both forms, and of SigLipVisionConfig.
 */
export type Fields = Readonly<Record<string, unknown>>;

interface Setting {
  /** The values that the model can follow. */
  readonly are: readonly unknown[];
  readonly because: string;
  /** What the published code takes where the field is absent; default: the first of `are`. */
  readonly absent?: unknown;
}

export type Settings = Readonly<Record<string, Setting>>;

export const lladaSettings: Settings = {
  rope: { absent: false, are: [true], because: "positions are rotary" },
  alibi: { are: [false], because: "positions are rotary" },
  block_type: { absent: "sequential", are: ["llama"], because: "blocks are LLaMA's" },
  block_group_size: { are: [1], because: "groups of blocks have other names" },
  activation_type: { absent: "swiglu", are: ["silu"], because: "the MLP is SwiGLU" },
  layer_norm_type: { absent: "default", are: ["rms"], because: "norms are RMSNorm" },
  layer_norm_with_affine: { are: [true], because: "norms have a gain" },
  attention_layer_norm: { are: [false], because: "queries and keys are not normalised" },
  multi_query_attention: { are: [null, false], because: "each head has keys and values of its own" },
  input_emb_norm: { are: [false], because: "embeddings are not scaled" },
  scale_logits: { are: [false], because: "logits are not scaled" },
  include_bias: { are: [false], because: "linear layers of the language model have no bias" },
  include_qkv_bias: { are: [false, null], because: "linear layers of the language model have no bias" },
  bias_for_layer_norm: { are: [false, null], because: "norms of the language model have no bias" },
  weight_tying: { absent: true, are: [false], because: "the head is not the embedding" },
};

export const llavaSettings: Settings = {
  hidden_act: { are: ["silu"], because: "the MLP is SwiGLU" },
  attention_bias: { are: [false], because: "linear layers of the language model have no bias" },
  mlp_bias: { are: [false], because: "linear layers of the language model have no bias" },
  rope_scaling: { are: [null], because: "angles are not scaled" },
  tie_word_embeddings: { are: [false], because: "the head is not the embedding" },
};

export const towerSettings: Settings = {
  mm_projector_type: { are: ["mlp2x_gelu"], because: "the projector is two linear layers" },
  mm_vision_select_feature: { are: ["patch"], because: "every patch is an image token" },
  mm_vision_select_layer: { are: [-2, -1], because: "the tower ends before its last layer, which LLaDA-V deletes" },
  mm_resampler_type: { are: [null], because: "nothing resamples image tokens" },
  mm_use_im_start_end: { are: [false], because: "an image has no tokens around it" },
};

export const visionSettings: Settings = {
  num_patches: { are: [undefined, null], because: "patches of any number (NaFlex) are another graph" },
  num_channels: { are: [3], because: "pictures are RGB" },
  hidden_act: { are: ["gelu_pytorch_tanh"], because: "the tower's GELU is the tanh form" },
};

/** Adds to `problems` every setting of `given` that the model does not follow. */
export function checkSettings(given: Fields, prefix: string, settings: Settings, problems: string[]): void {
  for (const [field, { are, because, absent = are[0] }] of Object.entries(settings)) {
    const value = field in given ? given[field] : absent;
    if (!are.includes(value))
      problems.push(
        `${prefix}${field} is ${JSON.stringify(value)}${field in given ? "" : " by default"}, but ${because}`,
      );
  }
}
