/**
 * What is trained, what is measured: section 4 of the paper as two tables. Everything else reads these.
 *
 * Compute: a model's steps are those after the base. `mask` takes as many as Stage I and II together, on the same flags as
 * Stage I as long as that lasts, so it is what ReDiff is compared with. `stage1-long` is Stage I for as long.
 */
import { EVAL_BATCH } from "../../src/eval/captions.ts";

export interface Sizes {
  readonly preset: "nano" | "small";
  /** Steps of a base that is trained here; none when a checkpoint is given. */
  readonly baseSteps: number;
  readonly stage1Steps: number;
  readonly stage2Steps: number;
  /** Flags that are drafted for each round of Stage II, at 1, 4 and 8 tokens a step. */
  readonly drafts: number;
  readonly batch: number;
  /** Of models that the relations need, and of the others. */
  readonly seeds: number;
  readonly ablationSeeds: number;
  /** Hold-out flags, and of the spoiled captions of Appendix A. */
  readonly flags: number;
  readonly repairs: number;
  readonly real: "all" | "train" | "val" | "test" | "none";
  readonly speeds: readonly number[];
  readonly evalBatch: number;
}

export const presets = {
  small: {
    preset: "small",
    baseSteps: 0,
    stage1Steps: 3000,
    stage2Steps: 1000,
    drafts: 1000,
    batch: 16,
    seeds: 3,
    ablationSeeds: 1,
    flags: 1000,
    repairs: 256,
    real: "all",
    speeds: [1, 2, 4, 8, 16],
    evalBatch: EVAL_BATCH,
  },
  nano: {
    preset: "nano",
    baseSteps: 6,
    stage1Steps: 4,
    stage2Steps: 2,
    drafts: 4,
    batch: 4,
    seeds: 2,
    ablationSeeds: 1,
    flags: 8,
    repairs: 4,
    real: "val",
    speeds: [4, 8],
    evalBatch: EVAL_BATCH,
  },
} as const satisfies Record<string, Sizes>;

export type ModelName =
  | "base"
  | "mask"
  | "stage1"
  | "stage1-long"
  | "stage2"
  | "rediff"
  | "round2"
  | "hallucination"
  | "syntax"
  | "dynamic"
  | "equal"
  | "complete"
  | "steep";

/** How a model is made from another one. */
export type Training =
  | { readonly kind: "base" }
  | { readonly kind: "mask"; readonly from: ModelName }
  /** `options` are those of `rediff train stage1`. */
  | { readonly kind: "stage1"; readonly from: ModelName; readonly options: readonly string[] }
  | Stage2Training;

export interface Stage2Training {
  readonly kind: "stage2";
  readonly from: ModelName;
  /** Drafts are decoded as the model it begins with can; or they are those of another model that begins with the same. */
  readonly drafts: "mask" | "refine" | { readonly of: ModelName };
  /** Options of `rediff revise` and of `rediff train stage2`. */
  readonly revise?: readonly string[];
  readonly options?: readonly string[];
}

export interface Model {
  readonly name: ModelName;
  readonly training: Training;
  readonly steps: (sizes: Sizes) => number;
  /** Trained with all seeds: the relations are about it. */
  readonly headline: boolean;
  /** Not part of nano, whose drafts are noise: no correction of them keeps its length. */
  readonly smallOnly?: true;
}

const both = ({ stage1Steps, stage2Steps }: Sizes): number => stage1Steps + stage2Steps;
const one = ({ stage1Steps }: Sizes): number => stage1Steps;
const two = ({ stage2Steps }: Sizes): number => stage2Steps;
const stage1 = (...options: readonly string[]): Training => ({ kind: "stage1", from: "base", options });
/** Stage II after Stage I on ReDiff's drafts, otherwise: `steep` lost coverage, and these were to keep it. */
const attempt = (how: Pick<Stage2Training, "revise" | "options">): Training => ({
  kind: "stage2",
  from: "stage1",
  drafts: { of: "rediff" },
  ...how,
});

/** Less of Stage I in a batch, higher rate: what teaches most where there was no Stage I, and undoes it where there was. */
const STEEP = ["--mix", "0.5", "--lr", "0.0005"] as const;

