/** `npm run experiments` through everything in the nano size: training, captions, results, tables, figures and report. */
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";
import { fileURLToPath } from "node:url";
import { joinResults, parseJoin, type Results } from "../../bench/experiments/results.ts";
import { modelOf, models, readings } from "../../bench/experiments/rows.ts";

const root = fileURLToPath(new URL("../../", import.meta.url));
const folder = mkdtempSync(join(tmpdir(), "rediff-experiments-"));
const out = join(folder, "nano");
after(() => rmSync(folder, { recursive: true }));

function experiments(...args: string[]): Promise<{ code: number | null; text: string; error: string }> {
  return new Promise((resolve) => {
    const argv = ["--import", "tsx", join(root, "bench/experiments/main.ts"), "--out", out, ...args];
    const child = spawn(process.execPath, argv, { cwd: root });
    let [text, error] = ["", ""];
    child.stdout.on("data", (data: Buffer) => (text += data.toString()));
    child.stderr.on("data", (data: Buffer) => (error += data.toString()));
    child.on("close", (code) => resolve({ code, text, error }));
  });
}

const read = (name: string): string => readFileSync(join(out, name), "utf8");
const results = (): Results => JSON.parse(read("results.json")) as Results;

test("one command trains, measures, judges and draws; again, it does none of it twice", async () => {
  const first = await experiments("--preset", "nano");
  assert.equal(first.code, 0, first.error);
  const { readings: measured, repairs, examples, sizes } = results();
  assert.deepEqual(
    measured.map(({ name }) => name),
    readings.filter(({ model }) => !modelOf(model).smallOnly).map(({ name }) => name),
  );
  for (const { name, cells } of measured)
    for (const { runs } of cells) {
      const runsWanted =
        { base: 1, "base-refine": 1 }[name] ??
        (models.find((model) => model.name === name)?.headline === false ? 1 : 2);
      assert.equal(runs.length, runsWanted, name);
      for (const { facts, capture } of runs) {
        assert.equal(facts.total.length, sizes.flags);
        assert.ok(facts.total.every((total) => total > 0));
        assert.equal(capture.length, 22, "the real flags of the val split");
      }
    }
  assert.deepEqual(
    repairs.map(({ reading }) => reading),
    ["base-refine", "stage1", "stage2", "rediff"],
  );
  assert.ok(examples.length >= 4 && examples.every(({ captions }) => captions.every(({ steps }) => steps.length > 0)));

  const tables = read("tables.md");
  for (const title of ["Table 2", "Table 3", "Table 4", "Table 5", "Table 6", "Appendix A", "Relations"])
    assert.ok(tables.includes(`### ${title}`), title);
  const page = read("report.html");
  for (const part of ["Figure 1c", "<svg", "Figure 3", "Figure 4", "data:image/png;base64,", "Appendix A"])
    assert.ok(page.includes(part), part);
  // It stands alone: nothing is fetched but what is named by a namespace.
  assert.doesNotMatch(page, /(?:src|href)="(?!data:)/);
  assert.ok(existsSync(join(out, "figures", "speed-f1.svg")));

  // A kill in the middle: one file of captions cut off within a line, another gone.
  const captions = readdirSync(join(out, "captions")).map((name) => join(out, "captions", name));
  const [cut, gone, ...kept] = captions as [string, string, ...string[]];
  const [cutText, goneText] = [readFileSync(cut, "utf8"), readFileSync(gone, "utf8")];
  writeFileSync(cut, cutText.slice(0, cutText.length / 2));
  rmSync(gone);
  const times = kept.map((path) => statSync(path).mtimeMs);
  const before = { readings: JSON.stringify(measured), repairs: JSON.stringify(repairs) };
  const second = await experiments("--preset", "nano");
  assert.equal(second.code, 0, second.error);
  assert.equal(readFileSync(gone, "utf8"), goneText);
  assert.deepEqual(
    kept.map((path) => statSync(path).mtimeMs),
    times,
  );
  assert.doesNotMatch(second.text + second.error, /step 1\//, "nothing is trained again");
  assert.equal(JSON.stringify(results().readings), before.readings);
  assert.equal(JSON.stringify(results().repairs), before.repairs);

  // With weights that are there: nothing is trained, and nothing is needed of what they were made from.
  const weights = (name: string, seed = 1): string => join(out, "models", `${name}-${seed}`, "model");
  const elsewhere = join(folder, "given");
  const using = ["--preset", "nano", "--out", elsewhere, "--base", weights("base"), "--seeds", "1", "--only", "rediff"];
  const given = await experiments(...using, "--weights", `rediff=${weights("rediff")}`, "--readings", "base,rediff");
  assert.equal(given.code, 0, given.error);
  assert.ok(!existsSync(join(elsewhere, "models")));
  const { readings: again } = JSON.parse(readFileSync(join(elsewhere, "results.json"), "utf8")) as Results;
  const ofSeed = (wanted: number, ...names: readonly string[]): Results["readings"] =>
    measured
      .filter(({ name }) => names.includes(name))
      .map((one) => ({
        ...one,
        cells: one.cells.map((cell) => ({ ...cell, runs: cell.runs.filter(({ seed }) => seed === wanted) })),
      }));
  assert.deepEqual(again, ofSeed(1, "base", "rediff"));
  // The same of two seeds.
  const two = ["--preset", "nano", "--out", join(folder, "two"), "--base", weights("base"), "--only", "mask"];
  const both = await experiments(
    ...two,
    "--weights",
    `mask=${weights("mask")},${weights("mask", 2)}`,
    "--readings",
    "mask",
  );
  assert.equal(both.code, 0, both.error);
  const { readings: ofBoth } = JSON.parse(readFileSync(join(folder, "two", "results.json"), "utf8")) as Results;
  assert.deepEqual(
    ofBoth,
    measured.filter(({ name }) => name === "mask"),
  );
  // Another machine takes the second seed, and trains it to the same bits.
  const there = join(folder, "second");
  const share = ["--preset", "nano", "--out", there, "--base", weights("base"), "--only", "mask", "--readings", "mask"];
  const shared = await experiments(...share, "--first-seed", "2", "--seeds", "1");
  assert.equal(shared.code, 0, shared.error);
  const { readings: ofSecond } = JSON.parse(readFileSync(join(there, "results.json"), "utf8")) as Results;
  assert.deepEqual(ofSecond, ofSeed(2, "mask"));
  for (const [spec, pattern] of [
    ["rediff", /is MODEL=FOLDER/],
    ["redif=x", /no model redif; there are base, mask/],
    ["rediff=nowhere", /nowhere has no weights of a training run/],
    [`stage1=${weights("stage2")}`, /was trained for 2 steps; by these sizes stage1 is for 4/],
    [`base=${weights("base")}`, /the base is given by --base/],
    [`stage2=${weights("stage2")}`, /stage2 takes no part/],
    [
      `stage1=${weights("stage1")} --seeds 2`,
      /rediff of seed 2 begins with stage1 of that seed, and --weights stage1=… has 1/,
    ],
    [`rediff=${weights("rediff")} --only complete`, /complete learns from the drafts of rediff/],
    [`stage1=${weights("stage1")}`, /was begun with .*"given".*Give another --out/],
  ] as const) {
    const refused = await experiments(...using, "--weights", ...spec.split(" "));
    assert.match(refused.error, pattern);
    assert.equal(refused.code, 2);
  }

  const other = await experiments("--preset", "nano", "--stage1-steps", "5");
  assert.match(other.error, /was begun with .*Give another --out/);
  assert.equal(other.code, 2);

  // From the results alone.
  for (const name of ["tables.md", "report.html"]) rmSync(join(out, name));
  rmSync(join(out, "captions"), { recursive: true });
  rmSync(join(out, "models"), { recursive: true });
  const report = await experiments("--report-only");
  assert.equal(report.code, 0, report.error);
  assert.equal(read("tables.md"), tables);
});

test("readings of an earlier run stand beside this one's, if it had the same base and sizes", () => {
  const whole = results();
  const path = join(out, "results.json");
  const own: Results = {
    ...whole,
    commit: "now",
    readings: whole.readings.filter(({ name }) => name === "rediff"),
    repairs: whole.repairs.filter(({ reading }) => reading === "rediff"),
  };
  const joined = joinResults(own, [parseJoin(`${path}=base,stage1`)]);
  assert.deepEqual(
    joined.readings,
    whole.readings.filter(({ name }) => ["base", "stage1", "rediff"].includes(name)),
  );
  assert.deepEqual(
    joined.repairs.map(({ reading }) => reading),
    ["stage1", "rediff"],
  );
  assert.deepEqual(joined.joined, [{ commit: whole.commit, readings: ["base", "stage1"] }]);

  // Other speeds and other seeds of a reading that is here, in any order.
  const part = (seeds: readonly number[], speeds: readonly number[]): Results => ({
    ...whole,
    sizes: { ...whole.sizes, speeds },
    repairs: whole.repairs
      .filter(({ reading }) => reading === "rediff")
      .map((repair) => ({ ...repair, runs: repair.runs.filter(({ seed }) => seeds.includes(seed)) })),
    readings: whole.readings
      .filter(({ name }) => name === "rediff")
      .map((reading) => ({
        ...reading,
        cells: reading.cells
          .filter(({ tokensPerStep }) => speeds.includes(tokensPerStep))
          .map((cell) => ({ ...cell, runs: cell.runs.filter(({ seed }) => seeds.includes(seed)) })),
      })),
  });
  const store = (results: Results): string => {
    const file = join(folder, `part${readdirSync(folder).length}.json`);
    writeFileSync(file, JSON.stringify(results));
    return `${file}=rediff`;
  };
  const parts = [part([1], [8]), part([2], [4, 8])].map(store).map(parseJoin);
  const together = joinResults(part([1], [4]), parts);
  assert.deepEqual(together.readings, part([1, 2], [4, 8]).readings);
  assert.deepEqual(together.sizes.speeds, [4, 8]);
  assert.deepEqual(
    together.repairs.map(({ reading, runs }) => [reading, runs.map(({ seed }) => seed)]),
    [["rediff", [1, 2]]],
  );
  assert.throws(() => joinResults(part([1], [4]), [parts[1]!]), {
    message: /rediff has other seeds at other speeds: 1, 2; 2/,
  });
  // Speeds that another reading lacks are left out.
  assert.deepEqual(joinResults(part([1], [4]), [parts[0]!, parseJoin(`${path}=base`)]).sizes.speeds, [4, 8]);
  assert.deepEqual(joinResults(part([1, 2], [8]), [parseJoin(`${path}=base`)]).sizes.speeds, [8]);

  for (const [results, spec, pattern] of [
    [own, `${path}=rediff`, /rediff with seed 1 at 4 tokens a step was measured twice/],
    [{ ...own, base: "another" }, `${path}=base`, /it has another base/],
    [{ ...own, sizes: { ...own.sizes, flags: 9 } }, `${path}=base`, /it has another flags/],
    [own, `${path}=gone`, /has no gone; it has base, /],
    [part([1, 2], [4]), store(part([1, 2], [8])).replace("=rediff", "=base"), /has no base; it has rediff/],
    [
      { ...own, sizes: { ...own.sizes, speeds: [3] } },
      `${path}=base`,
      /rediff is not there at 3 tokens a step; it is at 4, 8/,
    ],
  ] as const)
    assert.throws(() => joinResults(results, [parseJoin(spec)]), { message: pattern });
  assert.throws(() => parseJoin("results.json"), { message: /--with is FILE=READINGS/ });
});

test("bad options are refused in a line", async () => {
  for (const [args, pattern] of [
    [["--only", "stage9"], /There is no model stage9; there are base, mask/],
    [["--only", "base", "--readings", "rediff"], /there is no rediff among the models.*base, base-refine/],
    [["--flags", "many"], /--flags must be a whole number/],
    [["--real", "some"], /--real must be one of all, train/],
    [["--report-only", "--out", join(folder, "nothing")], /There are no results in .*Run `npm run experiments` first/],
    [["--preset"], /--preset/],
  ] as const) {
    const { code, error } = await experiments(...args);
    assert.match(error, pattern);
    assert.doesNotMatch(error, /\n {4}at /, "no stack");
    assert.equal(code, 2);
  }
});
