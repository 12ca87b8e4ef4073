/** `rediff eval`: scores a checkpoint at several speeds with both decoders. */
import { scoreOnFlags } from "../eval/flags.ts";
import { loadModel, writeAtomically } from "../model/checkpoint.ts";
import type { Decoder } from "../sample/decoder.ts";
import { maskPredict } from "../sample/maskPredict.ts";
import { refine } from "../sample/refine.ts";
import { openDevice } from "../tensor/index.ts";
import { progressLine } from "../train/log.ts";
import { adapterLine } from "./adapter.ts";
import { decodeOptions, parse, shippedCheckpoint, tokenizerFor, wholeNumber } from "./usage.ts";

const help = `rediff eval [options]

Captions hold-out flags whose facts are known, and counts.

  --checkpoint DIR         default: the shipped one
  --count N                flags (default 100)
  --tokens-per-step LIST   default 1,2,4,8
  --block N                decode in blocks of N tokens (default: the whole canvas)
  --ends WHEN              last or any: when the ends of a caption may be committed (default last)
  --difficulty N           0, 1 or 2 (default 2: everything)
  --out FILE               also write the scores as JSON`;

export async function run(args: readonly string[]): Promise<void> {
  const { values } = parse(args, {
    checkpoint: { type: "string" },
    count: { type: "string" },
    "tokens-per-step": { type: "string" },
    block: { type: "string" },
    ends: { type: "string" },
    difficulty: { type: "string" },
    out: { type: "string" },
    help: { type: "boolean", short: "h" },
  });
  if (values.help) return console.log(help);
  const count = wholeNumber("count", values.count, 100, { max: 100_000 });
  const speeds = (values["tokens-per-step"] ?? "1,2,4,8")
    .split(",")
    .map((text) => wholeNumber("tokens-per-step", text, 1, { max: 4096 }));
  const difficulty = wholeNumber("difficulty", values.difficulty, 2, { min: 0, max: 2 }) as 0 | 1 | 2;
  const decode = decodeOptions(values);
  const checkpoint = values.checkpoint ?? shippedCheckpoint;
  const device = await openDevice();
  const model = loadModel(device, checkpoint);
  const tokenizer = tokenizerFor(checkpoint);
  console.log(await adapterLine(device));
  console.log(`${count} hold-out flags, ${checkpoint}\n`);
  console.log("decoder  tokens/step  coverage  factuality  statements  hallucinations  grammatical   exact");
  const decoders: readonly (readonly [string, Decoder])[] = [
    ["mask", maskPredict],
    ["refine", refine],
  ];
  const rows = [];
  const line = progressLine();
  for (const [name, decoder] of decoders) {
    for (const tokensPerStep of speeds) {
      const onBatch = (done: number) => line.show(`${name}, ${tokensPerStep} a step: ${done} of ${count}`);
      const { summary } = await scoreOnFlags(model, tokenizer, decoder, {
        ...decode,
        count,
        tokensPerStep,
        difficulty,
        onBatch,
      });
      rows.push({ decoder: name, tokensPerStep, ...summary });
      line.end();
      console.log(
        name.padEnd(7) +
          String(tokensPerStep).padStart(13) +
          percent(summary.coverage).padStart(10) +
          (summary.factuality === null ? "none" : percent(summary.factuality)).padStart(12) +
          summary.statements.toFixed(2).padStart(12) +
          summary.hallucinations.toFixed(2).padStart(16) +
          percent(summary.grammatical).padStart(13) +
          percent(summary.exact).padStart(8),
      );
    }
  }
  if (values.out) await writeAtomically(values.out, `${JSON.stringify({ checkpoint, difficulty, rows }, null, 2)}\n`);
  await device.close();
}

const percent = (share: number): string => `${(100 * share).toFixed(1)} %`;
