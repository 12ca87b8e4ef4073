/**
 * Mask-prediction training: the baseline of the paper, eq. 1 and 2.
 *
 *   L = mean over the batch of (1/p) · (1/L) · Σ_{masked i} −log p_θ(r_0[i] | v, p_0, r_t)
 */
import { loadWeights } from "../model/checkpoint.ts";
import { preset } from "../model/config.ts";
import { PROJECTOR, VISION } from "../model/parameterSpecs.ts";
import { createRediff, type Rediff } from "../model/rediff.ts";
import { promptIds, type Tokenizer } from "../model/tokenizer.ts";
import { type Device, RediffError } from "../tensor/index.ts";
import { type Difficulty, drawBatch } from "./batch.ts";
import { maskTokens } from "./corruption.ts";
import { answerLoss } from "./answerLoss.ts";
import type { NoiseName } from "./noise.ts";
import { maskLosses } from "./revisionLoss.ts";
import { freshState, resumedState, type RunOptions, type Trainer, trainStage } from "./trainer.ts";

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
  /** Folder of weights that the whole model begins with, and one for vision encoder and projector. Undefined: noise. */
  readonly init?: string;
  readonly vision?: string;
  /** Share of the learning rate that the vision encoder takes: below 1 for one that was trained before. Default: 1. */
  readonly visionRate?: number;
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
): Trainer<TrainOptions> {
  const prompt = promptIds(tokenizer);
  const state =
    resume === undefined ? freshState(initialModel(device, options), options) : resumedState(device, resume, options);
  const { imageSize } = state.model.config.vision;
  const lesson = { corrupt: () => maskTokens, losses: maskLosses(options.maxWeight) };
  return trainStage(state, options, {
    draw: (step) => drawBatch(step, { ...options, ...phaseAt(step, options), imageSize }, lesson, tokenizer),
    loss: (model, batch) => answerLoss(model, batch, prompt),
    share: (name) => (name.startsWith(VISION) ? (options.visionRate ?? 1) : 1),
  });
}

/** A model of a preset, with the weights that a run begins with. */
export function initialModel(
  device: Device,
  { preset: name, seed, init, vision }: Pick<TrainOptions, "preset" | "seed" | "init" | "vision">,
): Rediff {
  const model = createRediff(device, preset(name), seed);
  if (init !== undefined) loadWeights(model, init);
  if (vision !== undefined) for (const prefix of [VISION, PROJECTOR]) loadWeights(model, vision, prefix);
  return model;
}
