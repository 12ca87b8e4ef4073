/** `rediff train rediff`: the whole of ReDiff from nothing, stage after stage. */
import { existsSync } from "node:fs";
import { join } from "node:path";
import { recipeNames } from "../train/recipes.ts";
import { defaultStage1Options } from "../train/stage1.ts";
import { run as draft } from "./draft.ts";
import { run as revise } from "./revise.ts";
import { base, vision } from "./trainBase.ts";
import { shown } from "./trainLoop.ts";
import { stage1, stage2 } from "./trainRevision.ts";
import { oneOf, outFolder, parse, wholeNumber } from "./usage.ts";

export const rediffHelp = `rediff train rediff [options]

From nothing to ReDiff: vision encoder, mask prediction, Stage I, then rounds of drafts, expert and Stage II. Each part goes
on where it was stopped; parts that are finished are passed over. The same options must be given again.

  --out DIR           folder of the run (default runs/rediff): vision, base, stage1, round1, …
  --preset NAME       nano or small (default small)
  --seed N            of everything (default 1)
  --batch N           flags a step in every stage (default 16)
  --vision-steps N    default 8000
  --base-steps N      default 20000
  --stage1-steps N    default 5000
  --stage2-steps N    of each round (default 1000)
  --drafts N          flags that are drafted in each round, at 1, 4 and 8 tokens a step (default 1000)
  --rounds N          rounds of Stage II (default 1)
  --recipe NAME       as in \`rediff train stage1\``;

/** True when the last part is finished. */
export async function rediff(args: readonly string[]): Promise<boolean> {
  const { values } = parse(args, {
    out: { type: "string" },
    preset: { type: "string" },
    seed: { type: "string" },
    batch: { type: "string" },
    "vision-steps": { type: "string" },
    "base-steps": { type: "string" },
    "stage1-steps": { type: "string" },
    "stage2-steps": { type: "string" },
    drafts: { type: "string" },
    rounds: { type: "string" },
    recipe: { type: "string" },
    help: { type: "boolean", short: "h" },
  });
  if (values.help) return shown(rediffHelp);
  const whole = (name: keyof typeof values, fallback: number) =>
    String(wholeNumber(name, values[name] as string | undefined, fallback, { max: 1e8 }));
  const rounds = wholeNumber("rounds", values.rounds, 1, { max: 100 });
  const seed = wholeNumber("seed", values.seed, 1, { min: 0, max: 2 ** 30 });
  const size = oneOf("preset", values.preset, "small", ["nano", "small"]);
  // Read here, so that none is refused only after the hours before its part.
  const visionSteps = whole("vision-steps", 8000);
  const baseSteps = whole("base-steps", 20_000);
  const stage1Steps = whole("stage1-steps", 5000);
  const stage2Steps = whole("stage2-steps", 1000);
  const flags = whole("drafts", 1000);
  const batch = whole("batch", 16);
  const { recipe: usual } = defaultStage1Options;
  const recipe = ["--recipe", oneOf("recipe", values.recipe, usual, recipeNames)];
  const out = outFolder(values.out ?? "runs/rediff");
  const common = (part: string, steps: string, offset: number): string[] =>
    Object.entries({
      "--out": join(out, part),
      "--steps": steps,
      "--seed": String(seed + offset),
      "--batch": batch,
      "--preset": size,
    }).flat();
  const weights = (part: string) => join(out, part, "model");

  const parts: { readonly part: string; readonly train: () => Promise<boolean> }[] = [
    { part: "vision", train: () => vision(common("vision", visionSteps, 0)) },
    {
      part: "base",
      train: () => base([...common("base", baseSteps, 0), "--vision", weights("vision")]),
    },
    {
      part: "stage1",
      train: () => stage1([...common("stage1", stage1Steps, 1), "--init", weights("base"), ...recipe]),
    },
  ];
  for (let round = 1; round <= rounds; round++) {
    const part = `round${round}`;
    const before = weights(round === 1 ? "stage1" : `round${round - 1}`);
    const [drafts, revisions] = [join(out, part, "drafts.jsonl"), join(out, part, "revisions.jsonl")];
    parts.push({
      part,
      train: async () => {
        // Flags that no stage before has trained on: their seeds are below.
        await draft(["--checkpoint", before, "--out", drafts, "--seed", String(seed + 1000 * round), "--count", flags]);
        await revise([drafts, "--out", revisions, "--checkpoint", before]);
        return stage2([revisions, ...common(part, stage2Steps, 1 + round), "--init", before, ...recipe]);
      },
    });
  }
  for (const { part, train } of parts) {
    // Weights are written when a part ends, also when it is stopped; a finished state passes at once.
    console.log(`\n${part}${existsSync(weights(part)) ? " (begun)" : ""}`);
    if (!(await train())) return false;
  }
  console.log(`\nReDiff is in ${weights(`round${rounds}`)}.`);
  return true;
}
