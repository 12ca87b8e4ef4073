/** `rediff train vision` and `rediff train base`: pre-training of the vision encoder, and mask prediction. */
import { HOLD_OUT_SEED, scoreOnFlags } from "../eval/flags.ts";
import { maskPredict } from "../sample/maskPredict.ts";
import { openDevice } from "../tensor/index.ts";
import { createTrainer, defaultTrainOptions, phaseAt, type TrainOptions } from "../train/base.ts";
import { noiseNames } from "../train/noise.ts";
import { createVisionTrainer, defaultVisionOptions } from "../train/vision.ts";
import { visionAccuracy } from "../train/visionAccuracy.ts";
import { adapterLine } from "./adapter.ts";
import { dataHelp, dataOption, openSource } from "./trainData.ts";
import {
  commonHelp,
  commonOptions,
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
import { decimal, oneOf, parse, tokenizerFor } from "./usage.ts";

const goesOn = "The same options go on from a saved state to the bit. Stop with Ctrl-C; call again to go on.";

export const baseHelp = `rediff train base [options]

Mask-prediction training on procedural flags, or on pictures of your own (eq. 1, 2).
${goesOn}

${commonHelp("base", defaultTrainOptions, "16 hold-out flags", 1000)}
  --max-weight X     bound of eq. 2's 1/p (default ${defaultTrainOptions.maxWeight}; inf is the paper's)
  --noise NAME       levels of noise: ${noiseNames.join(" or ")} (default ${defaultTrainOptions.noise}, the paper's)
  --vision DIR       weights that vision encoder and projector begin with: runs/vision/model of \`rediff train vision\`
  --text DIR         weights that everything else begins with, of any model with the same text side
  --init DIR         weights that the whole model begins with
${visionRateHelp(defaultTrainOptions)}
${dataHelp}`;

export const visionHelp = `rediff train vision [options]

Pre-training of vision encoder and projector: facts of procedural flags from image tokens.
${goesOn}

${commonHelp("vision", defaultVisionOptions, "512 hold-out flags", 500)}`;

/** True when the last step is done. */
export async function base(args: readonly string[]): Promise<boolean> {
  const { values } = parse(args, {
    ...commonOptions,
    "max-weight": { type: "string" },
    noise: { type: "string" },
    vision: { type: "string" },
    text: { type: "string" },
    init: { type: "string" },
    ...visionRateOption,
    data: { type: "string" },
  });
  if (values.help) return shown(baseHelp);
  const { vision, text, init } = values;
  const options: TrainOptions = {
    ...runOptions(values, defaultTrainOptions),
    maxWeight:
      values["max-weight"] === "inf"
        ? 1e9
        : decimal("max-weight", values["max-weight"], defaultTrainOptions.maxWeight, { min: 1 }),
    noise: oneOf("noise", values.noise, defaultTrainOptions.noise, noiseNames),
    ...(vision === undefined ? {} : { vision }),
    ...(text === undefined ? {} : { text }),
    ...(init === undefined ? {} : { init }),
    ...visionRateOf(values),
    ...dataOption(values.data),
  };
  const loop = loopOptions(values, "base", options.steps, 1000);
  const source = await openSource(options.data, options.seed);
  const device = await openDevice();
  console.log(await adapterLine(device));
  const tokenizer = tokenizerFor(loop.out);
  const trainer = createTrainer(device, options, tokenizer, statePaths(loop.out).resume, source);
  const { folder, finished } = await trainLoop(trainer, loop, {
    fields: ({ step }) => ({ canvas: phaseAt(step, options).canvas }),
    score: async () => {
      const { summary, examples } = await scoreOnFlags(trainer.state.model, tokenizer, maskPredict, {
        count: 16,
        tokensPerStep: 1,
      });
      const { coverage, factuality, grammatical } = summary;
      return {
        record: summary,
        text: `coverage ${percent(coverage)}, factuality ${percent(factuality)}, grammatical ${percent(grammatical)}. ${examples[0]!.text}`,
      };
    },
  });
  console.log(`The weights in f16 are in ${folder}. Try: rediff caption flag.png --checkpoint ${folder}`);
  await device.close();
  return finished;
}

/** True when the last step is done. */
export async function vision(args: readonly string[]): Promise<boolean> {
  const { values } = parse(args, commonOptions);
  if (values.help) return shown(visionHelp);
  const options = runOptions(values, defaultVisionOptions);
  const loop = loopOptions(values, "vision", options.steps, 500);
  const device = await openDevice();
  console.log(await adapterLine(device));
  const trainer = createVisionTrainer(device, options, statePaths(loop.out).resume);
  const { folder, finished } = await trainLoop(trainer, loop, {
    score: async () => {
      const record = await visionAccuracy(trainer.state.model, HOLD_OUT_SEED, 512);
      const text = Object.entries(record).map(([fact, share]) => `${fact} ${percent(share)}`);
      return { record, text: text.join(", ") };
    },
  });
  console.log(`The weights in f16 are in ${folder}. Try: rediff train base --vision ${folder}`);
  await device.close();
  return finished;
}
