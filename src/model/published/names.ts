/**
 * Names of tensors in published checkpoints, and ours.
 *
 * Ours are those of LLaDA-V and ReDiff (`llava`). LLaDA's own release, and what was trained from it (ProSeCo, MMaDA, LaViDa),
 * names the language model otherwise (`llada`). SigLIP2's release has the vision tower under its own root.
 */
import { NEWLINE, VISION } from "../parameterSpecs.ts";
import type { PublishedConfig } from "./config.ts";

export type Layout = "llava" | "llada";

/** The language model: ours beside LLaDA's. N is a layer. Source: LLaDA-V's rename_checkpoint.py. */
const textNames: readonly (readonly [llava: string, llada: string])[] = [
  ["model.embed_tokens.weight", "model.transformer.wte.weight"],
  ["model.layers.N.input_layernorm.weight", "model.transformer.blocks.N.attn_norm.weight"],
  ["model.layers.N.self_attn.q_proj.weight", "model.transformer.blocks.N.q_proj.weight"],
  ["model.layers.N.self_attn.k_proj.weight", "model.transformer.blocks.N.k_proj.weight"],
  ["model.layers.N.self_attn.v_proj.weight", "model.transformer.blocks.N.v_proj.weight"],
  ["model.layers.N.self_attn.o_proj.weight", "model.transformer.blocks.N.attn_out.weight"],
  ["model.layers.N.post_attention_layernorm.weight", "model.transformer.blocks.N.ff_norm.weight"],
  ["model.layers.N.mlp.gate_proj.weight", "model.transformer.blocks.N.ff_proj.weight"],
  ["model.layers.N.mlp.up_proj.weight", "model.transformer.blocks.N.up_proj.weight"],
  ["model.layers.N.mlp.down_proj.weight", "model.transformer.blocks.N.ff_out.weight"],
  ["model.norm.weight", "model.transformer.ln_f.weight"],
  ["lm_head.weight", "model.transformer.ff_out.weight"],
];

const toLlada = new Map(textNames);
const toLlava = new Map(textNames.map(([llava, llada]) => [llada, llava]));

/** SigLIP2's root of the vision tower. */
const SIGLIP = "vision_model.";

const LAYER = /(?<=^model\.(?:layers|transformer\.blocks)\.)\d+(?=\.)/;

/** `name` by a table in which the layer's number is N; a name that is not in it stays as it is. */
function translate(name: string, table: ReadonlyMap<string, string>): string {
  const layer = LAYER.exec(name)?.[0];
  const found = table.get(layer === undefined ? name : name.replace(LAYER, "N"));
  return found === undefined ? name : layer === undefined ? found : found.replace(".N.", `.${layer}.`);
}

/** Our name of a published tensor, whatever the layout. Names that no table has stay as they are. */
export const ourName = (published: string): string =>
  published.startsWith(SIGLIP) ? VISION + published.slice(SIGLIP.length) : translate(published, toLlava);

/** The name of one of our parameters in a layout. */
export const publishedName = (ours: string, layout: Layout): string =>
  layout === "llava" ? ours : translate(ours, toLlada);

/** The name of a parameter of the vision tower in SigLIP2's own folders. */
export const towerName = (ours: string): string => SIGLIP + ours.slice(VISION.length);

/** The name that one of our parameters has, or would have, in a folder that holds these tensors: in the layout that they follow. */
export function nameAmong(published: readonly string[]): (ours: string) => string {
  const layout: Layout = published.some((name) => name.startsWith("model.transformer.")) ? "llada" : "llava";
  const isTower = published.some((name) => name.startsWith(SIGLIP));
  return (ours) => (isTower && ours.startsWith(VISION) ? towerName(ours) : publishedName(ours, layout));
}

/**
 * Whether published checkpoints have this tensor (by our name) but the model does not use it: LLaVA takes the hidden states
 * before SigLIP's last layer, so that layer, the final norm and the pooling head are carried along; so is the text side of
 * SigLIP, and what older versions of transformers saved of positions.
 */
export function isUnused(ours: string, { vision, tiling }: Pick<PublishedConfig, "vision" | "tiling">): boolean {
  if (ours.startsWith(VISION)) {
    const inTower = ours.slice(VISION.length);
    return (
      /^(post_layernorm|head)\./.test(inTower) ||
      inTower.startsWith(`encoder.layers.${vision?.layers}.`) ||
      inTower === "embeddings.position_ids"
    );
  }
  return (
    /^(text_model\.|logit_scale$|logit_bias$)/.test(ours) ||
    ours.endsWith(".rotary_emb.inv_freq") ||
    // LLaVA's separator of video frames.
    ours === "model.faster_token" ||
    (ours === NEWLINE && !tiling)
  );
}
