/**
 * Puts the model of a finished run into weights/, scores it, and writes its card.
 *
 *   tsx scripts/ship-weights.ts runs/base small-base "mask prediction only (eq. 1, 2)" --made-by "npm run train -- base …" --count 64
 */
import { copyFileSync, mkdirSync, readFileSync, statSync } from "node:fs";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { tokenizerFor } from "../src/cli/usage.ts";
import { scoreOnFlags } from "../src/eval/flags.ts";
import { loadModel } from "../src/model/checkpoint.ts";
import { writeAtomically } from "../src/model/files.ts";
import { parameterCount } from "../src/model/rediff.ts";
import { formatSafetensors, parseSafetensors } from "../src/model/safetensors.ts";
import { maskPredict } from "../src/sample/maskPredict.ts";
import { refine } from "../src/sample/refine.ts";
import { openDevice } from "../src/tensor/index.ts";
import type { TrainOptions } from "../src/train/base.ts";
import type { RunOptions } from "../src/train/trainer.ts";
import { ROOT } from "./imports.ts";

const { values, positionals } = parseArgs({
  options: {
    count: { type: "string", default: "64" },
    speeds: { type: "string", default: "1,2,4,8" },
    // Commands that made it, one a line; and what else there is to say.
    "made-by": { type: "string" },
    // FOLDER=NAME: what folders that the run was given are called in the card and in the file's metadata.
    rename: { type: "string", multiple: true, default: [] },
    note: { type: "string", default: "" },
  },
  allowPositionals: true,
});
const [run, name, what] = positionals;
const madeBy = values["made-by"];
if (!run || !name || !what || !madeBy) {
  console.error(
    "Usage: tsx scripts/ship-weights.ts RUN NAME WHAT --made-by COMMANDS [--count N] [--speeds LIST] [--note TEXT]",
  );
  process.exit(2);
}
const count = Number(values.count);
const folder = join(ROOT, "weights", name);
mkdirSync(folder, { recursive: true });
copyFileSync(join(run, "model", "config.json"), join(folder, "config.json"));
const trained = parseSafetensors(readFileSync(join(run, "model", "model.safetensors")), run);
const optionsText = values.rename.reduce((text, pair) => {
  const [from, to] = pair.split("=");
  return text.replaceAll(JSON.stringify(from), JSON.stringify(to));
}, trained.metadata["options"]!);
const metadata: Record<string, string> = { ...trained.metadata, options: optionsText };
await writeAtomically(join(folder, "model.safetensors"), formatSafetensors([...trained.tensors.values()], metadata));

const device = await openDevice();
const model = loadModel(device, folder);
const tokenizer = tokenizerFor(folder);
const rows: string[] = [];
const scores: object[] = [];
for (const [decoder, decode] of [
  ["mask prediction", maskPredict],
  ["refining", refine],
] as const) {
  for (const tokensPerStep of values.speeds.split(",").map(Number)) {
    const { summary } = await scoreOnFlags(model, tokenizer, decode, { count, tokensPerStep });
    scores.push({ decoder, tokensPerStep, ...summary });
    const share = (value: number | null) => (value === null ? "none" : `${(100 * value).toFixed(1)} %`);
    rows.push(
      `| ${decoder} | ${tokensPerStep} | ${share(summary.coverage)} | ${share(summary.factuality)} | ${summary.statements.toFixed(2)} | ` +
        `${summary.hallucinations.toFixed(2)} | ${share(summary.grammatical)} | ${share(summary.exact)} |`,
    );
    console.log(rows.at(-1));
  }
}
await device.close();

const options = JSON.parse(optionsText) as RunOptions & Pick<Partial<TrainOptions>, "curriculum">;
const { curriculum, ...plain } = options;
const phases = curriculum
  ? `Curriculum (canvas length, and shares of flags of difficulty 0, 1, 2, until a share of the steps): \`${JSON.stringify(curriculum)}\`\n`
  : "";
const losses = readFileSync(join(run, "log.jsonl"), "utf8")
  .trim()
  .split("\n")
  .map((line) => JSON.parse(line) as { step: number; loss?: number; ms?: number })
  .filter(({ loss }) => loss !== undefined);
const last = losses.slice(-200);
const mean = last.reduce((sum, { loss }) => sum + loss!, 0) / last.length;
const minutes = losses.reduce((sum, { ms }) => sum + ms!, 0) / 60_000;
const took = minutes < 60 ? `${Math.round(minutes)} minutes` : `${(minutes / 60).toFixed(1)} hours`;

await writeAtomically(join(folder, "scores.json"), `${JSON.stringify({ count, scores }, null, 1)}\n`);
await writeAtomically(
  join(folder, "README.md"),
  `# ${name}

Preset \`${options.preset}\`, ${(parameterCount(model.config) / 1e6).toFixed(2)} M parameters, f16, ${(statSync(join(folder, "model.safetensors")).size / 1e6).toFixed(1)} MB. Trained on this project's own engine by ${what},
on procedural flags only; the real flags were never seen. ${metadata["step"]} steps of ${options.batch} flags (${Number(metadata["step"]) * options.batch} samples), ${took} on two CPU cores through lavapipe.
Mean loss of the last 200 steps: ${mean.toFixed(3)} nats.

Made by

\`\`\`sh
${madeBy}
\`\`\`

Options: \`${JSON.stringify(plain)}\`
${phases}${values.note}

## Scores on ${count} hold-out procedural flags (difficulty 2)

Coverage: share of a flag's facts that are stated. Factuality: share of the statements that are true; read it beside the number of
statements a caption, because chaos states little. Exact: grammatical, complete and without an error.

| decoder | tokens a step | coverage | factuality | statements | hallucinations | grammatical | exact |
|---|---|---|---|---|---|---|---|
${rows.join("\n")}

\`npm run rediff -- eval --checkpoint weights/${name} --count ${count} --tokens-per-step ${values.speeds}\` remakes the table.
`,
);
console.log(`weights/${name} is ready.`);
