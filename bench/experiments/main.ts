/**
 * `npm run experiments`: section 4 of the paper. Trains what is missing, captions what is missing, then judges and draws.
 * This file reads the command line; rows.ts says what takes part.
 */
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { adapterLine } from "../../src/cli/adapter.ts";
import { answering, oneOf, parse, shippedBase, speedsOf, wholeNumber } from "../../src/cli/usage.ts";
import { writeAtomically } from "../../src/model/files.ts";
import { openDevice, RediffError } from "../../src/tensor/index.ts";
import { writeFigure } from "../plot.ts";
import { provenance } from "../result.ts";
import { evaluate, scoreReadings, scoreRepairs } from "./evaluate.ts";
import { drawExamples } from "./examples.ts";
import { speedFigures } from "./figures.ts";
import { reportPage } from "./page.ts";
import { joinResults, parseJoin, readJoin, readResults, type Results, writeResults } from "./results.ts";
import { models, presets, type Reading, readings, type Sizes } from "./rows.ts";
import { markdown, tablesOf } from "./tables.ts";
import { checkGiven, givenWeights, modelsFor, type Plan, trainModels, weightsHash, weightsOf } from "./train.ts";

const HELP = `npm run experiments -- [options]

The paper's Tables 2 to 6, Figures 1c, 3 and 4, and Appendix A: trains, measures, judges. What was stopped goes on; what is
there is not made again. Results, tables, figures and the HTML report are in the folder.

  --out DIR             default runs/experiments
  --preset NAME         small (default), or nano: everything in a minute, to see that it works
  --base DIR            the base that all models begin with (default: the shipped base; nano trains its own)
  --weights NAME=DIR    a model that was trained before with these sizes, as seed 1; DIR,DIR as seeds 1 and 2; may be
                        given again
  --only LIST           models that take part, with all they are made from: ${models.map(({ name }) => name).join(", ")}
  --readings LIST       what is measured of them (default: all): ${readings.map(({ name }) => name).join(", ")}
  --with FILE=LIST      readings of an earlier results.json, with the same base and sizes, beside them; of a reading that is
                        here too, its other speeds and seeds. Tables have the speeds of all. May be given again
  --seeds N             of the models that the relations are about (default 3); --ablation-seeds N of the others (1)
  --first-seed N        default 1, also of the ablations: machines that share the work take other seeds, each with the
                        --readings that it shall measure, and --with puts them together
  --base-steps N        train a base of so many steps instead of taking one
  --stage1-steps N      default 3000;  --stage2-steps N (1000);  --drafts N, flags a round (1000);  --batch N (16)
  --flags N             hold-out flags (default 1000);  --repairs N, spoiled captions (256)
  --real WHICH          real flags: all (default), train, val, test or none; no training sees any of them
  --tokens-per-step L   speeds (default 1,2,4,8,16)
  --eval-batch N        captions decoded together (default 64)
  --report-only         tables, figures and report from the results that are there`;

const options = {
  out: { type: "string" },
  preset: { type: "string" },
  base: { type: "string" },
  weights: { type: "string", multiple: true },
  only: { type: "string" },
  readings: { type: "string" },
  with: { type: "string", multiple: true },
  seeds: { type: "string" },
  "ablation-seeds": { type: "string" },
  "first-seed": { type: "string" },
  "base-steps": { type: "string" },
  "stage1-steps": { type: "string" },
  "stage2-steps": { type: "string" },
  drafts: { type: "string" },
  batch: { type: "string" },
  flags: { type: "string" },
  repairs: { type: "string" },
  real: { type: "string" },
  "tokens-per-step": { type: "string" },
  "eval-batch": { type: "string" },
  "report-only": { type: "boolean" },
  help: { type: "boolean", short: "h" },
} as const;

type Values = ReturnType<typeof parse<typeof options>>["values"];

