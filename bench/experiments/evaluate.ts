/**
 * Captions of every reading at every speed, kept as the model said them; scores are made from them anew each time. A cell's
 * file is named by the weights and the options, so what is measured is measured once, and a kill loses one batch.
 */
import { createHash } from "node:crypto";
import { join } from "node:path";
import { realFlagImage, realFlags, type RealFlag } from "../../src/data/realFlags.ts";
import { tokenizerFor } from "../../src/cli/usage.ts";
import { captionAll } from "../../src/eval/captions.ts";
import { captureScore } from "../../src/eval/capture.ts";
import { countCaption, countNames } from "../../src/eval/counts.ts";
import { holdOutFlag, holdOutPicture } from "../../src/eval/flags.ts";
import type { Image } from "../../src/data/resize.ts";
import { repair, type RepairOutcome, repairTasks } from "../../src/eval/repair.ts";
import { loadModel } from "../../src/model/checkpoint.ts";
import { disposeRediff, type Rediff } from "../../src/model/rediff.ts";
import { maskPredict } from "../../src/sample/maskPredict.ts";
import { refine } from "../../src/sample/refine.ts";
import type { Device } from "../../src/tensor/index.ts";
import { jsonLines, progressLine, resumeJsonLines, showDuration } from "../../src/train/log.ts";
import type { Cell, Columns, ReadingResult, RepairResult, Run } from "./results.ts";
import { type Model, type Reading, repairers, type Sizes, stepsAfterBase } from "./rows.ts";
import { type Plan, seedsFor, weightsHash, weightsOf } from "./train.ts";

export const decoders = { mask: maskPredict, refine } as const;

/** How often Appendix A refines a spoiled caption. */
const REPAIR_STEPS = 4;

/** A picture to caption: a hold-out flag by its index, a real one by its id. */
export type Flag = number | string;
interface Said {
  readonly flag: Flag;
  readonly text: string;
}

/** One run of a reading at one speed. */
interface Job {
  readonly reading: Reading;
  readonly model: Model;
  readonly seed: number;
  readonly tokensPerStep: number;
  readonly path: string;
}

const key = (about: object): string => createHash("sha256").update(JSON.stringify(about)).digest("hex").slice(0, 12);

function jobsOf(plan: Plan): Job[] {
  const hashes = new Map<string, string>();
  const hashOf = (folder: string): string => {
    const known = hashes.get(folder) ?? weightsHash(folder);
    hashes.set(folder, known);
    return known;
  };
  return plan.readings.flatMap((reading) => {
    const model = plan.models.find(({ name }) => name === reading.model)!;
    return seedsFor(plan, model).flatMap((seed) => {
      const weights = hashOf(weightsOf(plan, model, seed));
      return plan.sizes.speeds.map((tokensPerStep): Job => {
        const { decoder } = reading;
        const stem = `${reading.name}-${seed}-${tokensPerStep}-${key({ weights, decoder, tokensPerStep })}`;
        return { reading, model, seed, tokensPerStep, path: join(plan.out, "captions", `${stem}.jsonl`) };
      });
    });
  });
}

export const chosenRealFlags = async (which: Sizes["real"]): Promise<readonly RealFlag[]> =>
  which === "none" ? [] : realFlags(which === "all" ? undefined : which);

/** The picture of a hold-out flag, S pixels a side, or of a real one among `real`. */
export const pictureOf =
  (real: readonly RealFlag[]) =>
  async (flag: Flag, S: number): Promise<Image> =>
    typeof flag === "number" ? holdOutPicture(flag, S) : realFlagImage(real.find(({ id }) => id === flag)!);

/** Makes the captions and the repairs that are missing. */
export async function evaluate(plan: Plan, device: Device): Promise<void> {
  const { sizes } = plan;
  const real = await chosenRealFlags(sizes.real);
  const wanted: readonly Flag[] = [...Array(sizes.flags).keys(), ...real.map(({ id }) => id)];
  const jobs = jobsOf(plan)
    .map((job) => {
      const done = new Set((resumeJsonLines(job.path) as Said[]).map(({ flag }) => flag));
      return { ...job, flags: wanted.filter((flag) => !done.has(flag)) };
    })
    .filter(({ flags }) => flags.length);
  // A caption costs as many passes as it takes steps.
  const cost = ({ flags, tokensPerStep }: (typeof jobs)[number]): number => flags.length / tokensPerStep;
  const total = jobs.reduce((sum, job) => sum + cost(job), 0);
  const line = progressLine();
  const began = performance.now();
  let spent = 0;
  for (const [folder, own] of byWeights(plan, jobs))
    await withModel(device, folder, async (model) => {
      for (const { reading, seed, tokensPerStep, path, flags } of own) {
        const write = jsonLines(path);
        let done = 0;
        await captionAll(model, tokenizerFor(folder), decoders[reading.decoder], flags, pictureOf(real), {
          tokensPerStep,
          batch: sizes.evalBatch,
          onBatch: (batch, texts) => {
            batch.forEach((flag, i) => write({ flag, text: texts[i] }));
            spent += batch.length / tokensPerStep;
            done += batch.length;
            const left = ((performance.now() - began) / 1000 / spent) * (total - spent);
            line.show(
              `${reading.title}, seed ${seed}, ${tokensPerStep} a step: ${done} of ${flags.length} captions, ${showDuration(left)} left in all`,
            );
          },
        });
      }
    });
  line.end();
  await repairAll(plan, device);
}

