/** `rediff revise` as a user calls it. */
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { appendFileSync, existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, describe, test } from "node:test";
import { fileURLToPath } from "node:url";
import { scoreCaption } from "../../src/data/captionParser.ts";
import { captionSeed, writeCaption } from "../../src/data/flagCaption.ts";
import { generateFlag } from "../../src/data/flagGenerator.ts";
import type { Segment } from "../../src/expert/expert.ts";
import { run } from "../../src/cli/revise.ts";
import { isExpected } from "../../src/cli/usage.ts";
import { chatServer } from "./chatServer.ts";

const root = fileURLToPath(new URL("../../", import.meta.url));
const folder = mkdtempSync(join(tmpdir(), "rediff-revise-"));
after(() => rmSync(folder, { recursive: true }));
let files = 0;
const newPath = (): string => join(folder, `${files++}.jsonl`);

interface Ended {
  readonly code: number | null;
  readonly out: string;
  readonly error: string;
}

function revise(args: readonly string[], { key = "", killAfter = "" } = {}): Promise<Ended> {
  return new Promise((resolve) => {
    const { OPENAI_API_KEY: _, ...env } = process.env;
    const child = spawn(process.execPath, ["--import", "tsx", join(root, "src/cli/main.ts"), "revise", ...args], {
      cwd: root,
      env: key ? { ...env, OPENAI_API_KEY: key } : env,
    });
    let [out, error] = ["", ""];
    child.stdout.on("data", (data: Buffer) => (out += data.toString()));
    child.stderr.on("data", (data: Buffer) => (error += data.toString()));
    const watch = setInterval(() => {
      if (killAfter && existsSync(killAfter) && readFileSync(killAfter, "utf8").includes("\n")) child.kill("SIGKILL");
    }, 2);
    child.on("close", (code) => {
      clearInterval(watch);
      resolve({ code, out, error });
    });
  });
}

/** One sentence on standard error, and exit code 2. */
function refused({ code, error }: Ended, pattern: RegExp): void {
  assert.match(error, pattern);
  assert.equal(error.trim().split("\n").length, 1, error);
  assert.equal(code, 2);
}

const record = (index: number, text: string) => ({
  id: `5-${index}-8`,
  seed: 5,
  index,
  tokensPerStep: 8,
  text,
  ids: [7, index],
});
const rightText = (index: number): string => writeCaption(generateFlag(5, index), captionSeed(5, index, 9));

function drafts(records: readonly unknown[]): string {
  const path = newPath();
  writeFileSync(path, records.map((record) => `${JSON.stringify(record)}\n`).join(""));
  return path;
}
interface Line {
  readonly id: string;
  readonly index: number;
  readonly ids: readonly number[];
  readonly text: string;
  readonly segments: readonly Segment[];
  readonly corrected: string;
  readonly rejected: object;
}
const linesOf = (path: string): Line[] =>
  readFileSync(path, "utf8")
    .trimEnd()
    .split("\n")
    .map((line) => JSON.parse(line) as Line);

const broken = (text: string): string => text.split(" ").toReversed().join(" ");

test("facts: revises, keeps the draft's fields, stops and goes on", async () => {
  const path = drafts(Array.from({ length: 120 }, (_, i) => record(i, i % 2 ? rightText(i) : broken(rightText(i)))));
  const out = newPath();
  const killed = await revise([path, "--out", out], { killAfter: out });
  assert.equal(killed.code, null);
  const before = readFileSync(out, "utf8").split("\n").length - 1;
  assert.ok(before >= 1 && before < 120, `${before} lines at the kill`);
  appendFileSync(out, '{"id": "torn');
  const resumed = await revise([path, "--out", out]);
  assert.equal(resumed.code, 0, resumed.error);
  assert.match(resumed.out, new RegExp(`facts revises ${120 - before} drafts .* which has ${before}`));

  const lines = linesOf(out);
  assert.deepEqual(
    lines.map(({ index }) => index),
    [...Array(120).keys()],
  );
  for (const { index, ids, text, segments, corrected, rejected } of lines) {
    assert.deepEqual([ids, rejected], [[7, index], {}]);
    const { grammatical, hallucinated } = scoreCaption(corrected, generateFlag(5, index));
    assert.deepEqual([grammatical, hallucinated], [true, []]);
    if (index % 2) assert.deepEqual([segments, corrected], [[], text]);
    else assert.ok(segments.length > 0);
  }
  assert.match((await revise([path, "--out", out])).out, /0 drafts revised/);
  refused(await revise([path, "--out", out, "--lengths", "equal"]), /was begun by facts with --lengths any/);
  refused(await revise([path, "--out", out, "--omissions", "mend"]), /this is facts with .*--omissions mend/);
  refused(await revise([path, "--expert", "openai", "--omissions", "mend"]), /--omissions belongs to --expert facts/);
});

