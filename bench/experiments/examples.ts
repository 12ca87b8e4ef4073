/** Captions of a few pictures step by step, for Figures 3 and 4. */
import { tokenizerFor } from "../../src/cli/usage.ts";
import type { Image } from "../../src/data/resize.ts";
import { specialTokens, type Tokenizer } from "../../src/model/tokenizer.ts";
import { captionImages, captionLength, type CaptionStep } from "../../src/sample/caption.ts";
import type { Device } from "../../src/tensor/index.ts";
import { chosenRealFlags, decoders, pictureOf, withModel } from "./evaluate.ts";
import type { Example, ShownStep } from "./results.ts";
import { modelOf } from "./rows.ts";
import { type Plan, seedsFor, weightsOf } from "./train.ts";

/** The paper's Figure 3 and 4 are at 4 tokens a step. */
const TOKENS_PER_STEP = 4;
/** Hold-out flags that are shown: the first ones, not chosen. */
const SHOWN_FLAGS = 4;
const SHOWN_REAL = ["nl", "jp", "se", "br"];
/** What is shown beside each other, where it takes part. */
const SHOWN_READINGS = ["base", "mask", "rediff"];

export async function drawExamples(plan: Plan, device: Device): Promise<Example[]> {
  const real = await chosenRealFlags(plan.sizes.real);
  const flags = [
    ...Array(Math.min(SHOWN_FLAGS, plan.sizes.flags)).keys(),
    ...SHOWN_REAL.filter((id) => real.some((flag) => flag.id === id)),
  ];
  const columns: Example["captions"][number][][] = [];
  for (const { name, title, model, decoder } of plan.readings) {
    if (!SHOWN_READINGS.includes(name)) continue;
    const folder = weightsOf(plan, modelOf(model), seedsFor(plan, modelOf(model))[0]!);
    const tokenizer = tokenizerFor(folder);
    const captions = await withModel(device, folder, async (loaded) => {
      const draw = pictureOf(real);
      const pictures: Image[] = [];
      for (const flag of flags) pictures.push(await draw(flag, loaded.config.vision.imageSize));
      return captionImages(loaded, tokenizer, pictures, decoders[decoder], {
        tokensPerStep: TOKENS_PER_STEP,
        history: true,
      });
    });
    columns.push(
      captions.map(({ text, history }) => ({
        reading: name,
        title,
        text,
        steps: history.map((step) => shownStep(step, tokenizer)),
      })),
    );
  }
  return flags.map((flag, i) => ({
    flag,
    tokensPerStep: TOKENS_PER_STEP,
    captions: columns.map((column) => column[i]!),
  }));
}

function shownStep({ ids, changes }: CaptionStep, tokenizer: Tokenizer): ShownStep {
  const mask = tokenizer.idOf(specialTokens.mask);
  const shown = ids.subarray(0, captionLength(ids, tokenizer));
  return {
    pieces: Array.from(shown, (id) => (id === mask ? "·" : tokenizer.piece(id))),
    changes: [...changes.subarray(0, shown.length)],
  };
}
