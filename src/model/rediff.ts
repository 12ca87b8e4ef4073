/** The whole model: picture and prompt and canvas in, logits over the canvas out. */
import { linear } from "../nn/linear.ts";
import { erfMlp } from "../nn/mlp.ts";
import { countParameters, createParameters, disposeParameters, type Parameters, section } from "../nn/parameters.ts";
import { concat, type Device, embedding, ShapeError, slice, type Tensor } from "../tensor/index.ts";
import type { RediffConfig } from "./config.ts";
import { diffusionTransformer } from "./diffusionTransformer.ts";
import { initialValues, parameterSpecs, PROJECTOR } from "./parameterSpecs.ts";
import { visionEncoder } from "./visionEncoder.ts";

export interface Rediff {
  readonly device: Device;
  readonly config: RediffConfig;
  readonly parameters: Parameters;
  /** Backward runs the layers again instead of keeping their activations: less memory, a forward pass more. Default: no. */
  readonly recompute?: boolean;
}

/** A model with initial values, a function of (config, seed). */
export function createRediff(device: Device, config: RediffConfig, seed: number): Rediff {
  const parameters = createParameters(device, parameterSpecs(config), (spec) => initialValues(spec, config, seed));
  return { device, config, parameters };
}

export const disposeRediff = ({ parameters }: Rediff): void => disposeParameters(parameters);

export const parameterCount = (config: RediffConfig): number => countParameters(parameterSpecs(config));

/** Pixels (B, 3, S, S) to image tokens (B, P, C): vision encoder, then projector. Once for each picture, not for each step. */
export function encodeImage({ parameters, config, recompute = false }: Rediff, pixels: Tensor): Tensor {
  return erfMlp(section(parameters, PROJECTOR), visionEncoder(parameters, pixels, config.vision, { recompute }));
}

export interface Sequence {
  /** Prompt ids before the image tokens and after them, u32 (B, …). */
  readonly before: Tensor;
  readonly after: Tensor;
  /** The answer as it stands, with masks: u32 (B, T). */
  readonly canvas: Tensor;
}

/**
 * Logits (B, T, V) for the canvas: [before | image | after | canvas] through the transformer, the head on the canvas only.
 * `image` is what `encodeImage` returned, (B, P, C).
 */
export function canvasLogits(
  { parameters, config, recompute = false }: Rediff,
  image: Tensor,
  { before, after, canvas }: Sequence,
): Tensor {
  const table = section(parameters, "model.")("embed_tokens.weight");
  const T = canvas.shape[1]!;
  if (image.shape[0] !== canvas.shape[0])
    throw new ShapeError(
      `canvasLogits: one picture for each canvas; there are ${image.shape[0]} and ${canvas.shape[0]}.`,
    );
  const hidden = concat([embedding(table, before), image, embedding(table, after), embedding(table, canvas)], 1);
  const length = hidden.shape[1]!;
  const mixed = diffusionTransformer(parameters, hidden, config.text, { recompute });
  return linear(slice(mixed, 1, length - T, length), section(parameters, "lm_head.")("weight"));
}
