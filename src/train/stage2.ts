/**
 * Stage II, online self-correction (section 3.3, step 3): the model sees its own drafts as they are, and learns only what
 * the expert changed (eq. 5). Some rows of every batch are Stage I's, which keeps what was learned there.
 */
import { captionPrompt } from "../model/prompt.ts";
import type { Tokenizer } from "../model/tokenizer.ts";
import { type Device, type RandomStream, randomStream, RediffError } from "../tensor/index.ts";
import { judgeAnswers } from "./answerLoss.ts";
import { initialModel } from "./base.ts";
import { type Batch, type BatchRow, drawRows, stack } from "./batch.ts";
import { draftCanvas, tokenCategories } from "./corruption.ts";
import { type DraftRecord, type Subject, subjectPixels } from "./draft.ts";
import { EPSILON } from "./noise.ts";
import { type RecipeName, recipes } from "./recipes.ts";
import { type Correction, reviseCanvas } from "./revised.ts";
import { lossWeights } from "./revisionLoss.ts";
import { flagSource, shuffledOrder } from "./source.ts";
import { defaultStage1Options, revisionLesson, type Stage1Options } from "./stage1.ts";
import { openState, type Trainer, trainStage } from "./trainer.ts";

/** A draft and what an expert found in it: one line of a revisions file. */
export type RevisionRecord = Subject &
  Pick<DraftRecord, "ids"> & {
    readonly segments: readonly Correction[];
  };

export interface Stage2Options extends Stage1Options {
  /** Share of each batch that is Stage I's. The paper: "a small amount". */
  readonly mix: number;
}

export const defaultStage2Options: Stage2Options = {
  ...defaultStage1Options,
  seed: 3,
  steps: 1000,
  // Half of each batch and 5e-4 undid more of Stage I than the drafts taught: LOG.md, "Stage II otherwise".
  peak: 2e-4,
  mix: 0.75,
};

/** Drafts as Stage II learns from them. */
export interface RevisedDrafts {
  readonly rows: readonly { readonly record: RevisionRecord; readonly revised: Uint32Array }[];
  /** Drafts in which there was nothing to learn. */
  readonly unchanged: number;
  /** Corrections that the recipe leaves out, or that do not fit the canvas. */
  readonly dropped: number;
}

/** Puts the corrections of an expert into the canvases of its drafts, as a recipe has it. */
export function reviseDrafts(
  records: readonly RevisionRecord[],
  recipe: Stage2Options["recipe"],
  tokenizer: Tokenizer,
): RevisedDrafts {
  const rows: { record: RevisionRecord; revised: Uint32Array }[] = [];
  let [unchanged, dropped] = [0, 0];
  for (const record of records) {
    const draft = Uint32Array.from(record.ids);
    const result = reviseCanvas(draft, record.segments, recipes[recipe].lengths, tokenizer);
    dropped += result.dropped;
    if (draft.every((id, i) => id === result.revised[i])) unchanged++;
    else rows.push({ record, revised: result.revised });
  }
  return { rows, unchanged, dropped };
}

/** Begins a run, or goes on with the one saved at `resume`; its options must be the same, except for `steps`. */
export function createStage2Trainer(
  device: Device,
  options: Stage2Options,
  drafts: RevisedDrafts,
  tokenizer: Tokenizer,
  resume?: string,
  source = flagSource(options.seed),
): Trainer<Stage2Options> {
  const { batch: B, mix, canvas: T } = options;
  const wrong = drafts.rows.find(({ revised }) => revised.length !== T);
  if (wrong)
    throw new RediffError(`A draft has ${wrong.revised.length} tokens and the canvas ${T}. Draw the drafts again.`, {
      T,
    });
  if (!(mix >= 0 && mix <= 1)) throw new RediffError(`mix is a share from 0 to 1; it is ${mix}.`, { mix });
  const ofStage1 = Math.round(mix * B);
  if (ofStage1 < B && !drafts.rows.length)
    throw new RediffError("There is no draft with a correction to learn from. Revise more drafts.");
  const prompt = captionPrompt(tokenizer);
  const state = openState(device, options, resume, initialModel);
  const { imageSize } = state.model.config.vision;
  const lesson = revisionLesson(options, tokenizer);
  const order = shuffledOrder(options.seed, drafts.rows.length);
  const draw = async (step: number): Promise<Batch> => {
    const own = Array.from({ length: B - ofStage1 }, (_, i) => {
      const at = step * (B - ofStage1) + i;
      const random = randomStream(options.seed, 0x64726166, at);
      return draftRow(drafts.rows[order(at)]!, random, options.recipe, imageSize);
    });
    const mixed = { ...options, batch: ofStage1, imageSize, source };
    const stage1 = ofStage1 ? await drawRows(step, mixed, lesson, tokenizer) : [];
    return stack([...stage1, ...(await Promise.all(own))]);
  };
  return trainStage(state, options, {
    draw,
    loss: (model, batch) => judgeAnswers(model, batch, prompt),
    terms: tokenCategories,
  });
}

async function draftRow(
  { record, revised }: RevisedDrafts["rows"][number],
  random: RandomStream,
  recipe: RecipeName,
  imageSize: number,
): Promise<BatchRow> {
  const canvas = draftCanvas(Uint32Array.from(record.ids), revised);
  // A noise level is drawn although nothing is masked: the released code divides by it.
  const p = EPSILON + (1 - EPSILON) * random.uniform();
  return {
    pixels: await subjectPixels(record, imageSize),
    canvas,
    weights: lossWeights(canvas, p, recipes[recipe].losses),
  };
}
