/** A training run whatever its loss: draw a batch, loss, gradients, clipping, AdamW; and a state to go on from to the bit. */
import { loadState, saveState, type TrainingState } from "../model/checkpoint.ts";
import { parameterSpecs, VISION } from "../model/parameterSpecs.ts";
import type { Rediff } from "../model/rediff.ts";
import {
  adamW,
  backward,
  clipScale,
  type Device,
  gradNorm,
  keep,
  noGrad,
  readAll,
  RediffError,
  scope,
  Tensor,
  zeroGrad,
  zeros,
} from "../tensor/index.ts";
import { learningRate } from "./schedule.ts";
import { type Rows, splitRows } from "./splitRows.ts";

/** What every run is started with. A stage adds its own. */
export interface RunOptions {
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
  /**
   * Share of the learning rate that the vision encoder takes: below 1 for one that was trained before; at 0 it stays as it is,
   * and costs no backward pass. Default: 1.
   */
  readonly visionRate?: number;
  /** Micro-batches that a step adds up; they divide `batch`. Less memory; equal to rounding. Default: 1. */
  readonly accumulate?: number;
  /** Backward runs the layers again instead of keeping their activations. Less memory; equal to the bit. */
  readonly recompute?: boolean;
}

/** A stage: what is drawn for a step, and what it costs. */
export interface Stage<Batch extends Rows> {
  /** A function of the step alone, so the step is all there is to a data position. */
  readonly draw: (step: number) => Batch | Promise<Batch>;
  /** Uploads a batch and records its forward pass. The result is one number on the tape, a sum over rows. */
  readonly loss: (model: Rediff, batch: Batch) => Tensor | Judged;
  /** Names of the terms that `loss` tells apart. */
  readonly terms?: readonly string[];
}

/** A loss, and the terms that it is the sum of, for the log. */
export interface Judged {
  readonly loss: Tensor;
  /** (terms). */
  readonly terms: Tensor;
}

export interface StepReport {
  readonly step: number;
  readonly loss: number;
  /** The loss by term, where the stage names terms. */
  readonly terms?: Readonly<Record<string, number>>;
  readonly gradientNorm: number;
  readonly learningRate: number;
}

/** A training run: the state, and one step at a time. */
export interface Trainer<Options extends RunOptions = RunOptions> {
  readonly state: TrainingState;
  readonly options: Options;
  readonly done: boolean;
  /** Runs one step. The numbers it returns are those of the step. Throws when the loss is not finite. */
  step(): Promise<StepReport>;
  save(path: string): Promise<void>;
}

/** The state of a run: at step 0 with the model that `initial` makes, or the one saved at `resume`. */
export const openState = <Options extends RunOptions>(
  device: Device,
  options: Options,
  resume: string | undefined,
  initial: (device: Device, options: Options) => Rediff,
  specsOf = parameterSpecs,
): TrainingState =>
  resume === undefined ? freshState(initial(device, options), options) : resumedState(device, resume, options, specsOf);

/** A run at step 0: the model as it is given, and moments of zero. */
function freshState(model: Rediff, options: RunOptions): TrainingState {
  const { device, parameters } = model;
  const moments = new Map(
    [...parameters].map(([name, { shape }]) => [
      name,
      { m: keep(zeros(device, shape)), v: keep(zeros(device, shape)) },
    ]),
  );
  return { model, moments, step: 0, options: JSON.stringify(options) };
}

/** The state saved at `path`. Throws when it was begun with other options; only `steps` and `recompute` may differ. */
function resumedState(
  device: Device,
  path: string,
  options: RunOptions,
  specsOf: typeof parameterSpecs,
): TrainingState {
  const state = loadState(device, path, specsOf);
  if (lasting(state.options) !== lasting(JSON.stringify(options)))
    throw new RediffError(
      `${path} was begun with other options. It has ${state.options}; this run asks for ${JSON.stringify(options)}.`,
      { path },
    );
  return { ...state, options: JSON.stringify(options) };
}

/** The options that a step depends on. */
const lasting = (options: string): string =>
  JSON.stringify({ ...(JSON.parse(options) as RunOptions), steps: undefined, recompute: undefined });

/** The run of a stage that goes on from a state. */
export function trainStage<Options extends RunOptions, Batch extends Rows>(
  begun: TrainingState,
  options: Options,
  { draw, loss: lossOf, terms: names }: Stage<Batch>,
): Trainer<Options> {
  const { device } = begun.model;
  const { visionRate = 1 } = options;
  const share = (name: string): number => (name.startsWith(VISION) ? visionRate : 1);
  const learning = [...begun.model.parameters].filter(([name]) => share(name) > 0);
  for (const [name, parameter] of begun.model.parameters) parameter.requiresGrad = share(name) > 0;
  let state = begun;
  let next: Batch | Promise<Batch> | undefined;

  /** Adds the gradients of a batch's loss to the parameters', and returns its terms, or it alone. Activations are freed. */
  const addGradients = (model: Rediff, batch: Batch): Promise<Tensor> =>
    scope(device, async () => {
      // Submitted in parts: the GPU runs the forward pass while JavaScript records the backward pass.
      const judged = lossOf(model, batch);
      const { loss, terms = loss } = judged instanceof Tensor ? { loss: judged } : judged;
      await device.submit();
      backward(loss, undefined, { release: true });
      await device.submit();
      return terms;
    });

  return {
    options,
    get state() {
      return state;
    },
    get done() {
      return state.step >= options.steps;
    },
    async step() {
      const { moments, step } = state;
      const model: Rediff = { ...state.model, recompute: options.recompute ?? false };
      const batch = await (next ?? draw(step));
      const rate = learningRate(step, options);
      const report = await scope(device, async () => {
        const parameters = learning.map(([, parameter]) => parameter);
        const losses: Tensor[] = [];
        for (const part of splitRows(batch, options.accumulate ?? 1)) losses.push(await addGradients(model, part));
        const norm = noGrad(device, () => {
          const gradients = parameters.map((parameter) => parameter.grad!);
          const total = gradNorm(gradients);
          const scale = clipScale(total, options.maxNorm);
          for (const [name, parameter] of learning) {
            const { m, v } = moments.get(name)!;
            const decay = parameter.rank > 1 ? options.weightDecay : 0;
            adamW(
              { parameter, gradient: parameter.grad!, m, v, scale },
              {
                step: step + 1,
                learningRate: rate * share(name),
                weightDecay: decay,
                beta1: options.beta1,
                beta2: options.beta2,
              },
            );
          }
          zeroGrad(parameters);
          return total;
        });
        await device.submit();
        // The GPU works while the next batch is drawn.
        next = step + 1 < options.steps ? draw(step + 1) : undefined;
        // It is awaited by the next step: until then a failure must not count as one that nobody handles.
        if (next instanceof Promise) next.catch(() => undefined);
        const [[gradientNorm], ...parts] = (await readAll([norm, ...losses])) as [[number], ...Float32Array[]];
        const sums = parts.reduce((sum, part) => sum.map((value, i) => value + part[i]!));
        const loss = sums.reduce((sum, value) => sum + value, 0);
        const terms = names && Object.fromEntries(names.map((name, i) => [name, sums[i]!]));
        return { loss, gradientNorm, ...(terms ? { terms } : {}) };
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
