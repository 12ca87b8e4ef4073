/** Every parameter of the model: its name in Hugging Face checkpoints (field names of LLaDA-V), its shape, its first values. */
import type { ParameterSpec } from "../nn/parameters.ts";
import { randomStream, RediffError, sizeOf } from "../tensor/index.ts";
import {
  checkStem,
  hasVision,
  imageTokens,
  type LanguageConfig,
  patchCells,
  type RediffConfig,
  type TextConfig,
  type VisionConfig,
} from "./config.ts";

export const VISION = "model.vision_tower.vision_tower.vision_model.";
export const PROJECTOR = "model.mm_projector.";
/** The token at the end of each row of a tiled picture. */
export const NEWLINE = "model.image_newline";

/** All parameters, in the order of the forward pass. Throws RediffError where the sizes do not fit each other. */
export const parameterSpecs = (config: RediffConfig): ParameterSpec[] => [
  ...visionSpecs(config.vision),
  ...projectorSpecs(config),
  ...textSpecs(config.text),
];

/** Those of a language model that may have no eyes. */
export const languageSpecs = (config: LanguageConfig): ParameterSpec[] =>
  hasVision(config) ? parameterSpecs(config) : textSpecs(config.text);

const linear = (name: string, out: number, into: number): ParameterSpec[] => [
  { name: `${name}.weight`, shape: [out, into] },
  { name: `${name}.bias`, shape: [out] },
];

/** Parameters of the vision encoder. Throws RediffError where a stem does not fit the picture. */
export function visionSpecs(vision: VisionConfig): ParameterSpec[] {
  checkStem(vision);
  const { width, mlp, layers } = vision;
  const { channels, side } = patchCells(vision);
  const norm = (name: string): ParameterSpec[] => [
    { name: `${name}.weight`, shape: [width] },
    { name: `${name}.bias`, shape: [width] },
  ];
  const convolution = (name: string, out: number, into: number, window: number): ParameterSpec[] => [
    { name: `${name}.weight`, shape: [out, into, window, window] },
    { name: `${name}.bias`, shape: [out] },
  ];
  const stem = vision.stem?.widths ?? [];
  return [
    ...stem.flatMap((out, i) => convolution(`${VISION}embeddings.stem.${i}`, out, stem[i - 1] ?? 3, 3)),
    ...convolution(`${VISION}embeddings.patch_embedding`, width, channels, side),
    { name: `${VISION}embeddings.position_embedding.weight`, shape: [imageTokens(vision), width] },
    ...Array.from({ length: layers }, (_, i) => `${VISION}encoder.layers.${i}.`).flatMap((layer) => [
      ...norm(`${layer}layer_norm1`),
      ...["q_proj", "k_proj", "v_proj", "out_proj"].flatMap((name) =>
        linear(`${layer}self_attn.${name}`, width, width),
      ),
      ...norm(`${layer}layer_norm2`),
      ...linear(`${layer}mlp.fc1`, mlp, width),
      ...linear(`${layer}mlp.fc2`, width, mlp),
    ]),
  ];
}

/** Parameters between vision encoder and language model. */
export const projectorSpecs = ({ vision, text, tiling }: RediffConfig): ParameterSpec[] => [
  ...linear(`${PROJECTOR}0`, text.width, vision.width),
  ...linear(`${PROJECTOR}2`, text.width, text.width),
  ...(tiling ? [{ name: NEWLINE, shape: [text.width] }] : []),
];

/** Parameters of the language model. */
export function textSpecs({ vocabulary, width, layers, mlp }: TextConfig): ParameterSpec[] {
  const weight = (name: string, ...shape: number[]): ParameterSpec => ({ name: `${name}.weight`, shape });
  return [
    weight("model.embed_tokens", vocabulary, width),
    ...Array.from({ length: layers }, (_, i) => `model.layers.${i}.`).flatMap((layer) => [
      weight(`${layer}input_layernorm`, width),
      ...["q_proj", "k_proj", "v_proj", "o_proj"].map((name) => weight(`${layer}self_attn.${name}`, width, width)),
      weight(`${layer}post_attention_layernorm`, width),
      weight(`${layer}mlp.gate_proj`, mlp, width),
      weight(`${layer}mlp.up_proj`, mlp, width),
      weight(`${layer}mlp.down_proj`, width, mlp),
    ]),
    weight("model.norm", width),
    weight("lm_head", vocabulary, width),
  ];
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
