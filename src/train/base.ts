/**
 * Mask-prediction training: the baseline of the paper, eq. 1 and 2.
 *
 *   L = mean over the batch of (1/p) · (1/L) · Σ_{masked i} −log p_θ(r_0[i] | v, p_0, r_t)
 */
import { loadState, saveState, type TrainingState } from "../model/checkpoint.ts";
import { preset } from "../model/config.ts";
import { createRediff } from "../model/rediff.ts";
import { promptIds, type Tokenizer } from "../model/tokenizer.ts";
import {
  adamW,
  backward,
  clipScale,
  type Device,
  gradNorm,
  keep,
  noGrad,
  RediffError,
  scope,
  zeroGrad,
  zeros,
} from "../tensor/index.ts";
import { type Batch, type Difficulty, drawBatch } from "./batch.ts";
import { maskLoss } from "./maskLoss.ts";
import { learningRate } from "./schedule.ts";

/** One stretch of a curriculum. */
export interface Phase extends Difficulty {
  /** The phase lasts until this share of all steps. */
  readonly until: number;
}

export interface TrainOptions {
  readonly preset: string;
  readonly seed: number;
  readonly steps: number;
  readonly batch: number;
  readonly peak: number;
  readonly warmup: number;
  readonly weightDecay: number;
  readonly beta1: number;
  readonly beta2: number;
  readonly maxNorm: number;
  readonly maxWeight: number;
  readonly curriculum: readonly Phase[];
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

export interface StepReport {
  readonly step: number;
  readonly loss: number;
  readonly gradientNorm: number;
  readonly learningRate: number;
}

/** A training run: the state, and one step at a time. */
export interface Trainer {
  readonly state: TrainingState;
  readonly options: TrainOptions;
  readonly done: boolean;
  /** Runs one step. The numbers it returns are those of the step. Throws when the loss is not finite. */
  step(): Promise<StepReport>;
  save(path: string): Promise<void>;
}

/** Begins a run, or goes on with the one saved at `resume`; its options must be the same, except for `steps`. */
export function createTrainer(device: Device, options: TrainOptions, tokenizer: Tokenizer, resume?: string): Trainer {
  const prompt = promptIds(tokenizer);
  let state: TrainingState = resume === undefined ? freshState(device, options) : loadState(device, resume);
  if (resume !== undefined && withoutSteps(state.options) !== withoutSteps(JSON.stringify(options)))
    throw new RediffError(
      `${resume} was begun with other options. It has ${state.options}; this run asks for ${JSON.stringify(options)}.`,
      { resume },
    );
  state = { ...state, options: JSON.stringify(options) };
  const draw = (step: number): Batch => {
    const { imageSize } = state.model.config.vision;
    return drawBatch(
      step,
      { ...phaseAt(step, options), seed: options.seed, batch: options.batch, imageSize, maxWeight: options.maxWeight },
      tokenizer,
    );
  };
  let next: Batch | undefined;
  let lastWait = 0;

  return {
    options,
    get state() {
      return state;
    },
    get done() {
      return state.step >= options.steps;
    },
    async step() {
      const { model, moments, step } = state;
      const batch = next ?? draw(step);
      const rate = learningRate(step, options);
      const report = await scope(device, async () => {
        const parameters = [...model.parameters.values()];
        // Submitted in parts: the GPU runs the forward pass while JavaScript records the backward pass.
        const loss = maskLoss(model, batch, prompt);
        await device.submit();
        backward(loss);
        await device.submit();
        const norm = noGrad(device, () => {
          const gradients = parameters.map((parameter) => parameter.grad!);
          const total = gradNorm(gradients);
          const scale = clipScale(total, options.maxNorm);
          for (const [name, parameter] of model.parameters) {
            const { m, v } = moments.get(name)!;
            const decay = parameter.rank > 1 ? options.weightDecay : 0;
            adamW(
              { parameter, gradient: parameter.grad!, m, v, scale },
              { step: step + 1, learningRate: rate, weightDecay: decay, beta1: options.beta1, beta2: options.beta2 },
            );
          }
          zeroGrad(parameters);
          return total;
        });
        await device.submit();
        const submitted = performance.now();
        // The GPU works while the next batch is drawn.
        next = step + 1 < options.steps ? draw(step + 1) : undefined;
        // Dawn in Node polls while something is awaited, and takes a core from a software adapter. So sleep most of the
        // time that the last step took, and only then ask.
        const rest = 0.9 * lastWait - (performance.now() - submitted);
        if (rest > 0) await new Promise((resolve) => setTimeout(resolve, rest));
        const numbers = { loss: await loss.item(), gradientNorm: await norm.item() };
        lastWait = performance.now() - submitted;
        return numbers;
      });
      if (!Number.isFinite(report.loss) || !Number.isFinite(report.gradientNorm))
        throw new RediffError(
          `The loss of step ${step} is ${report.loss}, its gradient norm ${report.gradientNorm}. The weights are those before the step.`,
          { ...report, step },
        );
      state = { ...state, step: step + 1 };
      return { step, ...report, learningRate: rate };
    },
    save: (path) => saveState(state, path),
  };
}

const withoutSteps = (options: string): string =>
  JSON.stringify({ ...(JSON.parse(options) as TrainOptions), steps: 0 });

function freshState(device: Device, options: TrainOptions): TrainingState {
  const model = createRediff(device, preset(options.preset), options.seed);
  const moments = new Map(
    [...model.parameters].map(([name, { shape }]) => [
      name,
      { m: keep(zeros(device, shape)), v: keep(zeros(device, shape)) },
    ]),
  );
  return { model, moments, step: 0, options: JSON.stringify(options) };
}
