/** Makes the models of rows.ts that are missing; what was stopped goes on. */
import { createHash } from "node:crypto";
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { run as draft } from "../../src/cli/draft.ts";
import { run as revise } from "../../src/cli/revise.ts";
import { base } from "../../src/cli/trainBase.ts";
import { statePaths, trainLoop } from "../../src/cli/trainLoop.ts";
import { stage1, stage2 } from "../../src/cli/trainRevision.ts";
import { tokenizerFor } from "../../src/cli/usage.ts";
import { preset } from "../../src/model/config.ts";
import { parseSafetensors } from "../../src/model/safetensors.ts";
import { openDevice, RediffError } from "../../src/tensor/index.ts";
import { createTrainer, defaultTrainOptions } from "../../src/train/base.ts";
import { defaultStage1Options } from "../../src/train/stage1.ts";
import {
  type Model,
  modelOf,
  type ModelName,
  models,
  type Reading,
  seedsOf,
  type Sizes,
  type Stage2Training,
} from "./rows.ts";

/** Where things are, and how large they are. */
export interface Plan {
  readonly out: string;
  readonly sizes: Sizes;
  /** A checkpoint to take as the base; undefined: it is trained here. */
  readonly base: string | undefined;
  /** Weights of other models that are there already: nothing that they are made from is needed. */
  readonly given: Given;
  /** Of models that are trained here. */
  readonly firstSeed: number;
  /** The models that take part. */
  readonly models: readonly Model[];
  /** The readings of them that are measured. */
  readonly readings: readonly Reading[];
}

/** Folders of weights of seeds 1, 2, … of a model. */
export type Given = ReadonlyMap<ModelName, readonly string[]>;

/**
 * The models of these names with all that they are made from, and the base, which everything is compared with. Throws
 * RediffError on a name that is none.
 */
export function modelsFor(names: readonly string[], given: Given): readonly Model[] {
  const wanted = new Set<ModelName>(["base"]);
  const add = (model: Model): void => {
    if (!given.has(model.name)) for (const name of madeFrom(model)) add(modelOf(name));
    wanted.add(model.name);
  };
  for (const name of names) add(modelNamed(name));
  return models.filter(({ name }) => wanted.has(name));
}

function modelNamed(name: string): Model {
  const model = models.find((candidate) => candidate.name === name);
  if (!model)
    throw new RediffError(`There is no model ${name}; there are ${models.map((one) => one.name).join(", ")}.`);
  return model;
}

/**
 * `NAME=DIR` of each, or `NAME=DIR,DIR` for several seeds. Throws RediffError where there are no such weights, or they were
 * trained for another number of steps.
 */
export function givenWeights(texts: readonly string[], sizes: Sizes): Given {
  return new Map(
    texts.map((text) => {
      const [, name, list] = /^([^=]+)=(.+)$/.exec(text) ?? [];
      if (name === undefined || list === undefined)
        throw new RediffError(`--weights is MODEL=FOLDER, as in mask=weights/small-mask; it is ${text}.`, {
          weights: text,
        });
      const model = modelNamed(name);
      if (name === "base") throw new RediffError("--weights: the base is given by --base.");
      const folders = list.split(",");
      for (const folder of folders) checkSteps(folder, model, sizes);
      return [model.name, folders];
    }),
  );
}

function checkSteps(folder: string, model: Model, sizes: Sizes): void {
  const step = stepOf(folder);
  if (step === model.steps(sizes)) return;
  throw new RediffError(
    step === undefined
      ? `--weights: ${folder} has no weights of a training run.`
      : `--weights: ${folder} was trained for ${step} steps; by these sizes ${model.name} is for ${model.steps(sizes)}.`,
    { folder, step },
  );
}

/** Throws RediffError where given weights are of no use, or do not suffice for what begins with them. */
export function checkGiven(taking: readonly Model[], given: Given, sizes: Sizes, firstSeed: number): void {
  for (const name of given.keys())
    if (!taking.some((model) => model.name === name))
      throw new RediffError(`--weights: ${name} takes no part. Name it in --only.`, { name });
  for (const model of taking) {
    const { training } = model;
    if (given.has(model.name) || training.kind === "base") continue;
    const from = given.get(training.from)?.length;
    const last = firstSeed + seedsOf(model, sizes) - 1;
    if (from !== undefined && last > from)
      throw new RediffError(
        `${model.name} of seed ${last} begins with ${training.from} of that seed, and --weights ${training.from}=… has ${from}: give fewer --seeds, or the weights of ${model.name} too.`,
      );
    if (training.kind === "stage2" && typeof training.drafts !== "string" && given.has(training.drafts.of))
      throw new RediffError(
        `${model.name} learns from the drafts of ${training.drafts.of}, and --weights ${training.drafts.of}=… brings none.`,
      );
  }
}

/** Seeds of the runs of a model, ascending. */
export function seedsFor({ given, firstSeed, sizes }: Plan, model: Model): number[] {
  if (model.name === "base") return [1];
  const folders = given.get(model.name);
  if (folders) return folders.map((_, i) => i + 1);
  return Array.from({ length: seedsOf(model, sizes) }, (_, i) => firstSeed + i);
}