function planOf(values: Values): Plan {
  const preset = oneOf("preset", values.preset, "small", ["small", "nano"]);
  const defaults: Sizes = presets[preset];
  const whole = (name: keyof typeof options, fallback: number, min = 1): number =>
    wholeNumber(name, values[name] as string | undefined, fallback, { min, max: 1e7 });
  const sizes: Sizes = {
    preset,
    baseSteps: whole("base-steps", defaults.baseSteps, 0),
    stage1Steps: whole("stage1-steps", defaults.stage1Steps),
    stage2Steps: whole("stage2-steps", defaults.stage2Steps),
    drafts: whole("drafts", defaults.drafts),
    batch: whole("batch", defaults.batch),
    seeds: whole("seeds", defaults.seeds),
    ablationSeeds: whole("ablation-seeds", defaults.ablationSeeds),
    flags: whole("flags", defaults.flags),
    repairs: whole("repairs", defaults.repairs),
    real: oneOf("real", values.real, defaults.real, ["all", "train", "val", "test", "none"]),
    speeds: values["tokens-per-step"] === undefined ? defaults.speeds : ascending(speedsOf(values["tokens-per-step"])),
    evalBatch: whole("eval-batch", defaults.evalBatch),
  };
  const base = values.base ?? (preset === "small" && sizes.baseSteps === 0 ? shippedBase : undefined);
  const all = models.filter(({ smallOnly }) => preset === "small" || !smallOnly).map(({ name }) => name);
  const only = values.only?.split(",").map((name) => name.trim()) ?? all;
  const given = givenWeights(values.weights ?? [], sizes);
  const taking = modelsFor(only, given);
  const firstSeed = whole("first-seed", 1);
  checkGiven(taking, given, sizes, firstSeed);
  const possible = readings.filter(({ model }) => taking.some(({ name }) => name === model));
  const wanted = values.readings === undefined ? possible : readingsNamed(values.readings.split(","), possible);
  return {
    out: values.out ?? "runs/experiments",
    sizes,
    base,
    given,
    firstSeed,
    models: taking,
    readings: wanted,
  };
}

function readingsNamed(names: readonly string[], possible: readonly Reading[]): readonly Reading[] {
  const unknown = names.filter((name) => !possible.some((reading) => reading.name === name));
  if (unknown.length)
    throw new RediffError(
      `--readings: there is no ${unknown.join(", ")} among the models that take part. Their readings are ${possible.map(({ name }) => name).join(", ")}.`,
    );
  return possible.filter(({ name }) => names.includes(name));
}

const ascending = (speeds: readonly number[]): number[] => [...new Set(speeds)].sort((a, b) => a - b);

/** What trained models depend on: a folder is of one such plan. */
async function keepPlan({ out, sizes, base, given }: Plan): Promise<void> {
  const { preset, baseSteps, stage1Steps, stage2Steps, drafts, batch } = sizes;
  const mine = JSON.stringify({
    preset,
    ...(base === undefined ? { baseSteps } : { base: weightsHash(base) }),
    ...(given.size && {
      given: Object.fromEntries([...given].map(([name, folders]) => [name, folders.map(weightsHash).join()])),
    }),
    stage1Steps,
    stage2Steps,
    drafts,
    batch,
  });
  const path = join(out, "plan.json");
  if (!existsSync(path)) return writeAtomically(path, `${mine}\n`);
  const theirs = readFileSync(path, "utf8").trim();
  if (theirs !== mine)
    throw new RediffError(`${out} was begun with ${theirs}, and this run asks for ${mine}. Give another --out.`, {
      out,
    });
}

async function main(): Promise<void> {
  const { values } = parse(process.argv.slice(2), options);
  if (values.help) return console.log(HELP);
  const plan = planOf(values);
  const joins = (values.with ?? []).map(parseJoin);
  const path = join(plan.out, "results.json");
  // What this run measured itself; results.json has what was joined too.
  const measured = join(plan.out, "measured.json");
  if (!values["report-only"]) {
    // What cannot be joined is said before hours of work.
    const base = plan.base === undefined ? undefined : weightsHash(plan.base);
    for (const join of joins) readJoin(join, { base, sizes: plan.sizes });
    await keepPlan(plan);
    if (!(await trainModels(plan))) return console.log("Stopped. The same command goes on.");
    await writeResults(measured, await measure(plan));
  }
  const fromMeasured = existsSync(measured) && (!values["report-only"] || joins.length > 0 || !existsSync(path));
  const own = readResults(fromMeasured ? measured : path);
  const results = joinResults(own, joins);
  await writeResults(path, results);
  await report(plan.out, results);
}

async function measure(plan: Plan): Promise<Results> {
  const device = await openDevice();
  try {
    const adapter = await adapterLine(device);
    console.log(`\n${adapter}`);
    await evaluate(plan, device);
    const examples = await drawExamples(plan, device);
    const readings = await scoreReadings(plan);
    const base = weightsHash(weightsOf(plan, plan.models[0]!, 1));
    return { ...provenance(), adapter, base, sizes: plan.sizes, readings, repairs: scoreRepairs(plan), examples };
  } finally {
    await device.close();
  }
}

/** Everything for people, from the results alone. */
async function report(out: string, results: Results): Promise<void> {
  const text = tablesOf(results).map(markdown).join("\n");
  console.log(`\n${text}`);
  await writeAtomically(join(out, "tables.md"), text);
  for (const { name, plot } of speedFigures(results)) await writeFigure(join(out, "figures", `speed-${name}`), plot);
  await writeAtomically(join(out, "report.html"), await reportPage(results));
  console.log(`tables in ${join(out, "tables.md")}, the report in ${join(out, "report.html")}`);
}

await answering("experiments", main);
