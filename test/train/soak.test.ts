/** The short form of scripts/soak.ts: a training run does not grow. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { openDevice } from "../../src/tensor/index.ts";
import { growth, soak, type SoakReport } from "../support/soak.ts";

const bounds = { rssPerStep: 1024, heapPerStep: 128, slowdown: 1.3 };

test("120 steps: live bytes, held bytes and bind groups stay as they are", async () => {
  const device = await openDevice();
  const reports = await soak(device, { steps: 120, every: 40, batch: 1 });
  await device.close();
  // Memory of the process and time swing too much in so short a run.
  assert.deepEqual(growth(reports, { rssPerStep: Infinity, heapPerStep: Infinity, slowdown: Infinity }), []);
});

test("growth of each kind is found, and none where there is none", () => {
  const report: SoakReport = {
    step: 0,
    liveBytes: 9,
    heldBytes: 9,
    bindGroups: 9,
    rssBytes: 1e8,
    heapBytes: 1e7,
    ms: 5,
    cpuMs: 5,
  };
  const run = (change: (i: number) => Partial<SoakReport>): string[] =>
    growth(
      Array.from({ length: 5 }, (_, i) => ({ ...report, step: 1000 * (i + 1), ...change(i) })),
      bounds,
    );
  assert.deepEqual(
    run((i) => ({ cpuMs: i === 0 ? 50 : 5 + (i % 2), ms: i, rssBytes: 1e8 + 1000 * i, heapBytes: 1e7 + 100 * i })),
    [],
  );
  const swings = [0, 1.3, 1, 0, 2]; // The last is higher than the first, and yet nothing grows.
  assert.deepEqual(
    run((i) => ({ rssBytes: 1e8 + 1e7 * swings[i]! })),
    [],
  );
  assert.match(run((i) => ({ liveBytes: 9 + i })).join(), /liveBytes: 9, 10, 11/);
  assert.match(run((i) => ({ heldBytes: i === 3 ? 8 : 9 })).join(), /heldBytes/);
  assert.match(run((i) => ({ bindGroups: i })).join(), /bindGroups/);
  assert.match(run((i) => ({ rssBytes: 1e8 + 2e6 * i })).join(), /process grew by 4000000 bytes in 2000 steps/);
  assert.match(run((i) => ({ heapBytes: 1e7 + 1e6 * i })).join(), /JavaScript grew by 2000000 bytes in 2000 steps/);
  assert.match(run((i) => ({ cpuMs: 5 + i })).join(), /6\.0 ms of the cores at first and 8\.0 at last/);
  assert.match(growth([report, report], bounds).join(), /at least three stretches/);
});
