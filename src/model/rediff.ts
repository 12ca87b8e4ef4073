/** The whole model: its parameters, and pictures to image tokens. What follows them is in sequence.ts. */
import { erfMlp } from "../nn/mlp.ts";
import { countParameters, createParameters, disposeParameters, type Parameters, section } from "../nn/parameters.ts";
import type { Weight } from "../nn/weight.ts";
import type { Device, Tensor } from "../tensor/index.ts";
import type { LanguageConfig, RediffConfig } from "./config.ts";
import { initialValues, parameterSpecs, PROJECTOR } from "./parameterSpecs.ts";
import { visionEncoder } from "./visionEncoder.ts";

export interface Rediff<W extends Weight = Tensor> {
  readonly device: Device;
  readonly config: RediffConfig;
  readonly parameters: Parameters<W>;
  /** Backward runs the layers again instead of keeping their activations: less memory, a forward pass more. Default: no. */
  readonly recompute?: boolean;
}

/** A model to use, whatever its weights are stored as. */
export type AnyRediff = Rediff<Weight>;

/** What decoding needs of a model, which may have no eyes: LLaDA and ProSeCo. */
export type LanguageModel = Omit<AnyRediff, "config"> & { readonly config: LanguageConfig };

/** A model with initial values, a function of (config, seed). */
export function createRediff(device: Device, config: RediffConfig, seed: number): Rediff {
  const parameters = createParameters(device, parameterSpecs(config), (spec) => initialValues(spec, config, seed));
  return { device, config, parameters };
}

export const disposeRediff = ({ parameters }: LanguageModel): void => disposeParameters(parameters);

export const parameterCount = (config: RediffConfig): number => countParameters(parameterSpecs(config));

/** Pixels (B, 3, S, S) to image tokens (B, P, C): vision encoder, then projector. Once for each picture, not for each step. */
export function encodeImage({ parameters, config, recompute = false }: AnyRediff, pixels: Tensor): Tensor {
  return erfMlp(section(parameters, PROJECTOR), visionEncoder(parameters, pixels, config.vision, { recompute }));
}
