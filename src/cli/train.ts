/** `rediff train STAGE`: finds the stage. */
import { base, baseHelp, vision, visionHelp } from "./trainBase.ts";
import { rediff, rediffHelp } from "./trainRediff.ts";
import { stage1, stage1Help, stage2, stage2Help } from "./trainRevision.ts";
import { UsageError } from "./usage.ts";

const stages = { vision, base, stage1, stage2, rediff } as const;

const help = `rediff train STAGE [options]

  vision   pre-training of the vision encoder on facts of flags
  base     mask prediction (eq. 1, 2)
  stage1   foundational revision (eq. 3, 4)
  stage2   online self-correction on revised drafts (eq. 5)
  rediff   all of them, from nothing

${[visionHelp, baseHelp, stage1Help, stage2Help, rediffHelp].join("\n\n")}`;

export async function run([name, ...rest]: readonly string[]): Promise<void> {
  if (name === "--help" || name === "-h") return console.log(help);
  if (name === undefined || !Object.hasOwn(stages, name))
    throw new UsageError(
      `train takes one stage: ${Object.keys(stages).join(", ")}. It was given ${name ?? "none"}. See \`rediff train --help\`.`,
    );
  await stages[name as keyof typeof stages](rest);
}
