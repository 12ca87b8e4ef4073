/** `rediff revise`: an expert reads drafts and writes what is wrong in them (section 3.3, step 2). */
import { dirname, join, resolve } from "node:path";
import { z } from "zod";
import type { Draft, Expert, Lengths, RejectionReason } from "../expert/expert.ts";
import { BudgetError } from "../expert/errors.ts";
import { factsExpert, type FactsOptions } from "../expert/facts.ts";
import { flagDraft } from "../expert/flagDraft.ts";
import { openaiExpert, type OpenaiExpert } from "../expert/openai.ts";
import { reviseAll } from "../expert/reviseAll.ts";
import { describeQuestion } from "../model/prompt.ts";
import type { Tokenizer } from "../model/tokenizer.ts";
import { jsonLines, progressLine, resumeJsonLines, showDuration } from "../train/log.ts";
import { readRecords } from "./records.ts";
import { oneOf, outFile, outFolder, parse, shippedCheckpoint, tokenizerFor, UsageError, wholeNumber } from "./usage.ts";

const help = `rediff revise DRAFTS.jsonl [options]

Writes for each draft the segments that are wrong and what should stand there, one JSON line a draft. Call it again to go on.

A draft is {"id", "text", "seed", "index"} about a procedural flag, as \`rediff draft\` writes it, or {"id", "text",
"groundTruth", "image"} about a PNG, JPEG or WebP file, whose path counts from the drafts' folder; both may have a
"question".

  --expert NAME        facts (default): exact and offline, for procedural flags; openai: a multimodal language model
  --out FILE           default: revisions.jsonl beside the drafts
  --lengths WHICH      any (default): every correction; equal: only those that keep the number of tokens, as in the paper
  --checkpoint DIR     whose tokenizer counts tokens (default: the shipped one)

  Of --expert facts:
  --omissions WHICH    keep (default): what a draft leaves out stays out, as in the paper; mend: it is added

  Of --expert openai, which speaks to any chat endpoint in OpenAI's form:
  --model NAME         default o4-mini
  --base-url URL       default https://api.openai.com/v1
  --key-name NAME      environment variable that holds the key (default OPENAI_API_KEY)
  --budget N           stop when N tokens are spent, answers and prompts together (default: none)
  --requests N         stop after N requests (default: none)
  --concurrency N      requests at once (default 8)
  --timeout N          seconds to wait for an answer (default 120)
  --cache DIR          where answers are kept (default: expert-cache beside the output)`;

const options = {
  expert: { type: "string" },
  out: { type: "string" },
  lengths: { type: "string" },
  omissions: { type: "string" },
  checkpoint: { type: "string" },
  model: { type: "string" },
  "base-url": { type: "string" },
  "key-name": { type: "string" },
  budget: { type: "string" },
  requests: { type: "string" },
  concurrency: { type: "string" },
  timeout: { type: "string" },
  cache: { type: "string" },
  help: { type: "boolean", short: "h" },
} as const;
type Values = {
  readonly [K in keyof typeof options]?: (typeof options)[K]["type"] extends "boolean" ? boolean : string;
};

export async function run(args: readonly string[]): Promise<void> {
  const { values, positionals } = parse(args, options, true);
  if (values.help) return console.log(help);
  const [path] = positionals;
  if (path === undefined || positionals.length > 1)
    throw new UsageError(
      `revise takes one file of drafts; ${positionals.length} were given. See \`rediff revise --help\`.`,
    );
  const kind = oneOf("expert", values.expert, "facts", ["facts", "openai"]);
  const which = oneOf("lengths", values.lengths, "any", ["any", "equal"]);
  const omissions = oneOf("omissions", values.omissions, "keep", ["keep", "mend"]);
  const out = values.out ?? join(dirname(path), "revisions.jsonl");
  const tokenizer = tokenizerFor(values.checkpoint ?? shippedCheckpoint);
  const lengths: Lengths =
    which === "any" ? { lengths: which } : { lengths: which, tokens: (text) => tokenizer.encode(text).length };
  const concurrency = kind === "facts" ? 1 : wholeNumber("concurrency", values.concurrency, 8, { max: 256 });
  const asked = kind === "openai" ? modelExpert(values, lengths, out) : undefined;
  const expert = asked ?? exactExpert(values, { lengths, omissions }, tokenizer);

  const records = readDrafts(path);
  const how = { expert: expert.name, lengths: which, ...(kind === "facts" ? { omissions } : {}) };
  const done = alreadyRevised(outFile(out), how);
  const waiting = records.filter(({ id }) => !done.has(id));
  console.log(
    `${expert.name} revises ${waiting.length} drafts of ${path} to ${out}${done.size ? `, which has ${done.size}` : ""}`,
  );
  const byId = new Map(waiting.map((record) => [record.id, record]));
  const write = jsonLines(out);
  const line = progressLine();
  const began = performance.now();
  const tally = { revised: 0, right: 0, segments: 0, rejected: new Map<RejectionReason, number>() };
  const { failed, stopped } = await reviseAll(expert, draftsOf(waiting, dirname(path), kind === "openai"), {
    concurrency,
    onRevision: ({ id }, { segments, corrected, rejected }) => {
      write({ ...byId.get(id), ...how, segments, corrected, rejected });
      tally.revised++;
      tally.segments += segments.length;
      for (const [reason, count] of Object.entries(rejected) as [RejectionReason, number][])
        tally.rejected.set(reason, (tally.rejected.get(reason) ?? 0) + count);
      if (segments.length === 0 && Object.keys(rejected).length === 0) tally.right++;
      const left = ((performance.now() - began) / 1000 / tally.revised) * (waiting.length - tally.revised);
      line.show(`${tally.revised} of ${waiting.length}, ${showDuration(left)} left`);
    },
  });
  line.end();

  const leftOut = [...tally.rejected].map(([reason, count]) => `${count} ${reason}`).join(", ");
  console.log(
    `${tally.revised} drafts revised in ${showDuration((performance.now() - began) / 1000)}: ${tally.right} right, ${tally.segments} corrections in the others. Corrections left out: ${leftOut || "none"}.`,
  );
  if (asked) console.log(`Spent: ${asked.spent.requests} requests, ${asked.spent.tokens} tokens.`);
  if (failed.length)
    console.log(`No answer for ${failed.length} drafts; call it again to try them. The first: ${failed[0]!.why}`);
  if (stopped instanceof BudgetError) console.log(`${stopped.message} Call it again to go on.`);
  else if (stopped) throw stopped;
}

