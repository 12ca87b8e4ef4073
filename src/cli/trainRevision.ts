/** `rediff train stage1` and `rediff train stage2`: the two stages of ReDiff. */
import { z } from "zod";
import { preset } from "../model/config.ts";
import type { Tokenizer } from "../model/tokenizer.ts";
import { scoreOnFlags } from "../eval/flags.ts";
import { refine } from "../sample/refine.ts";
import { type Device, openDevice } from "../tensor/index.ts";
import { noiseNames } from "../train/noise.ts";
import { recipeNames } from "../train/recipes.ts";
import { createStage1Trainer, defaultStage1Options, type Stage1Options } from "../train/stage1.ts";
import { createStage2Trainer, defaultStage2Options, reviseDrafts } from "../train/stage2.ts";
import type { Trainer } from "../train/trainer.ts";
import { adapterLine } from "./adapter.ts";
import { readRecords } from "./records.ts";
import { dataHelp, dataOption, openSource } from "./trainData.ts";
import {
  commonHelp,
  commonOptions,
  type CommonValues,
  loopOptions,
  percent,
  runOptions,
  shown,
  statePaths,
  trainLoop,
  visionRateHelp,
  visionRateOf,
  visionRateOption,
} from "./trainLoop.ts";
import { decimal, oneOf, parse, shippedBase, tokenizerFor, UsageError } from "./usage.ts";

const revisionHelp = `  --init DIR         weights to begin with (default: the shipped base; "none" for noise)
  --recipe NAME      ${recipeNames.join(", ")}: where paper and released code disagree (default ${defaultStage1Options.recipe})
  --replacement X    probability of a random token at a visible position, or dynamic (default: the recipe's)
  --hallucinations X share of answers with a false phrase (default ${defaultStage1Options.hallucinations})
  --noise NAME       levels of noise: ${noiseNames.join(" or ")} (default ${defaultStage1Options.noise}, the paper's)
${visionRateHelp(defaultStage1Options)}
${dataHelp}`;

export const stage1Help = `rediff train stage1 [options]

Foundational revision (eq. 3, 4): masks, random tokens and false phrases.
The same options go on from a saved state to the bit.

${commonHelp("stage1", defaultStage1Options, "16 hold-out flags", 1000)}
${revisionHelp}`;

export const stage2Help = `rediff train stage2 REVISIONS [options]

Online self-correction (eq. 5) on a file of \`rediff revise\`. The same options go on from a saved state to the bit.

${commonHelp("stage2", defaultStage2Options, "16 hold-out flags", 500)}
${revisionHelp}
  --mix X            share of each batch that is Stage I's (default ${defaultStage2Options.mix})`;

const revisionOptions = {
  ...commonOptions,
  init: { type: "string" },
  recipe: { type: "string" },
  replacement: { type: "string" },
  hallucinations: { type: "string" },
  noise: { type: "string" },
  ...visionRateOption,
  data: { type: "string" },
} as const;

type Values = CommonValues & {
  readonly [N in Exclude<keyof typeof revisionOptions, keyof typeof commonOptions>]?: string;
};

/** The options of Stage I, which Stage II has too. */
function optionsOf<Options extends Stage1Options>(values: Values, defaults: Options): Options {
  const { replacement, init = shippedBase } = values;
  const common = runOptions(values, defaults);
  return {
    ...common,
    canvas: preset(common.preset).text.canvas,
    recipe: oneOf("recipe", values.recipe, defaults.recipe, recipeNames),
    hallucinations: decimal("hallucinations", values.hallucinations, defaults.hallucinations, { max: 1 }),
    noise: oneOf("noise", values.noise, defaults.noise, noiseNames),
    ...(replacement === undefined
      ? {}
      : { replacement: replacement === "dynamic" ? replacement : decimal("replacement", replacement, 0, { max: 1 }) }),
    // Eyes that have never seen must learn.
    ...(init === "none" ? { visionRate: 1 } : { init }),
    ...visionRateOf(values),
    ...dataOption(values.data),
  };
}

/** True when the last step is done. */
export async function stage1(args: readonly string[]): Promise<boolean> {
  const { values } = parse(args, revisionOptions);
  if (values.help) return shown(stage1Help);
  const options = optionsOf(values, defaultStage1Options);
  const source = await openSource(options.data, options.seed);
  return train(values, "stage1", options, 1000, (device, tokenizer, resume) =>
    createStage1Trainer(device, options, tokenizer, resume, source),
  );
}

const revisionFields = {
  ids: z.array(z.int().min(0)),
  segments: z.array(z.looseObject({ start: z.int().min(0), end: z.int().min(0), right: z.string() })),
};

/** True when the last step is done. */
export async function stage2(args: readonly string[]): Promise<boolean> {
  const { values, positionals } = parse(args, { ...revisionOptions, mix: { type: "string" } }, true);
  if (values.help) return shown(stage2Help);
  const [path, ...more] = positionals;
  if (path === undefined || more.length)
    throw new UsageError(
      `train stage2 takes one file of \`rediff revise\`; it was given ${positionals.join(" ") || "none"}.`,
    );
  const options = {
    ...optionsOf(values, defaultStage2Options),
    mix: decimal("mix", values.mix, defaultStage2Options.mix, { max: 1 }),
  };
  const records = readRecords(path, revisionFields, "revision", "rediff revise").map(({ record }) => record);
  const source = await openSource(options.data, options.seed);
  return train(values, "stage2", options, 500, (device, tokenizer, resume) => {
    const drafts = reviseDrafts(records, options.recipe, tokenizer);
    console.log(
      `${drafts.rows.length} drafts with corrections; ${drafts.unchanged} without, ${drafts.dropped} corrections left out`,
    );
    return createStage2Trainer(device, options, drafts, tokenizer, resume, source);
  });
}

async function train<Options extends Stage1Options>(
  values: Values,
  stage: string,
  { steps }: Options,
  sampleEvery: number,
  create: (device: Device, tokenizer: Tokenizer, resume: string | undefined) => Trainer<Options>,
): Promise<boolean> {
  const loop = loopOptions(values, stage, steps, sampleEvery);
  const device = await openDevice();
  console.log(await adapterLine(device));
  const tokenizer = tokenizerFor(loop.out);
  const trainer = create(device, tokenizer, statePaths(loop.out).resume);
  const { folder, finished } = await trainLoop(trainer, loop, {
    score: async () => {
      const { summary } = await scoreOnFlags(trainer.state.model, tokenizer, refine, { count: 16, tokensPerStep: 4 });
      const { coverage, factuality, grammatical } = summary;
      return {
        record: summary,
        text: `refining at 4 tokens a step: coverage ${percent(coverage)}, factuality ${percent(factuality)}, grammatical ${percent(grammatical)}`,
      };
    },
  });
  console.log(
    `The weights in f16 are in ${folder}. Try: rediff caption flag.png --decoder refine --checkpoint ${folder}`,
  );
  await device.close();
  return finished;
}