test("openai: asks the server, counts what it leaves out, and stops at the budget", async () => {
  const text = "a blue field with a star and a star.";
  const answer = JSON.stringify([
    { org: "blue field", target: "very red field" },
    { org: "star", target: "sun" },
    { org: "with", target: "without" },
  ]);
  const server = await chatServer([answer], { tokens: 100 });
  const path = drafts(Array.from({ length: 5 }, (_, i) => record(i, text)));
  const out = newPath();
  const options = [path, "--out", out, "--expert", "openai", "--model", "m", "--base-url", server.baseUrl];
  const more = ["--lengths", "equal", "--concurrency", "1", "--cache", join(folder, "cache")];
  const first = await revise([...options, ...more, "--budget", "250"], { key: "sk-mine" });
  assert.equal(first.code, 0, first.error);
  assert.match(first.out, /3 drafts revised .*: 0 right, 3 corrections .* left out: 3 ambiguous, 3 unequal length\./);
  assert.match(
    first.out,
    /Spent: 3 requests, 300 tokens\.\nThe budget of 250 tokens is spent\. Call it again to go on\./,
  );
  const second = await revise([...options, ...more], { key: "sk-mine" });
  assert.match(second.out, /2 drafts revised[^]*Spent: 2 requests, 200 tokens/);
  await server.close();

  assert.equal(linesOf(out).length, 5);
  const [{ segments, corrected, rejected }] = linesOf(out) as [Line];
  assert.equal(corrected, "a blue field without a star and a star.");
  assert.deepEqual(segments, [{ wrong: "with", right: "without", start: 13, end: 17 }]);
  assert.deepEqual(rejected, { ambiguous: 1, "unequal length": 1 });
  assert.ok(server.seen.every(({ authorization }) => authorization === "Bearer sk-mine"));
  assert.ok(![first, second].some(({ out, error }) => `${out}${error}`.includes("sk-mine")));
  assert.ok(!readFileSync(out, "utf8").includes("sk-mine"));
});

/** What the command line prints as one sentence, with exit code 2. */
const refuses = (args: readonly string[], pattern: RegExp): Promise<void> =>
  assert.rejects(run(args), (error: Error) => {
    assert.ok(isExpected(error), error.stack);
    assert.match(error.message, pattern);
    assert.ok(!error.message.includes("\n"));
    return true;
  });

describe("refuses", () => {
  test("files that are no drafts", async () => {
    await refuses([], /revise takes one file of drafts; 0 were given/);
    await refuses([join(folder, "none.jsonl")], /drafts cannot be read.*no such file/);
    const good = record(0, "x");
    for (const [bad, pattern] of [
      [{ ...good, id: "other", text: 3 }, /line 2 is no draft. text: /],
      [{ id: "other", text: "x" }, /line 2 is no draft. seed: /],
      [{ id: "other", text: "x", image: "a.png" }, /line 2 is no draft. groundTruth: /],
      [["x"], /line 2 is no draft/],
      [good, /line 2 has the id 5-0-8, which an earlier line has/],
    ] as const)
      await refuses([drafts([good, bad])], pattern);
    const path = drafts([good]);
    appendFileSync(path, "not json\n");
    await refuses([path], /line 2 is not JSON/);
  });

  test("options that do not fit", async () => {
    const path = drafts([record(0, "x")]);
    await refuses([path, "--expert", "oracle"], /--expert must be one of facts, openai/);
    await refuses([path, "--model", "m"], /--model belongs to --expert openai/);
    await refuses([path, "--expert", "openai", "--key-name", "REDIFF_NO_SUCH_KEY"], /REDIFF_NO_SUCH_KEY holds no key/);
    await refuses([path, "--expert", "openai", "--base-url", "nowhere"], /A base URL looks like/);
    await refuses(
      [path, "--expert", "openai", "--base-url", "http://127.0.0.1:1", "--budget", "0"],
      /--budget must be a whole number/,
    );
    const ofPicture = drafts([{ id: "p", text: "x", groundTruth: "y", image: "none.png" }]);
    await refuses([ofPicture, "--out", newPath()], /needs the flag behind a draft, but draft p has none/);
  });
});

test("a wrong key: one line, at once", async () => {
  const server = await chatServer([{ status: 401, raw: '{"error": "Incorrect API key provided: sk-wrong"}' }]);
  const args = [drafts([record(0, "x"), record(1, "x")]), "--out", newPath(), "--expert", "openai"];
  refused(
    await revise([...args, "--base-url", server.baseUrl, "--concurrency", "1"], { key: "sk-wrong" }),
    /HTTP 401: .*provided: \[key\].* Check the key/,
  );
  assert.equal(server.seen.length, 1);
  await server.close();
});

test("help", async () => {
  const { code, out } = await revise(["--help"]);
  assert.equal(code, 0);
  assert.match(out, /rediff revise DRAFTS\.jsonl/);
});
