/**
 * Hugging Face configurations of published models as ours: LLaDA's own form, the converted one of LLaDA-V and ReDiff, SigLIP's.
 *
 * A setting that the model would have to follow and does not is refused by name, all of them in one error: a checkpoint that
 * loads and then computes something else is worse than one that does not load.
 */
import { z } from "zod";
import { RediffError } from "../../tensor/index.ts";
import { parsePinpoints } from "../anyResolution.ts";
import type { TextConfig, TilingConfig, VisionConfig } from "../config.ts";
import { CheckpointError } from "../safetensors.ts";
import {
  checkSettings,
  type Fields,
  lladaSettings,
  llavaSettings,
  type Settings,
  towerSettings,
  visionSettings,
} from "./settings.ts";

/** Special tokens that a configuration names by id. LLaDA-V's `bos_token_id` lies outside its vocabulary: the tokenizer decides. */
export interface DeclaredTokens {
  readonly mask?: number | undefined;
  readonly end?: number | undefined;
  readonly pad?: number | undefined;
}

/** What a published folder holds: a language model, a vision tower, or both. */
export interface PublishedConfig {
  readonly name: string;
  readonly text?: TextConfig;
  readonly vision?: VisionConfig;
  /** How LLaVA cuts pictures; undefined: one square view. */
  readonly tiling?: TilingConfig;
  readonly tokens: DeclaredTokens;
}

/** The sizes that LLaDA-V's code has for its tower when config.json only names it. Source: siglip_encoder.py, SigLipVisionConfig. */
const so400m = {
  hidden_size: 1152,
  intermediate_size: 4304,
  num_hidden_layers: 27,
  num_attention_heads: 16,
  image_size: 384,
  patch_size: 14,
  num_channels: 3,
  hidden_act: "gelu_pytorch_tanh",
  layer_norm_eps: 1e-6,
};
const SO400M = /siglip2?-so400m-patch14-384/;

/** Tokens of an answer in ReDiff's evaluation, where a configuration does not say (ours does, as `canvas`). */
const CANVAS = 128;

const size = z.number().int().positive();
const id = z.number().int().nonnegative().nullish();
const tokens = { mask_token_id: id, eos_token_id: id, pad_token_id: id };

const lladaSchema = z.looseObject({
  d_model: size,
  n_heads: size,
  n_kv_heads: size.nullish(),
  n_layers: size,
  mlp_hidden_size: size,
  vocab_size: size,
  embedding_size: size.nullish(),
  rope_theta: z.number().positive(),
  rms_norm_eps: z.number().positive(),
  canvas: size.optional(),
  ...tokens,
});

const llavaSchema = z.looseObject({
  hidden_size: size,
  num_attention_heads: size,
  num_key_value_heads: size.nullish(),
  num_hidden_layers: size,
  intermediate_size: size,
  vocab_size: size,
  rope_theta: z.number().positive(),
  rms_norm_eps: z.number().positive(),
  mm_vision_tower: z.string().nullish(),
  mm_hidden_size: size.nullish(),
  canvas: size.optional(),
  ...tokens,
});

const visionSchema = z.looseObject({
  hidden_size: size,
  intermediate_size: size,
  num_hidden_layers: size,
  num_attention_heads: size,
  image_size: size,
  patch_size: size,
  layer_norm_eps: z.number().positive().default(1e-6),
  // Ours alone: SigLIP has no stem.
  stem_widths: z.array(size).min(1).optional(),
});

/** Whether this config.json describes a published model rather than one that `saveModel` wrote. */
export const isPublished = (given: unknown): given is Fields =>
  typeof given === "object" && given !== null && ("model_type" in given || "architectures" in given);

/** A published config.json. `path` stands in errors. Throws CheckpointError with everything that is wrong. */
export function parsePublished(given: Fields, path: string): PublishedConfig {
  const problems: string[] = [];
  const parsed = readConfig(given, problems);
  if (parsed && !problems.length) return parsed;
  throw new CheckpointError(`${path} does not describe a model that can be loaded: ${problems.join("; ")}.`, {
    path,
    problems,
  });
}

