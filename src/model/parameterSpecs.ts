/** Every parameter of the model: its name in Hugging Face checkpoints (field names of LLaDA-V), its shape, its first values. */
import type { ParameterSpec } from "../nn/parameters.ts";
import { randomStream, RediffError, sizeOf } from "../tensor/index.ts";
import { checkStem, imageTokens, patchCells, type RediffConfig } from "./config.ts";

export const VISION = "model.vision_tower.vision_tower.vision_model.";
export const PROJECTOR = "model.mm_projector.";
/** The token at the end of each row of a tiled picture. */
export const NEWLINE = "model.image_newline";

/** All parameters, in the order of the forward pass. Throws RediffError where the sizes do not fit each other. */
export function parameterSpecs({ vision, text, tiling }: RediffConfig): ParameterSpec[] {
  checkStem(vision);
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
  const putConvolution = (name: string, out: number, into: number, side: number) => {
    put(`${name}.weight`, out, into, side, side);
    put(`${name}.bias`, out);
  };

  const { channels, side } = patchCells(vision);
  vision.stem?.widths.forEach((width, i, widths) =>
    putConvolution(`${VISION}embeddings.stem.${i}`, width, widths[i - 1] ?? 3, 3),
  );
  putConvolution(`${VISION}embeddings.patch_embedding`, vision.width, channels, side);
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
  if (tiling) put(NEWLINE, text.width);
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
 * How a parameter begins: a constant, or normal with this standard deviation. The only place where that is decided.
 *
 * Gains 1, biases 0. Linear layers: normal with variance 1/in, so that a unit input gives a unit output; those that add
 * to the residual stream are divided by sqrt(2 · layers), so that its variance does not grow with depth. Embeddings and
 * positions: normal, 0.5, about the size of what the first layers add. The head: half the linear rule, so that the first
 * predictions are near uniform. The newline: about as long as a unit vector.
 */
export function initialRule(
  { name, shape }: ParameterSpec,
  { vision, text }: RediffConfig,
): { readonly constant: number } | { readonly std: number } {
  if (name.endsWith(".bias")) return { constant: 0 };
  if (/norm\d?\.weight$|layernorm\.weight$/.test(name)) return { constant: 1 };
  const fanIn = sizeOf(shape.slice(1));
  const depth = name.startsWith(VISION) ? vision.layers : text.layers;
  const std = /embed_tokens|position_embedding/.test(name)
    ? 0.5
    : /o_proj|out_proj|down_proj|fc2/.test(name)
      ? 1 / Math.sqrt(fanIn * 2 * depth)
      : name === "lm_head.weight"
        ? 0.5 / Math.sqrt(fanIn)
        : 1 / Math.sqrt(name === NEWLINE ? text.width : fanIn);
  if (!Number.isFinite(std)) throw new RediffError(`No initial value for ${name}.`, { name });
  return { std };
}

/** First values by `initialRule`, a function of (seed, name) only: the order of parameters does not matter. */
export function initialValues(spec: ParameterSpec, config: RediffConfig, seed: number): Float32Array {
  const { name, shape } = spec;
  const values = new Float32Array(sizeOf(shape));
  const rule = initialRule(spec, config);
  if ("constant" in rule) return values.fill(rule.constant);
  const random = randomStream(seed, ...Array.from({ length: name.length }, (_, i) => name.charCodeAt(i)));
  for (let i = 0; i < values.length; i++) values[i] = rule.std * random.normal();
  return values;
}
