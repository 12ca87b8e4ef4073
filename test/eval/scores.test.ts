/** Counts, intervals and verdicts: what the tables of the experiments rest on. No device. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { judge, type Relation, relations, verdictOf } from "../../bench/experiments/relations.ts";
import type { Cell, ReadingResult, Results, Run } from "../../bench/experiments/results.ts";
import { models, presets, readings, repairers, seedsOf, stepsAfterBase } from "../../bench/experiments/rows.ts";
import { intervalOf } from "../../bench/experiments/statistics.ts";
import { markdown, tableSpecs, tablesOf } from "../../bench/experiments/tables.ts";
import { bootstrap } from "../../src/eval/bootstrap.ts";
import { type CaptionCounts, countCaption, summarise } from "../../src/eval/counts.ts";
import type { FlagSpec } from "../../src/data/flagSpec.ts";

const estonia: FlagSpec = {
  field: { layout: "bands", direction: "horizontal", colours: ["blue", "black", "white"], doubled: null },
  charges: [],
};

test("counts of a caption, and the scores of several", () => {
  const right = countCaption("three equal horizontal bands of blue, black, and white.", estonia);
  assert.deepEqual(right, { stated: 7, correct: 7, total: 7, grammatical: 1, exact: 1, words: 12, echoes: 0 });
  const wrong = countCaption("three equal horizontal bands of blue, black, and red.", estonia);
  assert.deepEqual([wrong.stated, wrong.correct, wrong.grammatical, wrong.exact], [7, 6, 1, 0]);
  const stutter = countCaption("bands bands of of of", estonia);
  assert.deepEqual([stutter.words, stutter.echoes, stutter.grammatical], [5, 3, 0]);
  const silent = countCaption("", estonia);
  assert.deepEqual([silent.stated, silent.total, silent.words], [0, 7, 0]);

  const score = summarise([right, wrong, silent]);
  assert.equal(score.coverage, 13 / 21);
  assert.equal(score.factuality, 13 / 14);
  assert.equal(score.f1, 26 / 35);
  assert.equal(score.statements, 14 / 3);
  assert.equal(score.hallucinations, 1 / 3);
  assert.equal(score.grammatical, 2 / 3);
  assert.equal(score.exact, 1 / 3);
  assert.equal(summarise([silent]).factuality, null);
});

test("a bootstrap interval of a mean is as wide as the theory says", () => {
  // Of n fair coins the mean has a standard error of 0.5 / √n.
  const n = 400;
  const coins = Array.from({ length: n }, (_, i) => i % 2);
  const { value, low, high } = bootstrap(
    ({ flags }) => Array.from(flags).reduce((sum, i) => sum + coins[i]!, 0) / flags.length,
    { flags: n, seeds: 1, replicates: 4000 },
  );
  assert.equal(value, 0.5);
  const wanted = 1.96 * (0.5 / Math.sqrt(n));
  for (const half of [value - low, high - value])
    assert.ok(Math.abs(half / wanted - 1) < 0.1, `${half}, not ${wanted}`);
  // Seeds are drawn too: with two that always disagree, the interval holds both.
  const seeds = bootstrap(({ seeds: drawn }) => drawn.reduce((sum, seed) => sum + seed, 0) / drawn.length, {
    flags: 1,
    seeds: 2,
  });
  assert.deepEqual([seeds.value, seeds.low, seeds.high], [0.5, 0, 1]);
  assert.throws(() => bootstrap(() => 0, { flags: 0, seeds: 1 }), /needs flags and seeds/);
});

test("an interval decides, or it does not", () => {
  const interval = (low: number, high: number) => ({ value: (low + high) / 2, low, high });
  assert.equal(verdictOf(interval(0.01, 0.2), undefined), "true");
  assert.equal(verdictOf(interval(-0.2, -0.01), undefined), "false");
  assert.equal(verdictOf(interval(-0.1, 0.1), undefined), "undecided");
  assert.equal(verdictOf(interval(-0.1, 0.005), 0.01), "true");
  assert.equal(verdictOf(interval(0.02, 0.05), 0.01), "false");
  assert.equal(verdictOf(interval(0, 0.05), 0.01), "undecided");
  assert.equal(verdictOf(interval(1e-16, 1e-16), undefined), "undecided", "a rounding error decides nothing");
  assert.equal(verdictOf(undefined, undefined), "not measured");
  assert.equal(verdictOf(interval(Number.NaN, 1), undefined), "not measured");
});

/** A run of `n` flags with ten facts each, of which as many as `correct` says are stated, and one false statement. */
function runOf(seed: number, n: number, correct: (flag: number) => number): Run {
  const column = (value: (flag: number) => number): number[] => Array.from({ length: n }, (_, flag) => value(flag));
  const facts: Record<keyof CaptionCounts, number[]> = {
    stated: column((flag) => correct(flag) + 1),
    correct: column(correct),
    total: column(() => 10),
    grammatical: column(() => 1),
    exact: column(() => 0),
    words: column(() => 20),
    echoes: column(() => 1),
  };
  return { seed, facts, capture: column((flag) => correct(flag) / 10) };
}

