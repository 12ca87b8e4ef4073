/** `rediff tune`: which variant of each operation is fastest on this adapter, by measurement, into a table for the engine. */
import { writeAtomically } from "../model/files.ts";
import { type Device, openDevice } from "../tensor/index.ts";
import { tuningOf } from "../tensor/tuning.ts";
import { adapterKey, readTuningFile, type TunedBucket, type TuningFile, tuningPath } from "../tensor/tuningCache.ts";
import { progressLine, showDuration } from "../train/log.ts";
import { stopRequest } from "./terminal.ts";
import { matmulTrials, type Trial, type Work } from "./tuneMatmul.ts";
import { race, winnerOf } from "./tuneRace.ts";
import { parse, UsageError, wholeNumber } from "./usage.ts";

/** The operations that have a choice. */
const tunable = { matmul: matmulTrials } as const;

const help = `rediff tune [options]

Measures the variants of each operation on this adapter, after checking their answers, and writes the fastest to a table
that the engine reads from then on. Stop with Ctrl-C or by the budget; call again to go on. Results may change in the last
digits with another variant, so do not tune in the middle of a training run that shall be repeatable.

  --ops NAMES       comma-separated (default all: ${Object.keys(tunable).join(", ")})
  --budget N        seconds (default 300)
  --again           measure anew what the table already has`;

export async function run(args: readonly string[]): Promise<void> {
  const { values } = parse(args, {
    ops: { type: "string" },
    budget: { type: "string" },
    again: { type: "boolean" },
    help: { type: "boolean", short: "h" },
  });
  if (values.help) return console.log(help);
  const ops = (values.ops ?? Object.keys(tunable).join(",")).split(",").map((name) => name.trim());
  const unknown = ops.find((name) => !Object.hasOwn(tunable, name));
  if (unknown !== undefined)
    throw new UsageError(`--ops: ${unknown} has no variants; ${Object.keys(tunable).join(", ")} can be tuned.`);
  const budget = wholeNumber("budget", values.budget, 300, { max: 86_400 });

  const device = await openDevice();
  try {
    await tune(device, ops as (keyof typeof tunable)[], 1000 * budget, values.again === true);
  } finally {
    await device.close();
  }
}

async function tune(
  device: Device,
  ops: readonly (keyof typeof tunable)[],
  budgetMs: number,
  again: boolean,
): Promise<void> {
  const path = tuningPath(device.info)!;
  const before = readTuningFile(device.info);
  let table: TuningFile = { version: 1, adapter: adapterKey(device.info), ops: before?.ops ?? {} };
  const all = ops.flatMap((op) => tunable[op](tuningOf(device)));
  const trials = all.filter(({ op, bucket }) => again || !table.ops[op]?.[bucket]);
  console.log(`${table.adapter}\n${trials.length} of ${all.length} buckets to measure`);

  const request = stopRequest();
  const line = progressLine();
  const began = performance.now();
  const spent = (): number => performance.now() - began;
  const stop = (): boolean => request.stopped || spent() > budgetMs;
  let [done, written] = [0, 0];
  for (const trial of trials) {
    const left = done ? Math.min(budgetMs - spent(), (spent() / done) * (trials.length - done)) : budgetMs;
    line.show(`${trial.op} ${trial.bucket}: ${done + 1} of ${trials.length}, ${showDuration(left / 1000)} left`);
    const measured = await measureTrial(device, trial, stop);
    if (stop()) break;
    done++;
    if (!measured) continue;
    const buckets = { ...table.ops[trial.op], [trial.bucket]: measured };
    table = { ...table, ops: { ...table.ops, [trial.op]: buckets } };
    await writeAtomically(path, `${JSON.stringify(table, null, 1)}\n`);
    written++;
    line.end();
    console.log(describe(trial, measured));
  }
  request.release();
  line.end();
  const rest = trials.length - done;
  if (!trials.length) console.log(`${path} has them all; --again measures them anew.`);
  if (written) console.log(`\n${path}`);
  if (rest)
    console.log(`${rest} buckets are not measured${again ? " again" : " yet; `rediff tune` goes on with them"}.`);
}

/** Checks the candidates, then lets those that are right race. Undefined when none is, or when it was stopped. */
async function measureTrial(device: Device, trial: Trial, stop: () => boolean): Promise<TunedBucket | undefined> {
  return trial.open(device, async (work) => {
    const right: string[] = [];
    for (const name of trial.candidates) {
      if (stop()) return undefined;
      const wrong = await work.check(name);
      if (wrong === undefined) right.push(name);
      else console.error(`${trial.op} ${trial.bucket}: ${name} is wrong and left out: ${wrong}`);
    }
    const ms = await race(right, (name) => timeOf(device, work, name), { rounds: 5, leaveAt: 1.5, stop });
    const variant = ms && winnerOf(ms, trial.shipped);
    if (variant === undefined) return undefined;
    const rounded = Object.entries(ms!).map(([name, time]) => [name, Number(time.toPrecision(4))] as const);
    return { variant, ms: Object.fromEntries(rounded.sort((a, b) => a[1] - b[1])) };
  });
}

/** Milliseconds of one run: on the device where it has a clock, else until it answers. */
async function timeOf(device: Device, work: Work, variant: string): Promise<number> {
  const hasClock = device.gpu.features.has("timestamp-query");
  const start = performance.now();
  if (hasClock) device.recorder.startProfile();
  work.run(variant);
  await device.flush();
  if (!hasClock) return performance.now() - start;
  return [...device.recorder.stopProfile().values()].reduce((sum, { ns }) => sum + ns, 0) / 1e6;
}

function describe({ op, bucket, sizes, shipped }: Trial, { variant, ms }: TunedBucket): string {
  const times = Object.entries(ms).map(([name, time]) => `${name} ${time}`);
  const verdict = variant === shipped ? "as shipped" : `instead of ${shipped}`;
  return `${`${op} ${bucket}`.padEnd(26)}${sizes.padEnd(22)} ${variant}, ${verdict}\n${"".padEnd(26)}ms: ${times.join(", ")}`;
}
