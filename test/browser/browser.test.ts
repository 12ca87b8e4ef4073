/** The same engine and model in a browser. Needs Chromium or Chrome; without one the test is skipped and says so. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import { openDevice } from "../../src/tensor/index.ts";
import { findChromium, runInBrowser } from "./harness.ts";
import { type NanoPass, nanoPass } from "./nanoPass.ts";

const browser = findChromium();
const skip = browser ? false : "no Chromium on this machine: apt-get install chromium, or name one in CHROMIUM";

test("forward and backward of nano in a page give Node's numbers", { skip }, async () => {
  const device = await openDevice();
  const here = await nanoPass(device);
  await device.close();
  const { adapter, pass } = (await runInBrowser(fileURLToPath(new URL("page.ts", import.meta.url)), browser!)) as {
    adapter: string;
    pass: NanoPass;
  };
  assert.ok(adapter.length > 1);
  // Another adapter sums in another order: f32 rounding over some ten layers.
  assert.ok(
    Math.abs(pass.loss - here.loss) <= 1e-4 * here.loss,
    `loss ${pass.loss} in the browser, ${here.loss} in Node`,
  );
  assert.deepEqual(Object.keys(pass.gradients), Object.keys(here.gradients));
  for (const [name, { size, projection }] of Object.entries(here.gradients)) {
    const there = pass.gradients[name]!;
    assert.ok(
      Math.abs(there.size - size) <= 1e-3 * size + 1e-7,
      `${name}: Σ|g| is ${there.size} in the browser, ${size} in Node`,
    );
    assert.ok(
      Math.abs(there.projection - projection) <= 1e-3 * size + 1e-7,
      `${name}: projection ${there.projection} and ${projection}`,
    );
  }
});