function resultsOf(correct: Readonly<Record<string, (flag: number, speed: number, seed: number) => number>>): Results {
  const speeds = [1, 4, 8];
  return {
    commit: "",
    dirty: false,
    node: "",
    webgpu: "",
    adapter: "",
    base: "",
    sizes: {
      ...presets.small,
      speeds,
    },
    repairs: [],
    examples: [],
    readings: Object.entries(correct).map(([name, of]): ReadingResult => ({
      name,
      title: name,
      model: "base",
      decoder: "mask",
      steps: 7,
      cells: speeds.map((speed): Cell => ({
        tokensPerStep: speed,
        runs: [1, 2].map((seed) => runOf(seed, 60, (flag) => of(flag, speed, seed))),
      })),
    })),
  };
}

test("relations are judged from counts: a collapse, its absence, and what is too close to say", () => {
  const noisy = (flag: number) => flag % 3;
  const results = resultsOf({
    mask: (flag, speed) => (speed === 8 ? 2 : 6) + noisy(flag),
    rediff: (flag, speed) => (speed === 8 ? 5 : 7) + noisy(flag),
    base: (flag) => 4 + noisy(flag),
    // As good as the base but for chance: which flags are harder differs.
    stage1: (flag) => 4 + noisy(flag + 1),
    "base-refine": (flag) => 6 + noisy(flag),
  });
  const verdict = (claim: RegExp, metric = "f1"): string =>
    judge(results).find((one) => claim.test(one.claim) && one.metric === metric)!.verdict;
  assert.equal(verdict(/^ReDiff keeps more/), "true");
  assert.equal(verdict(/^ReDiff keeps more/, "capture"), "true");
  assert.equal(verdict(/^Mask prediction loses/), "true");
  assert.equal(verdict(/^ReDiff at 4 tokens a step is above mask prediction at 1/), "true");
  assert.equal(verdict(/^Stage I alone is above the base, 4/), "undecided");
  assert.equal(verdict(/^Control: refining without the training/), "false");
  assert.equal(verdict(/^Both stages are above Stage II/), "not measured");

  // Worked out by hand: correct 7 of 10 and 8 stated on the mean at 1; F1 = 2·7 / (8 + 10).
  const f1 = intervalOf(results, "f1", (value) => value("mask", 1))!;
  assert.ok(Math.abs(f1.value - 14 / 18) < 1e-12 && f1.low < f1.value && f1.value < f1.high, JSON.stringify(f1));
  assert.equal(f1.seeds, "2");
  // Paired: where every flag differs by the same, the difference has no spread.
  const statements = intervalOf(results, "statements", (value) => value("mask", 1) - value("mask", 8))!;
  for (const edge of [statements.value, statements.low, statements.high]) assert.ok(Math.abs(edge - 4) < 1e-12);
});

test("tables show what was measured and nothing else", () => {
  const tables = tablesOf(resultsOf({ mask: () => 5, rediff: () => 9 }));
  const [second] = tables;
  assert.match(second!.title, /^Table 2/);
  const [name, steps, seeds, f1] = second!.rows.find(([title]) => title === "rediff")!;
  // 2·9 / (10 + 10).
  assert.deepEqual([name, steps, seeds, f1], ["rediff", "7", "2", "90.0"]);
  assert.ok(!tables.some(({ title }) => title.startsWith("Table 5")), "a table of one line is left out");
  for (const { head, rows } of tables) for (const row of rows) assert.equal(row.length, head.length);
  assert.match(markdown(second!), /^### Table 2.*\n\n\| {2}\| steps \|/);
});

test("the tables of rows, readings and relations fit each other", () => {
  const known = new Set(readings.map(({ name }) => name));
  const asked = new Set<string>();
  const value = (reading: string): number => {
    asked.add(reading);
    return 1;
  };
  for (const { difference } of relations satisfies readonly Relation[]) difference(value);
  for (const name of [...asked, ...tableSpecs.flatMap((spec) => spec.readings), ...repairers])
    assert.ok(known.has(name), `there is no reading ${name}`);
  for (const { model } of readings) assert.ok(models.some(({ name }) => name === model));
  const sizes = presets.small;
  assert.equal(stepsAfterBase("mask", sizes), stepsAfterBase("rediff", sizes), "mask prediction gets ReDiff's compute");
  assert.equal(stepsAfterBase("stage1-long", sizes), stepsAfterBase("rediff", sizes));
  // What a model begins with must have a run for each of its seeds.
  for (const model of models)
    if (model.training.kind !== "base") {
      const from = models.findIndex(({ name }) => model.training.kind !== "base" && name === model.training.from);
      assert.ok(from < models.indexOf(model));
      assert.ok(models[from]!.name === "base" || seedsOf(models[from]!, sizes) >= seedsOf(model, sizes));
    }
});
