/** Pre-training of the vision encoder: the questions' weights, a loss that falls, resume to the bit, and what the base stage takes over. */
import assert from "node:assert/strict";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { patchFacts, pictureFacts } from "../../src/data/visionFacts.ts";
import { disposeState, saveModel } from "../../src/model/checkpoint.ts";
import { preset } from "../../src/model/config.ts";
import { PROJECTOR, VISION } from "../../src/model/parameterSpecs.ts";
import { createRediff, disposeRediff } from "../../src/model/rediff.ts";
import { CheckpointError } from "../../src/model/safetensors.ts";
import { loadTokenizer } from "../../src/model/tokenizer.ts";
import { type Device, openDevice } from "../../src/tensor/index.ts";
import { createTrainer, defaultTrainOptions } from "../../src/train/base.ts";
import {
  createVisionTrainer,
  defaultVisionOptions,
  drawVisionBatch,
  type VisionOptions,
} from "../../src/train/vision.ts";
import { visionAccuracy } from "../../src/train/visionAccuracy.ts";

const options: VisionOptions = {
  ...defaultVisionOptions,
  preset: "nano",
  batch: 16,
  steps: 100,
  warmup: 10,
  peak: 5e-3,
};
const HOLD_OUT = 77;

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

test("weights: a fact's share of a flag is 1 for the picture, 1 for each charge, 1 for the background", () => {
  const B = 8;
  const { patches, picture, masks, charges } = drawVisionBatch(3, 0, B, preset("small"));
  const P = charges.length / B;
  const G = patchFacts.length;
  for (let i = 0; i < B; i++) {
    const shown = new Set(charges.subarray(i * P, (i + 1) * P));
    const share = (fact: string) => {
      const g = patchFacts.indexOf(fact as (typeof patchFacts)[number]);
      let sum = 0;
      for (let at = i * P; at < (i + 1) * P; at++) sum += patches.weights[at * G + g]!;
      return sum * B;
    };
    assert.ok(Math.abs(share("colour") - 1) < 1e-4);
    assert.ok(Math.abs(share("kind") - shown.size) < 1e-4);
    assert.ok(Math.abs(share("charge colour") - (shown.size - Number(shown.has(-1)))) < 1e-4);
    const cells = masks.weights.subarray(i * P * 16, (i + 1) * P * 16).reduce((total, weight) => total + weight, 0);
    assert.ok(Math.abs(cells * B - 4 * (shown.size - Number(shown.has(-1)))) < 1e-3, "4 for the mask of each charge");
    const asked = picture.weights.subarray(i * pictureFacts.length, (i + 1) * pictureFacts.length);
    assert.equal(asked[pictureFacts.indexOf("layout")], 1 / B);
  }
});

describe("training", () => {
  test("loss falls, and facts of unseen flags are known better than before", async () => {
    const trainer = createVisionTrainer(device, options);
    const untrained = await visionAccuracy(trainer.state.model, HOLD_OUT, 64);
    const losses: number[] = [];
    for (let i = 0; i < 80; i++) losses.push((await trainer.step()).loss);
    const mean = (from: number, to: number) => losses.slice(from, to).reduce((a, b) => a + b, 0) / (to - from);
    assert.ok(mean(60, 80) < 0.6 * mean(0, 10), `${mean(0, 10)} to ${mean(60, 80)}`);
    const trained = await visionAccuracy(trainer.state.model, HOLD_OUT, 64);
    for (const fact of ["colour", "layout", "charge colour", "cell"])
      assert.ok(trained[fact]! > untrained[fact]! + 0.1, `${fact}: ${untrained[fact]} to ${trained[fact]}`);
    assert.ok(Object.values(trained).every((share) => share >= 0 && share <= 1));
    disposeState(trainer.state);
  });

  test("resume is exact to the bit", async () => {
    const path = join(folder, "state.safetensors");
    const straight = createVisionTrainer(device, options);
    for (let i = 0; i < 2; i++) await straight.step();
    await straight.save(path);
    const resumed = createVisionTrainer(device, options, path);
    for (let i = 0; i < 2; i++) assert.deepEqual(await resumed.step(), await straight.step());
    await straight.save(path);
    await resumed.save(`${path}.2`);
    assert.deepEqual(readFileSync(path), readFileSync(`${path}.2`));
    for (const { state } of [straight, resumed]) disposeState(state);
  });
});