function madeFrom({ training }: Model): ModelName[] {
  if (training.kind === "base") return [];
  if (training.kind !== "stage2" || typeof training.drafts === "string") return [training.from];
  return [training.from, training.drafts.of];
}

/** Folder of the run of a model with a seed, from 1. */
const runFolder = ({ out }: Plan, model: Model, seed: number): string => join(out, "models", `${model.name}-${seed}`);

/** Folder of its weights. */
export const weightsOf = (plan: Plan, model: Model, seed: number): string =>
  plan.given.get(model.name)?.[seed - 1] ??
  (model.name === "base" && plan.base !== undefined
    ? plan.base
    : join(runFolder(plan, model, Math.min(seed, seedsFor(plan, model).at(-1)!)), "model"));

/** What the weights of a folder are, whatever the folder is called and however they came about. */
export function weightsHash(folder: string): string {
  const path = join(folder, "model.safetensors");
  const hash = createHash("sha256").update(readFileSync(join(folder, "config.json")));
  for (const { name, bytes } of parseSafetensors(readFileSync(path), path).tensors.values())
    hash.update(name).update(bytes);
  return hash.digest("hex").slice(0, 16);
}

/** Trains what is missing. False when it was stopped; call again to go on. */
export async function trainModels(plan: Plan): Promise<boolean> {
  for (const model of plan.models)
    for (const seed of seedsFor(plan, model)) {
      if (isTrained(plan, model, seed)) continue;
      console.log(`\n${model.name}, seed ${seed}`);
      if (!(await train(plan, model, seed))) return false;
    }
  return true;
}

/** Whether the weights are those of the last step. */
function isTrained(plan: Plan, model: Model, seed: number): boolean {
  if (plan.given.has(model.name) || (model.name === "base" && plan.base !== undefined)) return true;
  return (stepOf(weightsOf(plan, model, seed)) ?? -1) >= model.steps(plan.sizes);
}

/** Optimiser steps of the weights in a folder; undefined where there are none. */
function stepOf(folder: string): number | undefined {
  const file = join(folder, "model.safetensors");
  if (!existsSync(file)) return undefined;
  const step = parseSafetensors(readFileSync(file), file).metadata["step"];
  return step === undefined ? undefined : Number(step);
}

async function train(plan: Plan, model: Model, seed: number): Promise<boolean> {
  const { sizes } = plan;
  const { training } = model;
  const folder = runFolder(plan, model, seed);
  const common = Object.entries({
    "--out": folder,
    "--preset": sizes.preset,
    "--steps": model.steps(sizes),
    "--batch": sizes.batch,
    // Models of one seed see the same flags in the same order, as far as each of them goes.
    "--seed": training.kind === "base" ? 1 : 100 * seed,
    "--sample-every": 0,
  }).flatMap(([name, value]) => [name, String(value)]);
  if (training.kind === "base") return base(common);
  const init = weightsOf(plan, modelOf(training.from), seed);
  if (training.kind === "mask") return trainMask(plan, model, seed, init, folder);
  if (training.kind === "stage1") return stage1([...common, "--init", init, ...training.options]);

  const revisions = join(folder, "revisions.jsonl");
  const drafts = await draftsFor(plan, training, model, seed);
  await revise([drafts, "--out", revisions, "--checkpoint", init, ...(training.revise ?? [])]);
  return stage2([revisions, ...common, "--init", init, ...(training.options ?? [])]);
}

/** The file of a model's drafts, drawn unless they are another model's. */
async function draftsFor(plan: Plan, training: Stage2Training, model: Model, seed: number): Promise<string> {
  if (typeof training.drafts !== "string") return draftsFile(runFolder(plan, modelOf(training.drafts.of), seed));
  const file = draftsFile(runFolder(plan, model, seed));
  await draft(
    Object.entries({
      "--checkpoint": weightsOf(plan, modelOf(training.from), seed),
      "--out": file,
      // Flags that no training has seen: another seed for each model and run.
      "--seed": 1_000_000 + 1000 * seed + models.indexOf(model),
      "--count": plan.sizes.drafts,
      "--decoder": training.drafts,
    }).flatMap(([name, value]) => [name, String(value)]),
  );
  return file;
}

const draftsFile = (folder: string): string => join(folder, "drafts.jsonl");

/** Mask prediction gone on with from the base as Stage I is: on its flags, canvas and learning rate, without a curriculum. */
async function trainMask(plan: Plan, model: Model, seed: number, init: string, out: string): Promise<boolean> {
  const { sizes } = plan;
  const steps = model.steps(sizes);
  const { peak, warmup, shares, visionRate = 1 } = defaultStage1Options;
  const { canvas } = preset(sizes.preset).text;
  const device = await openDevice();
  const options = {
    ...defaultTrainOptions,
    preset: sizes.preset,
    seed: 100 * seed,
    steps,
    batch: sizes.batch,
    peak,
    warmup,
    visionRate,
    curriculum: [{ until: 1, canvas, shares }],
    init,
  };
  const trainer = createTrainer(device, options, tokenizerFor(init), statePaths(out).resume);
  const loop = { out, until: steps, saveEvery: 250, sampleEvery: 0 };
  const { finished } = await trainLoop(trainer, loop, { score: () => Promise.reject(new Error("never asked for")) });
  await device.close();
  return finished;
}
