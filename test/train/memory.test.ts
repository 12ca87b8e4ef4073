/** Options that save memory in training change nothing else: accumulation to rounding, recomputation to the bit. */
import assert from "node:assert/strict";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { disposeState } from "../../src/model/checkpoint.ts";
import { loadTokenizer } from "../../src/model/tokenizer.ts";
import { type Device, openDevice } from "../../src/tensor/index.ts";
import { createTrainer, defaultTrainOptions, type TrainOptions } from "../../src/train/base.ts";
import { splitRows } from "../../src/train/splitRows.ts";
import type { StepReport } from "../../src/train/trainer.ts";

const tokenizer = loadTokenizer(readFileSync(new URL("../../data/tokenizer/tokenizer.json", import.meta.url), "utf8"));
const options: TrainOptions = {
  ...defaultTrainOptions,
  preset: "nano",
  batch: 8,
  steps: 400,
  warmup: 10,
  curriculum: [{ until: 1, canvas: 24, shares: [1, 0, 0] }],
};

let device: Device;
let folder: string;
before(async () => {
  device = await openDevice();
  folder = mkdtempSync(join(tmpdir(), "rediff-"));
});
after(async () => {
  await device.close();
  rmSync(folder, { recursive: true });
});

/** Four steps: their reports, the weights after them, and the bytes that the third took at its peak. */
async function fourSteps(
  changes: Partial<TrainOptions>,
): Promise<{ reports: StepReport[]; weights: Float32Array; peak: number }> {
  const trainer = createTrainer(device, { ...options, ...changes }, tokenizer);
  const reports = [await trainer.step(), await trainer.step()];
  device.resetPeak();
  const start = device.memory().liveBytes;
  reports.push(await trainer.step());
  const peak = device.memory().peakBytes - start;
  assert.equal(device.memory().liveBytes, start, "a step leaves nothing behind");
  reports.push(await trainer.step());
  const weights = (await trainer.state.model.parameters.get("lm_head.weight")!.read()) as Float32Array;
  disposeState(trainer.state);
  return { reports, weights, peak };
}

describe("recompute", () => {
  test("losses, gradient norms and weights are the same to the bit, and a step's peak is lower", async () => {
    const [plain, again] = [await fourSteps({}), await fourSteps({ recompute: true })];
    assert.deepEqual(again.reports, plain.reports);
    assert.deepEqual(again.weights, plain.weights);
    assert.ok(again.peak < 0.8 * plain.peak, `${again.peak} of ${plain.peak} bytes`);
  });

  test("may be switched on in a run that goes on", async () => {
    const path = join(folder, "state.safetensors");
    const straight = createTrainer(device, options, tokenizer);
    await straight.step();
    await straight.save(path);
    const resumed = createTrainer(device, { ...options, recompute: true }, tokenizer, path);
    assert.deepEqual(await resumed.step(), await straight.step());
    for (const { state } of [straight, resumed]) disposeState(state);
  });
});

describe("accumulate", () => {
  test("losses, gradient norms and weights agree to rounding, and a step's peak is lower", async () => {
    const [whole, parts] = [await fourSteps({}), await fourSteps({ accumulate: 4 })];
    const close = (a: number, b: number, what: string) =>
      assert.ok(Math.abs(a - b) <= 1e-5 * (1 + Math.abs(b)), `${what}: ${a} and ${b}`);
    parts.reports.forEach((report, i) => {
      close(report.loss, whole.reports[i]!.loss, `loss of step ${i}`);
      close(report.gradientNorm, whole.reports[i]!.gradientNorm, `norm of step ${i}`);
    });
    // AdamW divides by the gradient's own size, so a rounding of a tiny gradient can move a weight by a part of the rate.
    const furthest = parts.weights.reduce((max, value, i) => Math.max(max, Math.abs(value - whole.weights[i]!)), 0);
    assert.ok(furthest < 1e-4, `weights differ by ${furthest}`);
    assert.ok(parts.peak < 0.6 * whole.peak, `${parts.peak} of ${whole.peak} bytes`);
  });

  test("resume is exact to the bit, and must be asked for with the same parts", async () => {
    const path = join(folder, "accumulated.safetensors");
    const given = { ...options, accumulate: 2 };
    const straight = createTrainer(device, given, tokenizer);
    await straight.step();
    await straight.save(path);
    const resumed = createTrainer(device, given, tokenizer, path);
    assert.deepEqual(await resumed.step(), await straight.step());
    assert.throws(() => createTrainer(device, options, tokenizer, path), /was begun with other options/);
    for (const { state } of [straight, resumed]) disposeState(state);
  });

  test("parts are rows in order, at any depth, and must divide the batch", async () => {
    const batch = {
      B: 4,
      T: 2,
      ids: Uint32Array.from([0, 1, 2, 3, 4, 5, 6, 7]),
      inner: { weights: Float32Array.from([0, 1, 2, 3]) },
    };
    const [first, second] = splitRows(batch, 2);
    assert.deepEqual(first, {
      B: 2,
      T: 2,
      ids: batch.ids.slice(0, 4),
      inner: { weights: batch.inner.weights.slice(0, 2) },
    });
    assert.deepEqual(second, { B: 2, T: 2, ids: batch.ids.slice(4), inner: { weights: batch.inner.weights.slice(2) } });
    for (const n of [0, 3, 1.5, 8, NaN]) assert.throws(() => splitRows(batch, n), /cannot be accumulated/);
    const trainer = createTrainer(device, { ...options, accumulate: 3 }, tokenizer);
    await assert.rejects(trainer.step(), /A batch of 8 cannot be accumulated from 3 equal parts/);
    disposeState(trainer.state);
  });
});
