/** `rediff tune` as a user calls it, with a cache folder of its own. */
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { after, before, test } from "node:test";
import { fileURLToPath } from "node:url";
import { openDevice } from "../src/tensor/index.ts";
import { adapterKey, type TuningFile, tuningPath } from "../src/tensor/tuningCache.ts";

const root = fileURLToPath(new URL("../", import.meta.url));
let folder: string;

/** The command, in a process whose cache folder is `folder`. */
function tune(...args: string[]): { status: number | null; stdout: string; stderr: string } {
  const env = { ...process.env, XDG_CACHE_HOME: folder };
  const command = ["--import", "tsx", join(root, "src/cli/main.ts"), "tune", ...args];
  return spawnSync(process.execPath, command, { cwd: root, env, encoding: "utf8" });
}

before(() => void (folder = mkdtempSync(join(tmpdir(), "rediff-tune-"))));
after(() => rmSync(folder, { recursive: true }));

test("an operation without variants is refused", () => {
  const { status, stderr } = tune("--ops", "matmul,softmax");
  assert.equal(status, 2);
  assert.match(stderr, /--ops: softmax has no variants; matmul can be tuned/);
});

test("measures what the table lacks, keeps the rest, and then has nothing to do", async () => {
  const device = await openDevice();
  const { info } = device;
  await device.close();
  const known = { variant: "plain", ms: { plain: 1 } };
  const buckets = ["NN", "NT", "TN"].flatMap((layout) =>
    ["narrow", "small", "medium", "large"].flatMap((size) => [`${layout} ${size}`, `${layout} ${size} ragged`]),
  );
  const lacking = "NN small";
  const others = Object.fromEntries(buckets.filter((bucket) => bucket !== lacking).map((bucket) => [bucket, known]));
  const before: TuningFile = { version: 1, adapter: adapterKey(info), ops: { matmul: others } };
  const path = tuningPath(info)!.replace(/^.*(?=[/\\]rediff[/\\]tuning)/, folder);
  mkdirSync(dirname(path), { recursive: true });
  writeFileSync(path, JSON.stringify(before));

  const { status, stdout, stderr } = tune();
  assert.equal(status, 0, stderr);
  assert.match(stdout, /1 of 24 buckets to measure/);
  const { [lacking]: measured, ...rest } = (JSON.parse(readFileSync(path, "utf8")) as TuningFile).ops["matmul"]!;
  assert.deepEqual(rest, others);
  assert.ok(measured, "the bucket was not measured");
  const { variant, ms } = measured;
  assert.ok(Object.values(ms).every((time) => time > 0) && Object.keys(ms).length > 1);
  // The shipped variant may win by the margin; anything else must be the fastest.
  assert.ok(ms[variant]! <= 1.05 * Math.min(...Object.values(ms)) * (1 + 1e-3), JSON.stringify(measured));

  assert.match(tune().stdout, /0 of 24 buckets to measure/);
});