function byWeights<J extends Pick<Job, "model" | "seed">>(plan: Plan, jobs: readonly J[]): Map<string, J[]> {
  const groups = new Map<string, J[]>();
  for (const job of jobs) {
    const folder = weightsOf(plan, job.model, job.seed);
    groups.set(folder, [...(groups.get(folder) ?? []), job]);
  }
  return groups;
}

/** The first speed's jobs of the readings that repair, with the file of their outcomes. */
const repairJobs = (plan: Plan): Job[] =>
  jobsOf(plan)
    .filter(({ reading, tokensPerStep }) => repairers.includes(reading.name) && tokensPerStep === plan.sizes.speeds[0])
    .map((job) => {
      const weights = weightsHash(weightsOf(plan, job.model, job.seed));
      const stem = `repair-${job.reading.name}-${job.seed}-${key({ weights, REPAIR_STEPS })}`;
      return { ...job, path: join(plan.out, "captions", `${stem}.jsonl`) };
    });

async function repairAll(plan: Plan, device: Device): Promise<void> {
  const { sizes } = plan;
  const line = progressLine();
  for (const job of repairJobs(plan)) {
    const done = resumeJsonLines(job.path).length;
    if (done >= sizes.repairs) continue;
    const folder = weightsOf(plan, job.model, job.seed);
    await withModel(device, folder, async (model) => {
      const tokenizer = tokenizerFor(folder);
      const tasks = repairTasks(sizes.repairs, model.config.text.canvas, tokenizer);
      const write = jsonLines(job.path);
      for (let from = done; from < tasks.length; from += sizes.evalBatch) {
        const outcomes = await repair(model, tokenizer, tasks.slice(from, from + sizes.evalBatch), REPAIR_STEPS);
        for (const outcome of outcomes) write({ ...outcome });
        line.show(`${job.reading.title}, seed ${job.seed}: ${from + outcomes.length} of ${tasks.length} mended`);
      }
    });
  }
  line.end();
}

/** A model, loaded for as long as `body` takes. */
export async function withModel<T>(device: Device, folder: string, body: (model: Rediff) => Promise<T>): Promise<T> {
  const model = loadModel(device, folder);
  try {
    return await body(model);
  } finally {
    disposeRediff(model);
  }
}

/** Scores of all captions that there are. */
export async function scoreReadings(plan: Plan): Promise<ReadingResult[]> {
  const real = new Map((await chosenRealFlags(plan.sizes.real)).map((flag) => [flag.id, flag]));
  const jobs = jobsOf(plan);
  return plan.readings.map(({ name, title, model, decoder }) => ({
    name,
    title,
    model,
    decoder,
    steps: stepsAfterBase(model, plan.sizes),
    cells: plan.sizes.speeds.map((tokensPerStep): Cell => ({
      tokensPerStep,
      runs: jobs
        .filter((job) => job.reading.name === name && job.tokensPerStep === tokensPerStep)
        .map(({ seed, path }) => scoreRun(seed, resumeJsonLines(path) as Said[], plan.sizes.flags, real)),
    })),
  }));
}

/** In the order of the flags, whatever the order of the file: so that a flag has one place in all runs. */
function scoreRun(seed: number, said: readonly Said[], flags: number, real: ReadonlyMap<string, RealFlag>): Run {
  const texts = new Map(said.map(({ flag, text }) => [flag, text]));
  const counts = Array.from({ length: flags }, (_, i) => countCaption(texts.get(i)!, holdOutFlag(i)));
  return {
    seed,
    facts: columnsOf(counts, countNames),
    capture: [...real.values()].map(({ id, visual }) => round(captureScore(texts.get(id)!, visual).capture)),
  };
}

const round = (value: number): number => Math.round(1e4 * value) / 1e4;

const columnsOf = <Names extends string>(
  rows: readonly { readonly [N in Names]: number }[],
  names: readonly Names[],
): Columns<Names> =>
  Object.fromEntries(names.map((name) => [name, rows.map((row) => row[name])])) as unknown as Columns<Names>;

export function scoreRepairs(plan: Plan): RepairResult[] {
  const jobs = repairJobs(plan);
  return plan.readings.flatMap((reading) => {
    const own = jobs.filter((job) => job.reading.name === reading.name);
    const outcomes = own.map(({ path }) => (resumeJsonLines(path) as RepairOutcome[]).slice(0, plan.sizes.repairs));
    const kinds = outcomes[0]?.map(({ kind }) => kind);
    if (!kinds?.length) return [];
    const runs = outcomes.map((rows, i) => ({
      seed: own[i]!.seed,
      ...columnsOf(rows, ["span", "whole", "tokens", "falseEdits"]),
    }));
    return [{ reading: reading.name, title: reading.title, steps: REPAIR_STEPS, kinds, runs }];
  });
}