function exactExpert(values: Values, how: FactsOptions, tokenizer: Tokenizer): Expert {
  const foreign = (
    ["model", "base-url", "key-name", "budget", "requests", "concurrency", "timeout", "cache"] as const
  ).find((name) => values[name] !== undefined);
  if (foreign) throw new UsageError(`--${foreign} belongs to --expert openai; the facts are known offline.`);
  return factsExpert({ ...how, tokensOfWord: (word) => tokenizer.encode(` ${word}`).length });
}

function modelExpert(values: Values, lengths: Lengths, out: string): OpenaiExpert {
  if (values.omissions !== undefined)
    throw new UsageError("--omissions belongs to --expert facts; a language model is asked for what is wrong.");
  const keyName = values["key-name"] ?? "OPENAI_API_KEY";
  const key = process.env[keyName];
  if (!key && (values["base-url"] === undefined || values["key-name"] !== undefined))
    throw new UsageError(
      `The environment variable ${keyName} holds no key. Set it, or give --base-url of a server that needs none.`,
    );
  return openaiExpert({
    model: values.model ?? "o4-mini",
    baseUrl: values["base-url"] ?? "https://api.openai.com/v1",
    ...(key ? { key } : {}),
    lengths,
    timeoutMs: 1000 * wholeNumber("timeout", values.timeout, 120, { max: 3600 }),
    cache: outFolder(values.cache ?? join(dirname(out), "expert-cache"), "cache"),
    budget: {
      ...(values.budget === undefined ? {} : { tokens: wholeNumber("budget", values.budget, 1, { max: 1e12 }) }),
      ...(values.requests === undefined ? {} : { requests: wholeNumber("requests", values.requests, 1, { max: 1e9 }) }),
    },
  });
}

const draftFields = { id: z.string().min(1), text: z.string(), question: z.string().optional() };

function readDrafts(path: string) {
  const seen = new Set<string>();
  return readRecords(path, draftFields, "draft", "rediff revise").map(({ where, record }) => {
    if (seen.has(record.id)) throw new UsageError(`${where} has the id ${record.id}, which an earlier line has.`);
    seen.add(record.id);
    return record;
  });
}

type DraftLine = ReturnType<typeof readDrafts>[number];

/** Pixels a side of the pictures that a language model is shown: it sees fine detail better than our model. */
const pictureSize = 384;

function* draftsOf(records: readonly DraftLine[], folder: string, withPictures: boolean): Generator<Draft> {
  for (const record of records) {
    const question = record.question ?? describeQuestion;
    if (!("image" in record)) yield flagDraft({ ...record, question }, withPictures ? pictureSize : undefined);
    else {
      const { id, text, groundTruth, image } = record;
      yield { id, question, text, groundTruth, image: image.startsWith("data:") ? image : resolve(folder, image) };
    }
  }
}

/** How drafts are revised, as each line says it. */
interface How {
  readonly expert: string;
  readonly lengths: string;
  /** Of the exact expert. Lines without it keep omissions. */
  readonly omissions?: string;
}

const showHow = ({ expert, lengths, omissions = "keep" }: Partial<How>): string =>
  `${expert} with --lengths ${lengths}${omissions === "keep" ? "" : ` --omissions ${omissions}`}`;

/** The ids in the output. It must come from the same expert: a mixture would not say who revised what. */
function alreadyRevised(out: string, mine: How): Set<string> {
  const done = new Set<string>();
  for (const record of resumeJsonLines(out) as (Partial<How> & { readonly id?: string })[]) {
    if (showHow(record) !== showHow(mine))
      throw new UsageError(`${out} was begun by ${showHow(record)}, and this is ${showHow(mine)}. Give another --out.`);
    done.add(String(record.id));
  }
  return done;
}