function readConfig(given: Fields, problems: string[]): PublishedConfig | undefined {
  const type = typeof given["model_type"] === "string" ? given["model_type"] : "";
  const name = typeof given["_name_or_path"] === "string" && given["_name_or_path"] ? given["_name_or_path"] : type;
  if (type === "siglip_vision_model" || type === "siglip") {
    const inner = type === "siglip" ? describedTower(given, problems) : given;
    const vision = inner && readVision(inner, type === "siglip" ? "vision_config." : "", problems);
    return vision && { name, vision, tokens: {} };
  }
  if (type.startsWith("siglip2")) {
    problems.push(
      `model_type is ${JSON.stringify(type)}, which is NaFlex: patches of any number behind a mask, another graph. SigLIP2 of a fixed resolution, as google/siglip2-so400m-patch14-384, says siglip`,
    );
    return undefined;
  }
  if (!/^(llava_)?llada$|^mmada$/.test(type)) {
    problems.push(
      `model_type is ${JSON.stringify(given["model_type"])}; there are llada, llava_llada, mmada, siglip and siglip_vision_model`,
    );
    return undefined;
  }
  const text = "d_model" in given ? readLlada(given, problems) : readLlava(given, problems);
  const vision = readTower(given, problems);
  if (!text) return undefined;
  const tiling = vision && readTiling(given, vision.imageSize, problems);
  return { name, text, ...(vision ? { vision } : {}), ...(tiling ? { tiling } : {}), tokens: readTokens(given) };
}

function readLlada(given: Fields, problems: string[]): TextConfig | undefined {
  const found = check(lladaSchema, given, "", lladaSettings, problems);
  if (!found) return undefined;
  sameHeads("n_kv_heads", found.n_kv_heads, found.n_heads, problems);
  return textConfig(problems, {
    vocabulary: found.embedding_size ?? found.vocab_size,
    width: found.d_model,
    layers: found.n_layers,
    heads: found.n_heads,
    mlp: found.mlp_hidden_size,
    ropeBase: found.rope_theta,
    eps: found.rms_norm_eps,
    canvas: found.canvas ?? CANVAS,
  });
}

function readLlava(given: Fields, problems: string[]): TextConfig | undefined {
  const found = check(llavaSchema, given, "", llavaSettings, problems);
  if (!found) return undefined;
  sameHeads("num_key_value_heads", found.num_key_value_heads, found.num_attention_heads, problems);
  return textConfig(problems, {
    vocabulary: found.vocab_size,
    width: found.hidden_size,
    layers: found.num_hidden_layers,
    heads: found.num_attention_heads,
    mlp: found.intermediate_size,
    ropeBase: found.rope_theta,
    eps: found.rms_norm_eps,
    canvas: found.canvas ?? CANVAS,
  });
}

/** Rotary embedding turns pairs of channels, so heads are of even width. */
function textConfig(problems: string[], config: TextConfig): TextConfig {
  if (config.width % (2 * config.heads))
    problems.push(`a width of ${config.width} does not make ${config.heads} heads of an even width`);
  return config;
}

function sameHeads(field: string, keys: number | null | undefined, heads: number, problems: string[]): void {
  if (keys !== null && keys !== undefined && keys !== heads)
    problems.push(`${field} is ${keys} for ${heads} heads, but grouped queries are not implemented`);
}

/** The fields of `vision_config`, where it is an object; anything else that is there is a problem. */
function describedTower(given: Fields, problems: string[]): Fields | undefined {
  const described = given["vision_config"];
  if (typeof described === "object" && described !== null && !Array.isArray(described)) return described as Fields;
  problems.push(`vision_config is ${JSON.stringify(described) ?? "missing"}, but it holds the sizes of the tower`);
  return undefined;
}

