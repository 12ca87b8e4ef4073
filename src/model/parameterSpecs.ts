/** Every parameter of the model: its name in Hugging Face checkpoints (field names of LLaDA-V), its shape, its first values. */
import type { ParameterSpec } from "../nn/parameters.ts";
import { randomStream, RediffError, sizeOf } from "../tensor/index.ts";
import { imageTokens, type RediffConfig } from "./config.ts";

export const VISION = "model.vision_tower.vision_tower.vision_model.";
export const PROJECTOR = "model.mm_projector.";

/** All parameters, in the order of the forward pass. */
export function parameterSpecs({ vision, text }: RediffConfig): ParameterSpec[] {
  const specs: ParameterSpec[] = [];
  const put = (name: string, ...shape: number[]) => specs.push({ name, shape });
  const putLinear = (name: string, out: number, into: number) => {
    put(`${name}.weight`, out, into);
    put(`${name}.bias`, out);
  };
  const putLayerNorm = (name: string, width: number) => {
    put(`${name}.weight`, width);
    put(`${name}.bias`, width);
  };

  put(`${VISION}embeddings.patch_embedding.weight`, vision.width, 3, vision.patch, vision.patch);
  put(`${VISION}embeddings.patch_embedding.bias`, vision.width);
  put(`${VISION}embeddings.position_embedding.weight`, imageTokens(vision), vision.width);
  for (let i = 0; i < vision.layers; i++) {
    const layer = `${VISION}encoder.layers.${i}.`;
    putLayerNorm(`${layer}layer_norm1`, vision.width);
    for (const name of ["q_proj", "k_proj", "v_proj", "out_proj"])
      putLinear(`${layer}self_attn.${name}`, vision.width, vision.width);
    putLayerNorm(`${layer}layer_norm2`, vision.width);
    putLinear(`${layer}mlp.fc1`, vision.mlp, vision.width);
    putLinear(`${layer}mlp.fc2`, vision.width, vision.mlp);
  }
  putLinear(`${PROJECTOR}0`, text.width, vision.width);
  putLinear(`${PROJECTOR}2`, text.width, text.width);
  put("model.embed_tokens.weight", text.vocabulary, text.width);
  for (let i = 0; i < text.layers; i++) {
    const layer = `model.layers.${i}.`;
    put(`${layer}input_layernorm.weight`, text.width);
    for (const name of ["q_proj", "k_proj", "v_proj", "o_proj"])
      put(`${layer}self_attn.${name}.weight`, text.width, text.width);
    put(`${layer}post_attention_layernorm.weight`, text.width);
    put(`${layer}mlp.gate_proj.weight`, text.mlp, text.width);
    put(`${layer}mlp.up_proj.weight`, text.mlp, text.width);
    put(`${layer}mlp.down_proj.weight`, text.width, text.mlp);
  }
  put("model.norm.weight", text.width);
  put("lm_head.weight", text.vocabulary, text.width);
  return specs;
}

/**
 * The only place where initial values are made.
 *
 * Gains 1, biases 0. Linear layers: normal with variance 1/in, so that a unit input gives a unit output; those that add
 * to the residual stream are divided by sqrt(2 · layers), so that its variance does not grow with depth. Embeddings and
 * positions: normal, 0.5, about the size of what the first layers add. The head: half the linear rule, so that the first
 * predictions are near uniform. A function of (seed, name) only: the order of parameters does not matter.
 */
export function initialValues(
  { name, shape }: ParameterSpec,
  { vision, text }: RediffConfig,
  seed: number,
): Float32Array {
  const values = new Float32Array(sizeOf(shape));
  if (name.endsWith(".bias")) return values;
  if (/norm\d?\.weight$|layernorm\.weight$/.test(name)) return values.fill(1);
  const fanIn = sizeOf(shape.slice(1));
  const depth = name.startsWith(VISION) ? vision.layers : text.layers;
  const std = /embed_tokens|position_embedding/.test(name)
    ? 0.5
    : /o_proj|out_proj|down_proj|fc2/.test(name)
      ? 1 / Math.sqrt(fanIn * 2 * depth)
      : name === "lm_head.weight"
        ? 0.5 / Math.sqrt(fanIn)
        : 1 / Math.sqrt(fanIn);
  if (!Number.isFinite(std)) throw new RediffError(`No initial value for ${name}.`, { name });
  const random = randomStream(seed, ...Array.from({ length: name.length }, (_, i) => name.charCodeAt(i)));
  for (let i = 0; i < values.length; i++) values[i] = std * random.normal();
  return values;
}
