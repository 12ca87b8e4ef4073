/** What the stages of `rediff train` share: their common options, and a loop with a live line, JSON lines and saved states. */
import { existsSync } from "node:fs";
import { join } from "node:path";
import { saveModel } from "../model/checkpoint.ts";
import { jsonLines, progressLine, showDuration } from "../train/log.ts";
import { tensorBoard } from "../train/tensorBoard.ts";
import type { RunOptions, StepReport, Trainer } from "../train/trainer.ts";
import { stopRequest } from "./terminal.ts";
import { decimal, oneOf, outFolder, UsageError, wholeNumber } from "./usage.ts";

export const commonOptions = {
  out: { type: "string" },
  preset: { type: "string" },
  steps: { type: "string" },
  batch: { type: "string" },
  lr: { type: "string" },
  warmup: { type: "string" },
  seed: { type: "string" },
  "save-every": { type: "string" },
  "sample-every": { type: "string" },
  until: { type: "string" },
  accumulate: { type: "string" },
  recompute: { type: "boolean" },
  tensorboard: { type: "boolean" },
  help: { type: "boolean", short: "h" },
} as const;

type Flag = "help" | "recompute" | "tensorboard";
export type CommonValues = { readonly [N in Exclude<keyof typeof commonOptions, Flag>]?: string } & {
  readonly [N in Flag]?: boolean;
};

/** The lines of the help for `commonOptions`. `score` says what is scored every so many steps. */
export const commonHelp = (stage: string, defaults: RunOptions, score: string, sampleEvery: number): string =>
  `  --out DIR          folder of the run (default runs/${stage})
  --preset NAME      nano or small (default ${defaults.preset})
  --steps N          optimiser steps (default ${defaults.steps})
  --batch N          flags a step (default ${defaults.batch})
  --lr X             peak learning rate (default ${defaults.peak})
  --warmup N         steps of warm-up (default ${defaults.warmup})
  --seed N           of everything (default ${defaults.seed})
  --save-every N     steps between saved states (default 250)
  --sample-every N   steps between scores on ${score} (default ${sampleEvery}, 0 never)
  --until N          stop after this step, with the schedule of --steps (to split a long run)
  --tensorboard      also write TensorBoard's event files, in --out
  --accumulate N     add up the gradients of N parts of a batch: less memory, equal to rounding (default 1)
  --recompute        run layers again in backward instead of keeping activations: less memory, slower, equal to the bit`;

/** The option of the stages whose model has a vision encoder that may have been trained before. */
export const visionRateOption = { "vision-rate": { type: "string" } } as const;

export const visionRateHelp = ({ visionRate = 1 }: RunOptions): string =>
  `  --vision-rate X    share of the learning rate that the vision encoder takes (default ${visionRate}; 0 leaves it as it is, which is faster)`;

export const visionRateOf = (values: { readonly "vision-rate"?: string }): Pick<RunOptions, "visionRate"> =>
  values["vision-rate"] === undefined
    ? {}
    : { visionRate: decimal("vision-rate", values["vision-rate"], 1, { max: 1 }) };

/** The options of a run, from defaults and what the user gave. */
export function runOptions<Options extends RunOptions>(values: CommonValues, defaults: Options): Options {
  const batch = wholeNumber("batch", values.batch, defaults.batch, { max: 4096 });
  const accumulate = wholeNumber("accumulate", values.accumulate, 1, { max: batch });
  if (batch % accumulate)
    throw new UsageError(`--accumulate must divide --batch; ${batch} flags do not make ${accumulate} equal parts.`);
  return {
    ...defaults,
    preset: oneOf("preset", values.preset, defaults.preset, ["nano", "small"]),
    steps: wholeNumber("steps", values.steps, defaults.steps, { max: 1e8 }),
    batch,
    peak: decimal("lr", values.lr, defaults.peak, { max: 1 }),
    warmup: wholeNumber("warmup", values.warmup, defaults.warmup, { max: 1e8 }),
    seed: wholeNumber("seed", values.seed, defaults.seed, { min: 0, max: 2 ** 31 }),
    ...(accumulate > 1 ? { accumulate } : {}),
    ...(values.recompute ? { recompute: true } : {}),
  };
}

export interface LoopOptions {
  readonly out: string;
  readonly until: number;
  readonly saveEvery: number;
  readonly sampleEvery: number;
  readonly tensorboard?: boolean;
}

/** The options of the loop. Throws UsageError. */
export function loopOptions(values: CommonValues, stage: string, steps: number, sampleEvery: number): LoopOptions {
  return {
    out: outFolder(values.out ?? `runs/${stage}`),
    until: wholeNumber("until", values.until, steps, { max: 1e8 }),
    saveEvery: wholeNumber("save-every", values["save-every"], 250, { max: 1e8 }),
    sampleEvery: wholeNumber("sample-every", values["sample-every"], sampleEvery, { min: 0, max: 1e8 }),
    tensorboard: values.tensorboard ?? false,
  };
}

