/** `rediff train base`: mask-prediction training with a live line, JSON lines, samples, and a state to go on from. */
import { existsSync, statSync } from "node:fs";
import { join } from "node:path";
import { saveModel } from "../model/checkpoint.ts";
import { preset } from "../model/config.ts";
import { parameterCount } from "../model/rediff.ts";
import { scoreOnFlags } from "../eval/flags.ts";
import { maskPredict } from "../sample/maskPredict.ts";
import { openDevice } from "../tensor/index.ts";
import { createTrainer, defaultTrainOptions, phaseAt, type TrainOptions } from "../train/base.ts";
import { jsonLines, progressLine, showDuration } from "../train/log.ts";
import { adapterLine } from "./adapter.ts";
import { decimal, oneOf, parse, tokenizerFor, UsageError, wholeNumber } from "./usage.ts";

const help = `rediff train base [options]

Mask-prediction training on procedural flags (eq. 1, 2). Everything is a function of the options: the same ones go on
from a saved state to the bit. Stop with Ctrl-C; call again to go on.

  --out DIR          folder of the run (default runs/base)
  --preset NAME      nano or small (default small)
  --steps N          optimiser steps (default ${defaultTrainOptions.steps})
  --batch N          flags a step (default ${defaultTrainOptions.batch})
  --lr X             peak learning rate (default ${defaultTrainOptions.peak})
  --warmup N         steps of warm-up (default ${defaultTrainOptions.warmup})
  --seed N           of everything (default ${defaultTrainOptions.seed})
  --max-weight X     bound of eq. 2's 1/p (default ${defaultTrainOptions.maxWeight}; inf is the paper's)
  --save-every N     steps between saved states (default 250)
  --sample-every N   steps between scores on 16 hold-out flags (default 1000, 0 never)
  --until N          stop after this step, with the schedule of --steps (to split a long run)`;

export async function run(args: readonly string[]): Promise<void> {
  const { values, positionals } = parse(
    args,
    {
      out: { type: "string" },
      preset: { type: "string" },
      steps: { type: "string" },
      batch: { type: "string" },
      lr: { type: "string" },
      warmup: { type: "string" },
      seed: { type: "string" },
      "max-weight": { type: "string" },
      "save-every": { type: "string" },
      "sample-every": { type: "string" },
      until: { type: "string" },
      help: { type: "boolean", short: "h" },
    },
    true,
  );
  if (values.help) return console.log(help);
  if (positionals[0] !== "base" || positionals.length > 1)
    throw new UsageError(
      `train takes one stage: base. It was given ${positionals.join(" ") || "none"}. See \`rediff train --help\`.`,
    );
  const options: TrainOptions = {
    ...defaultTrainOptions,
    preset: oneOf("preset", values.preset, "small", ["nano", "small"]),
    steps: wholeNumber("steps", values.steps, defaultTrainOptions.steps, { max: 1e8 }),
    batch: wholeNumber("batch", values.batch, defaultTrainOptions.batch, { max: 4096 }),
    peak: decimal("lr", values.lr, defaultTrainOptions.peak, { max: 1 }),
    warmup: wholeNumber("warmup", values.warmup, defaultTrainOptions.warmup, { max: 1e8 }),
    seed: wholeNumber("seed", values.seed, defaultTrainOptions.seed, { min: 0, max: 2 ** 31 }),
    maxWeight:
      values["max-weight"] === "inf"
        ? 1e9
        : decimal("max-weight", values["max-weight"], defaultTrainOptions.maxWeight, { min: 1 }),
  };
  const saveEvery = wholeNumber("save-every", values["save-every"], 250, { max: 1e8 });
  const sampleEvery = wholeNumber("sample-every", values["sample-every"], 1000, { min: 0, max: 1e8 });
  const until = wholeNumber("until", values.until, options.steps, { max: 1e8 });
  const out = values.out ?? "runs/base";
  if (existsSync(out) && !statSync(out).isDirectory())
    throw new UsageError(`--out must be a folder; ${out} is a file.`);

  const device = await openDevice();
  console.log(await adapterLine(device));
  const tokenizer = tokenizerFor(out);
  const statePath = join(out, "state.safetensors");
  const resume = existsSync(statePath) ? statePath : undefined;
  const trainer = createTrainer(device, options, tokenizer, resume);
  const config = preset(options.preset);
  console.log(
    `${config.name}: ${(parameterCount(config) / 1e6).toFixed(2)} M parameters, ${options.steps} steps of ${options.batch} flags` +
      (resume ? `, going on from step ${trainer.state.step} of ${statePath}` : `, in ${out}`),
  );

  let stopped = false;
  process.once("SIGINT", () => (stopped = true));
  process.once("SIGTERM", () => (stopped = true));
  const log = jsonLines(join(out, "log.jsonl"));
  const line = progressLine();
  const began = performance.now();
  const first = trainer.state.step;
  let smooth: number | undefined;
  while (!trainer.done && trainer.state.step < until && !stopped) {
    const started = performance.now();
    const report = await trainer.step();
    const ms = performance.now() - started;
    const done = trainer.state.step;
    smooth = smooth === undefined ? report.loss : 0.98 * smooth + 0.02 * report.loss;
    log({ ...report, smooth, ms, canvas: phaseAt(report.step, options).canvas });
    const rate = ((done - first) * options.batch) / ((performance.now() - began) / 1000);
    const left = ((Math.min(until, options.steps) - done) * options.batch) / rate;
    line.show(
      `step ${done}/${options.steps}  loss ${smooth.toFixed(3)}  |g| ${report.gradientNorm.toFixed(2)}  lr ${report.learningRate.toExponential(1)}  ` +
        `${rate.toFixed(1)} flags/s  ${showDuration(left)} left`,
    );
    if (done % saveEvery === 0) await trainer.save(statePath);
    if (sampleEvery && done % sampleEvery === 0) {
      line.end();
      const score = await scoreOnFlags(trainer.state.model, tokenizer, maskPredict, { count: 16, tokensPerStep: 1 });
      log({ step: done, score: score.summary });
      const { coverage, factuality, grammatical } = score.summary;
      console.log(
        `step ${done}: coverage ${percent(coverage)}, factuality ${percent(factuality)}, grammatical ${percent(grammatical)}. ${score.examples[0]!.text}`,
      );
    }
  }
  line.end();
  await trainer.save(statePath);
  console.log(
    `Step ${trainer.state.step} of ${options.steps} is saved in ${statePath}${trainer.done ? "" : "; call again to go on"}.`,
  );
  const folder = join(out, "model");
  await saveModel(trainer.state.model, folder, { step: String(trainer.state.step), options: trainer.state.options });
  console.log(`The weights in f16 are in ${folder}. Try: rediff caption flag.png --checkpoint ${folder}`);
  await device.close();
}

const percent = (share: number | null): string => (share === null ? "none" : `${(100 * share).toFixed(0)} %`);
