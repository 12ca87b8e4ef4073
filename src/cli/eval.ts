/** `rediff eval`: scores a checkpoint at several speeds with both decoders. */
import { realFlags } from "../data/realFlags.ts";
import { EVAL_BATCH } from "../eval/captions.ts";
import { scoreOnFlags } from "../eval/flags.ts";
import { scoreOnRealFlags } from "../eval/realFlags.ts";
import { writeAtomically } from "../model/files.ts";
import type { Decoder } from "../sample/decoder.ts";
import { maskPredict } from "../sample/maskPredict.ts";
import { refine } from "../sample/refine.ts";
import { openDevice } from "../tensor/index.ts";
import { progressLine, showDuration } from "../train/log.ts";
import { adapterLine } from "./adapter.ts";
import {
  decodeOptions,
  oneOf,
  outFile,
  parse,
  promptFor,
  shippedCheckpoint,
  speedsOf,
  tokenizerFor,
  wholeNumber,
} from "./usage.ts";
import { loadToUse, weightChoice, weightOptions } from "./weights.ts";

const help = `rediff eval [options]

Captions hold-out flags whose facts are known, and counts; and real ones, against what a person wrote.

  --checkpoint DIR         default: the shipped one
  --count N                hold-out flags (default 100)
  --real WHICH             real flags too: none (default), all, train, val or test
  --tokens-per-step LIST   default 1,2,4,8
  --block N                decode in blocks of N tokens (default: the whole canvas)
  --ends WHEN              last or any: when the ends of a caption may be committed (default last)
  --difficulty N           0, 1 or 2 (default 2: everything)
  --batch N                captions decoded together (default ${EVAL_BATCH})
  --dtype TYPE, --memory GB, --matmul TYPE  as in \`rediff caption\`
  --out FILE               also write the scores as JSON

Factuality is the share of the statements that are true: read it beside their number, because chaos states little. Tables with
intervals, seeds and pictures: npm run experiments -- --help`;

const columns = ["coverage", "factuality", "F1", "statements", "hallucinations", "grammatical", "exact"] as const;
const width = (column: string): number => Math.max(9, column.length + 2);

export async function run(args: readonly string[]): Promise<void> {
  const { values } = parse(args, {
    checkpoint: { type: "string" },
    count: { type: "string" },
    real: { type: "string" },
    "tokens-per-step": { type: "string" },
    block: { type: "string" },
    ends: { type: "string" },
    difficulty: { type: "string" },
    batch: { type: "string" },
    ...weightOptions,
    out: { type: "string" },
    help: { type: "boolean", short: "h" },
  });
  if (values.help) return console.log(help);
  const count = wholeNumber("count", values.count, 100, { max: 100_000 });
  const which = oneOf("real", values.real, "none", ["none", "all", "train", "val", "test"]);
  const speeds = speedsOf(values["tokens-per-step"] ?? "1,2,4,8");
  const difficulty = wholeNumber("difficulty", values.difficulty, 2, { min: 0, max: 2 }) as 0 | 1 | 2;
  const batch = wholeNumber("batch", values.batch, EVAL_BATCH, { max: 4096 });
  const checkpoint = values.checkpoint ?? shippedCheckpoint;
  const tokenizer = tokenizerFor(checkpoint);
  const decode = { ...decodeOptions(values), prompt: promptFor(checkpoint, tokenizer) };
  const weights = weightChoice(values);
  if (values.out !== undefined) outFile(values.out);
  const real = which === "none" ? [] : await realFlags(which === "all" ? undefined : which);
  const device = await openDevice();
  const model = await loadToUse(device, checkpoint, weights, { batch, prompt: decode.prompt.length });
  console.log(await adapterLine(device));
  console.log(`${count} hold-out flags${real.length ? ` and ${real.length} real ones` : ""}, ${checkpoint}\n`);
  console.log(
    `decoder  tokens/step${columns.map((column) => column.padStart(width(column))).join("")}${real.length ? "  CAPTURE" : ""}`,
  );
  const decoders: readonly (readonly [string, Decoder])[] = [
    ["mask", maskPredict],
    ["refine", refine],
  ];
  const rows = [];
  const line = progressLine();
  // A caption costs as many passes as it takes steps.
  const total = decoders.length * (count + real.length) * speeds.reduce((sum, speed) => sum + 1 / speed, 0);
  const began = performance.now();
  let spent = 0;
  for (const [name, decoder] of decoders) {
    for (const tokensPerStep of speeds) {
      const onBatch = (items: readonly unknown[]) => {
        spent += items.length / tokensPerStep;
        const left = ((performance.now() - began) / 1000 / spent) * (total - spent);
        line.show(`${name}, ${tokensPerStep} a step: ${showDuration(left)} left in all`);
      };
      const options = { ...decode, tokensPerStep, batch, onBatch };
      const { summary } = await scoreOnFlags(model, tokenizer, decoder, { ...options, count, difficulty });
      const capture = real.length ? await scoreOnRealFlags(model, tokenizer, decoder, real, options) : undefined;
      rows.push({ decoder: name, tokensPerStep, ...summary, ...(capture === undefined ? {} : { capture }) });
      line.end();
      const shown: Readonly<Record<(typeof columns)[number], string>> = {
        coverage: percent(summary.coverage),
        factuality: summary.factuality === null ? "none" : percent(summary.factuality),
        F1: percent(summary.f1),
        statements: summary.statements.toFixed(2),
        hallucinations: summary.hallucinations.toFixed(2),
        grammatical: percent(summary.grammatical),
        exact: percent(summary.exact),
      };
      const cells = columns.map((column) => shown[column].padStart(width(column)));
      const last = capture === undefined ? "" : percent(capture).padStart(9);
      console.log(name.padEnd(7) + String(tokensPerStep).padStart(13) + cells.join("") + last);
    }
  }
  if (values.out) await writeAtomically(values.out, `${JSON.stringify({ checkpoint, difficulty, rows }, null, 2)}\n`);
  await device.close();
}

const percent = (share: number): string => `${(100 * share).toFixed(1)} %`;