/** Where a run keeps its state, and the state to go on from if there is one. */
export function statePaths(out: string): { statePath: string; resume: string | undefined } {
  const statePath = join(out, "state.safetensors");
  return { statePath, resume: existsSync(statePath) ? statePath : undefined };
}

/** What a stage adds to the loop. */
export interface LoopHooks {
  /** Scores the model: what goes to the log, and a line for people. */
  readonly score: () => Promise<{ readonly record: object; readonly text: string }>;
  /** More fields for the log line of a step. */
  readonly fields?: (report: StepReport) => object;
}

export interface LoopResult {
  /** Where the weights are, in f16. */
  readonly folder: string;
  /** False when it was stopped before the last step. */
  readonly finished: boolean;
}

/** Trains until the end, `until`, Ctrl-C or SIGTERM; then saves the state, and the weights in f16 in `out`/model. */
export async function trainLoop(
  trainer: Trainer,
  { out, until, saveEvery, sampleEvery, tensorboard }: LoopOptions,
  { score, fields }: LoopHooks,
): Promise<LoopResult> {
  const { options } = trainer;
  const { device } = trainer.state.model;
  const { statePath, resume } = statePaths(out);
  const size = [...trainer.state.model.parameters.values()].reduce((total, parameter) => total + parameter.size, 0);
  console.log(
    `${options.preset}: ${(size / 1e6).toFixed(2)} M parameters, ${options.steps} steps of ${options.batch} flags` +
      (resume ? `, going on from step ${trainer.state.step} of ${statePath}` : `, in ${out}`),
  );
  const request = stopRequest();
  const log = jsonLines(join(out, "log.jsonl"));
  const line = progressLine();
  device.resetPeak();
  const began = performance.now();
  const first = trainer.state.step;
  const board = tensorboard ? tensorBoard(out, first) : undefined;
  const plot = (record: object, step: number, under: string) => {
    for (const [name, value] of Object.entries(record))
      if (typeof value === "number") board?.scalar(`${under}/${name}`, value, step);
  };
  let smooth: number | undefined;
  while (!trainer.done && trainer.state.step < until && !request.stopped) {
    const started = performance.now();
    const flops = device.productFlops;
    const report = await trainer.step();
    const ms = performance.now() - started;
    const done = trainer.state.step;
    smooth = smooth === undefined ? report.loss : 0.98 * smooth + 0.02 * report.loss;
    const { peakBytes, heldBytes } = device.memory();
    const gflops = (device.productFlops - flops) / ms / 1e6;
    const { step, terms, ...numbers } = report;
    log({ ...report, smooth, ms, gflops, peakBytes, heldBytes, ...fields?.(report) });
    plot({ ...numbers, ms, gflops }, step, "train");
    if (terms) plot(terms, step, "loss");
    const rate = ((done - first) * options.batch) / ((performance.now() - began) / 1000);
    const left = ((Math.min(until, options.steps) - done) * options.batch) / rate;
    const shares = Object.entries(terms ?? {}).map(([name, value]) => `${name} ${value.toFixed(2)}`);
    line.show(
      `step ${done}/${options.steps}  loss ${smooth.toFixed(3)}${shares.length ? ` (${shares.join(", ")})` : ""}  |g| ${report.gradientNorm.toFixed(2)}  ` +
        `lr ${report.learningRate.toExponential(1)}  ${rate.toFixed(1)} samples/s  ${gflops.toFixed(1)} GFLOP/s  ${(heldBytes / 2 ** 20).toFixed(0)} MiB  ${showDuration(left)} left`,
    );
    if (done % saveEvery === 0) await trainer.save(statePath);
    if (sampleEvery && done % sampleEvery === 0) {
      line.end();
      const { record, text } = await score();
      log({ step: done, score: record });
      plot(record, done, "score");
      board?.text("score", text, done);
      console.log(`step ${done}: ${text}`);
    }
  }
  request.release();
  line.end();
  board?.close();
  await trainer.save(statePath);
  console.log(
    `Step ${trainer.state.step} of ${options.steps} is saved in ${statePath}${trainer.done ? "" : "; call again to go on"}.`,
  );
  const folder = join(out, "model");
  await saveModel(trainer.state.model, folder, { step: String(trainer.state.step), options: trainer.state.options });
  return { folder, finished: trainer.done };
}

/** A share as whole percent. */
export const percent = (share: number | null | undefined): string =>
  share === null || share === undefined ? "none" : `${(100 * share).toFixed(0)} %`;

/** Prints a help text. Nothing was trained. */
export function shown(help: string): false {
  console.log(help);
  return false;
}
