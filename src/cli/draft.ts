/** `rediff draft`: the model's own captions of training flags, for an expert to revise. */
import { resolve } from "node:path";
import { describe, readPictureSet } from "../data/pictureSets.ts";
import { maskPredict } from "../sample/maskPredict.ts";
import { refine } from "../sample/refine.ts";
import { openDevice } from "../tensor/index.ts";
import { draftId, drawDrafts, type Subject } from "../train/draft.ts";
import { jsonLines, progressLine, resumeJsonLines, showDuration } from "../train/log.ts";
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
  UsageError,
  wholeNumber,
} from "./usage.ts";
import { loadToUse, weightChoice, weightOptions } from "./weights.ts";

const help = `rediff draft [options]

Captions training pictures at several speeds, one JSON line a draft (section 3.3, step 1): procedural flags, or captioned
pictures of your own. Call it again to go on.

  --checkpoint DIR         default: the shipped one
  --out FILE               default runs/drafts.jsonl
  --seed N                 of the flags (default 1); hold-out flags cannot be drawn
  --data PATH              instead of flags: a folder of name.png and name.txt, or a JSON file in LLaVA's form
  --from N, --count N      flags or pictures N to N + count − 1 (default 0 and 1000)
  --tokens-per-step LIST   speeds (default 1,4,8: the paper's 128, 32 and 16 steps)
  --decoder NAME           refine or mask (default refine)
  --block N, --ends WHEN   as in \`rediff caption\`
  --batch N                pictures decoded together (default 16)
  --dtype TYPE, --memory GB, --matmul TYPE  as in \`rediff caption\`
  --shard I/N              only every Nth batch, from the Ith (from 1); the files of all shards together are the whole`;

export async function run(args: readonly string[]): Promise<void> {
  const { values } = parse(args, {
    checkpoint: { type: "string" },
    out: { type: "string" },
    seed: { type: "string" },
    data: { type: "string" },
    from: { type: "string" },
    count: { type: "string" },
    "tokens-per-step": { type: "string" },
    decoder: { type: "string" },
    block: { type: "string" },
    ends: { type: "string" },
    batch: { type: "string" },
    ...weightOptions,
    shard: { type: "string" },
    help: { type: "boolean", short: "h" },
  });
  if (values.help) return console.log(help);
  const checkpoint = values.checkpoint ?? shippedCheckpoint;
  const out = values.out ?? "runs/drafts.jsonl";
  const seed = wholeNumber("seed", values.seed, 1, { min: 0, max: 2 ** 31 });
  const from = wholeNumber("from", values.from, 0, { min: 0, max: 2 ** 26 });
  const count = wholeNumber("count", values.count, 1000, { max: 2 ** 26 });
  const batch = wholeNumber("batch", values.batch, 16, { max: 4096 });
  const decoder = { refine, mask: maskPredict }[oneOf("decoder", values.decoder, "refine", ["refine", "mask"])];
  const speeds = speedsOf(values["tokens-per-step"] ?? "1,4,8");
  const [shard, shards] = shardOf(values.shard);
  const decode = decodeOptions(values);
  const weights = weightChoice(values);

  if (values.data !== undefined && values.seed !== undefined)
    throw new UsageError("--seed is of flags, and --data of pictures; give one of them.");
  const subjects: readonly Subject[] =
    values.data === undefined
      ? Array.from({ length: count }, (_, i) => ({ seed, index: from + i }))
      : (await picturesOf(values.data)).slice(from, from + count);

  const tokenizer = tokenizerFor(checkpoint);
  const prompt = promptFor(checkpoint, tokenizer);
  outFile(out);
  const done = new Set(resumeJsonLines(out).map((record) => (record as { id?: unknown }).id));
  const jobs = speeds
    .flatMap((tokensPerStep) =>
      Array.from({ length: Math.ceil(subjects.length / batch) }, (_, i) => ({
        tokensPerStep,
        asked: subjects.slice(i * batch, (i + 1) * batch),
      })),
    )
    .filter((_, i) => i % shards === shard)
    .map(({ tokensPerStep, asked }) => ({
      tokensPerStep,
      asked: asked.filter((subject) => !done.has(draftId(subject, tokensPerStep))),
    }))
    .filter(({ asked }) => asked.length);
  const total = jobs.reduce((sum, { asked }) => sum + asked.length, 0);

  const device = await openDevice();
  console.log(await adapterLine(device));
  console.log(`${total} drafts by ${checkpoint} to ${out}${done.size ? `, which has ${done.size}` : ""}`);
  const model = await loadToUse(device, checkpoint, weights, { batch, prompt: prompt.length });
  const write = jsonLines(out);
  const line = progressLine();
  const began = performance.now();
  let written = 0;
  for (const { tokensPerStep, asked } of jobs) {
    const drafts = await drawDrafts(model, tokenizer, decoder, asked, { ...decode, prompt, tokensPerStep });
    for (const draft of drafts) write({ ...draft });
    written += drafts.length;
    const rate = written / ((performance.now() - began) / 1000);
    line.show(`${written} of ${total}  ${rate.toFixed(2)} drafts/s  ${showDuration((total - written) / rate)} left`);
  }
  line.end();
  console.log(`${written} drafts written. Next: rediff revise ${out}`);
  await device.close();
}

async function picturesOf(data: string): Promise<Subject[]> {
  const { pictures, skipped } = await readPictureSet(data);
  console.log(`${pictures.length} captioned pictures in ${data}${describe(skipped)}`);
  return pictures.map(({ path, caption }) => ({ image: resolve(path), groundTruth: caption }));
}

/** "2/4" as [1, 4]. */
function shardOf(text = "1/1"): [number, number] {
  const [, i, n] = /^(\d+)\/(\d+)$/.exec(text) ?? [];
  const [shard, shards] = [Number(i), Number(n)];
  if (!(shard >= 1 && shard <= shards))
    throw new UsageError(`--shard must be I/N with I from 1 to N, as 2/4; it is ${text}.`);
  return [shard - 1, shards];
}