/** In an order in which each can be made from those before. */
export const models: readonly Model[] = [
  { name: "base", training: { kind: "base" }, steps: ({ baseSteps }) => baseSteps, headline: true },
  { name: "mask", training: { kind: "mask", from: "base" }, steps: both, headline: true },
  { name: "stage1", training: stage1(), steps: one, headline: true },
  {
    name: "stage2",
    training: { kind: "stage2", from: "base", drafts: "mask", options: STEEP },
    steps: two,
    headline: true,
  },
  { name: "rediff", training: { kind: "stage2", from: "stage1", drafts: "refine" }, steps: two, headline: true },
  { name: "round2", training: { kind: "stage2", from: "rediff", drafts: "refine" }, steps: two, headline: false },
  { name: "stage1-long", training: stage1(), steps: both, headline: false },
  { name: "hallucination", training: stage1("--replacement", "0"), steps: one, headline: false },
  { name: "syntax", training: stage1("--hallucinations", "0"), steps: one, headline: false },
  { name: "dynamic", training: stage1("--replacement", "dynamic"), steps: one, headline: false },
  {
    name: "equal",
    training: attempt({ revise: ["--lengths", "equal"], options: STEEP }),
    steps: two,
    headline: false,
    smallOnly: true,
  },
  {
    name: "complete",
    training: attempt({ revise: ["--omissions", "mend"], options: STEEP }),
    steps: two,
    headline: false,
  },
  { name: "steep", training: attempt({ options: STEEP }), steps: two, headline: false },
];

/** A model as one decoder reads it: a line of the tables. */
export interface Reading {
  readonly name: string;
  readonly title: string;
  readonly model: ModelName;
  readonly decoder: "mask" | "refine";
}

export const readings: readonly Reading[] = [
  { name: "base", title: "Base", model: "base", decoder: "mask" },
  { name: "base-refine", title: "Base, refined untrained", model: "base", decoder: "refine" },
  { name: "mask", title: "Mask prediction, same data and steps", model: "mask", decoder: "mask" },
  { name: "stage1", title: "Base + Stage I", model: "stage1", decoder: "refine" },
  { name: "stage2", title: "Base + Stage II", model: "stage2", decoder: "refine" },
  { name: "rediff", title: "ReDiff (Stage I + Stage II)", model: "rediff", decoder: "refine" },
  { name: "rediff-mask", title: "ReDiff, decoded by mask prediction", model: "rediff", decoder: "mask" },
  { name: "round2", title: "Two rounds of Stage II", model: "round2", decoder: "refine" },
  { name: "stage1-long", title: "Stage I as long as both", model: "stage1-long", decoder: "refine" },
  { name: "hallucination", title: "Revise hallucination", model: "hallucination", decoder: "refine" },
  { name: "syntax", title: "Revise syntactic errors", model: "syntax", decoder: "refine" },
  { name: "dynamic", title: "Dynamic revise ratio", model: "dynamic", decoder: "refine" },
  { name: "equal", title: "Corrections of equal length", model: "equal", decoder: "refine" },
  { name: "complete", title: "Omissions mended too", model: "complete", decoder: "refine" },
  { name: "steep", title: "Less of Stage I, higher rate", model: "steep", decoder: "refine" },
];

/** Readings whose models mend spoiled captions in Appendix A. */
export const repairers: readonly string[] = ["base-refine", "stage1", "stage2", "rediff"];

export const modelOf = (name: ModelName): Model => models.find((model) => model.name === name)!;

/** How many runs a model has. The base is one for all. */
export const seedsOf = ({ name, headline }: Model, { seeds, ablationSeeds }: Sizes): number =>
  name === "base" ? 1 : headline ? seeds : Math.min(seeds, ablationSeeds);

/** Optimiser steps of a model after the base, with those of what it begins with. */
export function stepsAfterBase(name: ModelName, sizes: Sizes): number {
  const { training, steps } = modelOf(name);
  return training.kind === "base" ? 0 : steps(sizes) + stepsAfterBase(training.from, sizes);
}
