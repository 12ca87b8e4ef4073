/**
 * Stage I, foundational revision (section 3.2): the answer is masked, some visible tokens are replaced by others, and in
 * some answers a phrase contradicts the picture. The model learns to say the right answer at every position (eq. 3, 4).
 */
import { captionPrompt } from "../model/prompt.ts";
import { answerIds, type Tokenizer } from "../model/tokenizer.ts";
import { type Device, type RandomStream, RediffError } from "../tensor/index.ts";
import { judgeAnswers } from "./answerLoss.ts";
import { initialModel } from "./base.ts";
import { drawBatch, type Lesson } from "./batch.ts";
import { dynamicRate, inOrder, maskTokens, plantPhrase, replaceTokens, tokenCategories } from "./corruption.ts";
import type { NoiseName } from "./noise.ts";
import { type Recipe, type RecipeName, recipes } from "./recipes.ts";
import { type Difficulty, type Example, flagSource } from "./source.ts";
import { openState, type RunOptions, type Trainer, trainStage } from "./trainer.ts";

export interface Stage1Options extends RunOptions, Difficulty {
  readonly recipe: RecipeName;
  /** Over the recipe's: probability of a random token at a visible position. */
  readonly replacement?: Recipe["replacement"];
  /** Share of the answers that get a false phrase, where the flag has one to offer. */
  readonly hallucinations: number;
  readonly noise: NoiseName;
  /** Folder of the weights to begin with: of a model that predicts masks. Undefined: noise. */
  readonly init?: string;
  /** Shares of sources, where it is not procedural flags alone. The source itself is given beside the options. */
  readonly data?: readonly { readonly path: string; readonly share: number }[];
}

export const defaultStage1Options: Stage1Options = {
  preset: "small",
  seed: 2,
  steps: 2000,
  batch: 16,
  peak: 1e-3,
  warmup: 100,
  weightDecay: 0.02,
  beta1: 0.9,
  beta2: 0.98,
  maxNorm: 1,
  visionRate: 0,
  recipe: "fixed",
  hallucinations: 0.5,
  noise: "uniform",
  canvas: 64,
  shares: [0.1, 0.25, 0.65],
};

/** Begins a run, or goes on with the one saved at `resume`; its options must be the same, except for `steps`. */
export function createStage1Trainer(
  device: Device,
  options: Stage1Options,
  tokenizer: Tokenizer,
  resume?: string,
  source = flagSource(options.seed),
): Trainer<Stage1Options> {
  const prompt = captionPrompt(tokenizer);
  const state = openState(device, options, resume, initialModel);
  const { imageSize } = state.model.config.vision;
  const lesson = revisionLesson(options, tokenizer);
  return trainStage(state, options, {
    draw: (step) => drawBatch(step, { ...options, imageSize, source }, lesson, tokenizer),
    loss: (model, batch) => judgeAnswers(model, batch, prompt),
    terms: tokenCategories,
  });
}

/** Section 3.2's damage, as a recipe has it. */
export function revisionLesson(
  {
    recipe,
    replacement,
    hallucinations,
    canvas,
  }: Pick<Stage1Options, "recipe" | "replacement" | "hallucinations" | "canvas">,
  tokenizer: Tokenizer,
): Lesson {
  const { phrase, lengths, losses, ...rest } = recipes[recipe];
  const rate = replacement ?? rest.replacement;
  if (!(hallucinations >= 0 && hallucinations <= 1) || (rate !== "dynamic" && !(rate >= 0 && rate <= 1)))
    throw new RediffError(
      `hallucinations and replacement are shares from 0 to 1; they are ${hallucinations}, ${rate}.`,
      {
        hallucinations,
        rate,
      },
    );
  const replace = replaceTokens(rate === "dynamic" ? dynamicRate : rate);
  return {
    losses,
    corrupt: (example, random) => {
      const wrong = random.chance(hallucinations)
        ? falseAnswer(example, random, lengths, canvas, tokenizer)
        : undefined;
      if (!wrong) return inOrder(maskTokens, replace);
      const plant = plantPhrase(wrong);
      return phrase === "guarded" ? inOrder(plant, maskTokens, replace) : inOrder(maskTokens, plant, replace);
    },
  };
}

/** The answer with one phrase made wrong; undefined when the example offers none that fits the canvas and the lengths. */
function falseAnswer(
  { falseCaption, answer }: Example,
  random: RandomStream,
  lengths: Recipe["lengths"],
  canvas: number,
  tokenizer: Tokenizer,
): Uint32Array | undefined {
  const count = (ids: Uint32Array) => ids.lastIndexOf(tokenizer.idOf("<|eot_id|>"));
  for (let attempt = 0; attempt < 4; attempt++) {
    const caption = falseCaption(random);
    if (caption === undefined) return undefined;
    const wrong = answerIds(caption, tokenizer, canvas);
    if (wrong && (lengths === "any" || count(wrong) === count(answer))) return wrong;
  }
  return undefined;
}
