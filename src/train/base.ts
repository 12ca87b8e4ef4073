/**
 * Mask-prediction training: the baseline of the paper, eq. 1 and 2.
 *
 *   L = mean over the batch of (1/p) · (1/L) · Σ_{masked i} −log p_θ(r_0[i] | v, p_0, r_t)
 */
import { checkpointConfig, loadModel, loadWeights } from "../model/checkpoint.ts";
import { preset } from "../model/config.ts";
import { PROJECTOR, VISION } from "../model/parameterSpecs.ts";
import { createRediff, type Rediff } from "../model/rediff.ts";
import { captionPrompt } from "../model/prompt.ts";
import type { Tokenizer } from "../model/tokenizer.ts";
import { type Device, RediffError } from "../tensor/index.ts";
import { drawBatch } from "./batch.ts";
import { maskTokens } from "./corruption.ts";
import { answerLoss } from "./answerLoss.ts";
import type { NoiseName } from "./noise.ts";
import { maskLosses } from "./revisionLoss.ts";
import { type Difficulty, flagSource } from "./source.ts";
import { openState, type RunOptions, type Trainer, trainStage } from "./trainer.ts";

/** One stretch of a curriculum. */
export interface Phase extends Difficulty {
  /** The phase lasts until this share of all steps. */
  readonly until: number;
}

export interface TrainOptions extends RunOptions {
  /** Upper bound of eq. 2's 1/p. */
  readonly maxWeight: number;
  /** How noise levels are distributed. */
  readonly noise: NoiseName;
  readonly curriculum: readonly Phase[];
  /** Folders of weights that a run begins with: whole model, vision encoder with projector, the rest. Undefined: noise. */
  readonly init?: string;
  readonly vision?: string;
  readonly text?: string;
  /** Shares of sources, where it is not procedural flags alone. The source itself is given beside the options. */
  readonly data?: readonly { readonly path: string; readonly share: number }[];
}

export const defaultTrainOptions: TrainOptions = {
  preset: "small",
  seed: 1,
  steps: 6000,
  batch: 16,
  peak: 2e-3,
  warmup: 200,
  weightDecay: 0.02,
  beta1: 0.9,
  beta2: 0.98,
  maxNorm: 1,
  maxWeight: 20,
  noise: "uniform",
  curriculum: [
    { until: 0.25, canvas: 32, shares: [0.7, 0.3, 0] },
    { until: 0.6, canvas: 48, shares: [0.3, 0.35, 0.35] },
    { until: 1, canvas: 64, shares: [0.1, 0.25, 0.65] },
  ],
};

/** The phase that a step falls into. */
export function phaseAt(step: number, { steps, curriculum }: TrainOptions): Phase {
  const phase = curriculum.find(({ until }) => step < until * steps) ?? curriculum.at(-1);
  if (!phase) throw new RediffError("A curriculum has at least one phase.");
  return phase;
}

/** Begins a run, or goes on with the one saved at `resume`; its options must be the same, except for `steps`. */
export function createTrainer(
  device: Device,
  options: TrainOptions,
  tokenizer: Tokenizer,
  resume?: string,
  source = flagSource(options.seed),
): Trainer<TrainOptions> {
  const prompt = captionPrompt(tokenizer);
  const state = openState(device, options, resume, initialModel);
  const { imageSize } = state.model.config.vision;
  const lesson = { corrupt: () => maskTokens, losses: maskLosses(options.maxWeight) };
  return trainStage(state, options, {
    draw: (step) => drawBatch(step, { ...options, ...phaseAt(step, options), imageSize, source }, lesson, tokenizer),
    loss: (model, batch) => answerLoss(model, batch, prompt),
  });
}

/** The model that a run begins with: that of the folder `init`, whatever its sizes, or else noise in those of the preset. */
export function initialModel(
  device: Device,
  { preset: name, seed, init, vision, text }: Pick<TrainOptions, "preset" | "seed" | "init" | "vision" | "text">,
): Rediff {
  const config = init === undefined ? preset(name) : checkpointConfig(init);
  if (config.name !== name)
    throw new RediffError(
      `${init} holds a ${config.name} model, and the run asks for ${name}. Give its name as --preset.`,
      {
        init,
        preset: name,
      },
    );
  if (config.tiling)
    throw new RediffError(
      `Training shows square views, and ${init ?? name} cuts pictures into tiles: it would learn from what it does not see in use. Train a model whose config has no tiling.`,
      { init, preset: name },
    );
  const model = init === undefined ? createRediff(device, config, seed) : loadModel(device, init);
  const sees = (parameter: string) => parameter.startsWith(VISION) || parameter.startsWith(PROJECTOR);
  if (vision !== undefined) loadWeights(model, vision, sees);
  if (text !== undefined) loadWeights(model, text, (parameter) => !sees(parameter));
  return model;
}