/** The tower of a model with eyes: described in `vision_config`, or named in `mm_vision_tower`. */
function readTower(given: Fields, problems: string[]): VisionConfig | undefined {
  const tower = given["mm_vision_tower"];
  const isDescribed = (given["vision_config"] ?? undefined) !== undefined;
  if (!tower && !isDescribed) return undefined;
  checkSettings(given, "", towerSettings, problems);
  const described = isDescribed ? describedTower(given, problems) : undefined;
  if (isDescribed && !described) return undefined;
  if (!described && !(typeof tower === "string" && SO400M.test(tower))) {
    problems.push(
      `mm_vision_tower is ${JSON.stringify(tower)}, whose sizes are not known; add them as vision_config, as SigLIP's config.json has them`,
    );
    return undefined;
  }
  const vision = readVision(described ?? so400m, "vision_config.", problems);
  const width = given["mm_hidden_size"];
  if (vision && typeof width === "number" && width !== vision.width)
    problems.push(`mm_hidden_size is ${width}, but the vision tower is ${vision.width} wide`);
  return vision;
}

/** LLaVA's any-resolution settings: `anyres` or `anyres_max_N` with `spatial_unpad`, or neither. `side` is a tile's. */
function readTiling(given: Fields, side: number, problems: string[]): TilingConfig | undefined {
  const aspect = given["image_aspect_ratio"] ?? "square";
  const merge = given["mm_patch_merge_type"] ?? "flat";
  if (aspect === "square" && merge === "flat") return undefined;
  const anyres = typeof aspect === "string" ? /^anyres(?:_max_([1-9]\d*))?$/.exec(aspect) : null;
  const pinpoints = given["image_grid_pinpoints"] as TilingConfig["pinpoints"] | undefined;
  if (!anyres || merge !== "spatial_unpad" || !pinpoints) {
    problems.push(
      `image_aspect_ratio is ${JSON.stringify(aspect)} with mm_patch_merge_type ${JSON.stringify(merge)}${pinpoints ? "" : " and no image_grid_pinpoints"}, but pictures are square and flat, or anyres (anyres_max_N) and spatial_unpad with pinpoints`,
    );
    return undefined;
  }
  try {
    parsePinpoints(pinpoints, side);
  } catch (error) {
    if (!(error instanceof RediffError)) throw error;
    problems.push(`image_grid_pinpoints cannot be followed (${error.message.replace(/\.$/, "")})`);
  }
  return { pinpoints, ...(anyres[1] ? { maxTiles: Number(anyres[1]) } : {}) };
}

/** SigLIP's sizes. The last layer is not counted: LLaVA takes the hidden states before it. */
function readVision(given: Fields, prefix: string, problems: string[]): VisionConfig | undefined {
  const found = check(visionSchema, given, prefix, visionSettings, problems);
  if (!found) return undefined;
  if (found.hidden_size % found.num_attention_heads)
    problems.push(`${prefix}hidden_size ${found.hidden_size} is no multiple of ${found.num_attention_heads} heads`);
  if (found.num_hidden_layers < 2) problems.push(`${prefix}num_hidden_layers must be 2 or more: the last is left out`);
  return {
    imageSize: found.image_size,
    patch: found.patch_size,
    ...(found.stem_widths ? { stem: { widths: found.stem_widths } } : {}),
    width: found.hidden_size,
    layers: found.num_hidden_layers - 1,
    heads: found.num_attention_heads,
    mlp: found.intermediate_size,
    eps: found.layer_norm_eps,
  };
}

/** The ids that a published config.json declares. */
export function readTokens(given: Fields): DeclaredTokens {
  const idOf = (field: string): number | undefined => (typeof given[field] === "number" ? given[field] : undefined);
  return { mask: idOf("mask_token_id"), end: idOf("eos_token_id"), pad: idOf("pad_token_id") };
}

/** The fields of a schema, or undefined with what is wrong added to `problems`; and whether the settings are ours. */
function check<T>(
  schema: z.ZodType<T>,
  given: Fields,
  prefix: string,
  settings: Settings,
  problems: string[],
): T | undefined {
  checkSettings(given, prefix, settings, problems);
  const result = schema.safeParse(given);
  if (result.success) return result.data;
  for (const { path, message } of result.error.issues) {
    const field = path.join(".");
    problems.push(`${prefix}${field} is ${JSON.stringify(given[field]) ?? "missing"} (${message})`);
  }
  return undefined;
}