test("the base stage begins with the pre-trained vision encoder and projector, and says what does not fit", async () => {
  const tokenizer = loadTokenizer(
    readFileSync(new URL("../../data/tokenizer/tokenizer.json", import.meta.url), "utf8"),
  );
  const vision = join(folder, "vision");
  const seen = createVisionTrainer(device, { ...options, seed: 5 });
  await saveModel(seen.state.model, vision, {}, "F32");
  const base = createTrainer(device, { ...defaultTrainOptions, preset: "nano", vision }, tokenizer);
  const fresh = createTrainer(device, { ...defaultTrainOptions, preset: "nano" }, tokenizer);
  const began = new Map<string, ArrayLike<number>>();
  for (const [name, parameter] of base.state.model.parameters) {
    const taken = name.startsWith(VISION) || name.startsWith(PROJECTOR);
    const from = (taken ? seen : fresh).state.model.parameters.get(name)!;
    const values = await parameter.read();
    assert.deepEqual(values, await from.read(), name);
    began.set(name, values);
  }
  const still = { ...defaultTrainOptions, preset: "nano", batch: 2, vision, visionRate: 0 };
  const held = createTrainer(device, still, tokenizer);
  await held.step();
  for (const [name, parameter] of held.state.model.parameters) {
    const same = (await parameter.read()).every((value, i) => value === began.get(name)![i]);
    assert.equal(same, name.startsWith(VISION), `${name} at a rate of 0 for the vision encoder`);
  }
  const whole = join(folder, "whole");
  await saveModel(base.state.model, whole, {}, "F32");
  const again = createTrainer(device, { ...defaultTrainOptions, preset: "nano", seed: 9, init: whole }, tokenizer);
  for (const [name, parameter] of again.state.model.parameters)
    assert.deepEqual(await parameter.read(), await base.state.model.parameters.get(name)!.read(), name);
  const shallow = { ...preset("nano"), text: { ...preset("nano").text, layers: 1 } };
  const other = createRediff(device, shallow, 1);
  await saveModel(other, whole);
  const smaller = createTrainer(device, { ...defaultTrainOptions, preset: "nano", init: whole }, tokenizer);
  assert.deepEqual(smaller.state.model.config, shallow, "sizes are those of the folder");
  assert.throws(
    () => createTrainer(device, { ...defaultTrainOptions, preset: "small", init: whole }, tokenizer),
    /holds a nano model, and the run asks for small/,
  );
  const tiled = createRediff(device, { ...preset("nano"), tiling: { pinpoints: "(1x1),...,(2x2)" } }, 1);
  await saveModel(tiled, whole);
  disposeRediff(tiled);
  assert.throws(
    () => createTrainer(device, { ...defaultTrainOptions, preset: "nano", init: whole }, tokenizer),
    /Training shows square views, and .* cuts pictures into tiles/,
  );
  assert.throws(
    () => createTrainer(device, { ...defaultTrainOptions, preset: "small", vision }, tokenizer),
    (error: unknown) => error instanceof CheckpointError && /Of another shape/.test(error.message),
  );
  assert.throws(
    () => createTrainer(device, { ...defaultTrainOptions, preset: "nano", init: vision }, tokenizer),
    /Missing \(\d+\): model\.embed_tokens/,
  );
  for (const { state } of [seen, base, fresh, held, again, smaller]) disposeState(state);
  disposeRediff(other);
});
