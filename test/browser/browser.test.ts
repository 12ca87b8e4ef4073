/** The same kernels in a browser. Needs Chromium or Chrome; without one the test is skipped and says so. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import { filesBelow } from "../../scripts/imports.ts";
import { findChromium, runInBrowser } from "./harness.ts";

const browser = findChromium();
const skip = browser ? false : "no Chromium on this machine: apt-get install chromium, or name one in CHROMIUM";

test("a page computes on WebGPU", { skip }, async () => {
  const result = await runInBrowser(fileURLToPath(new URL("page.ts", import.meta.url)), browser!);
  const { adapter, squares, kernels } = result as { adapter: string; squares: number[]; kernels: string[] };
  assert.ok(adapter.length > 1);
  assert.deepEqual(squares, [1, 4, 9]);
  assert.equal(kernels.length, filesBelow(["kernels"], ".wgsl").length);
});
