/** Mask-prediction training: the forward process, the loss, resume to the bit, and no leak. */
import assert from "node:assert/strict";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import fc from "fast-check";
import { disposeState, loadModel, saveModel } from "../../src/model/checkpoint.ts";
import { preset } from "../../src/model/config.ts";
import { createRediff, disposeRediff } from "../../src/model/rediff.ts";
import { CheckpointError, parseSafetensors } from "../../src/model/safetensors.ts";
import { captionPrompt } from "../../src/model/prompt.ts";
import { loadTokenizer } from "../../src/model/tokenizer.ts";
import { type Device, openDevice, randomStream, scope } from "../../src/tensor/index.ts";
import { createTrainer, defaultTrainOptions, phaseAt, type TrainOptions } from "../../src/train/base.ts";
import { drawBatch } from "../../src/train/batch.ts";
import { answerLoss } from "../../src/train/answerLoss.ts";
import { maskTokens } from "../../src/train/corruption.ts";
import { noiseLevels } from "../../src/train/noise.ts";
import { maskLosses } from "../../src/train/revisionLoss.ts";
import { learningRate } from "../../src/train/schedule.ts";

const tokenizer = loadTokenizer(readFileSync(new URL("../../data/tokenizer/tokenizer.json", import.meta.url), "utf8"));
const options: TrainOptions = {
  ...defaultTrainOptions,
  preset: "nano",
  batch: 4,
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

describe("forward process", () => {
  test("levels are spread evenly over a batch, each in [ε, 1]", () => {
    fc.assert(
      fc.property(fc.integer({ min: 0, max: 1e6 }), fc.integer({ min: 1, max: 64 }), (seed, B) => {
        const levels = noiseLevels(randomStream(seed), B).sort((a, b) => a - b);
        assert.ok(levels[0]! >= 1e-3 && levels.at(-1)! <= 1);
        for (let i = 1; i < B; i++) assert.ok(Math.abs(levels[i]! - levels[i - 1]! - 0.999 / B) < 1e-9);
      }),
      { seed: 42 },
    );
  });

  test("high noise has density 2t: a quarter of the levels lies below one half", () => {
    const levels = noiseLevels(randomStream(1), 4000, "high");
    for (const t of [0.25, 0.5, 0.9])
      assert.ok(Math.abs(levels.filter((level) => level < t).length / 4000 - t * t) < 2e-3, `below ${t}`);
    assert.ok(Math.min(...levels) >= 1e-3 && Math.max(...levels) <= 1);
  });

  test("learning rate: warm-up, peak, cool-down, floor", () => {
    const at = (step: number) => learningRate(step, { peak: 2, warmup: 10, steps: 100, cooldown: 0.2, floor: 0.1 });
    assert.deepEqual([at(0), at(9), at(10), at(80), at(90), at(99), at(500)], [0.2, 2, 2, 2, 1, 0.2, 0.2]);
  });
});

describe("batches", () => {
  const draw = (step: number, maxWeight = Infinity) =>
    drawBatch(
      step,
      { ...phaseAt(0, options), seed: 9, batch: 4, imageSize: 16 },
      { corrupt: () => maskTokens, losses: maskLosses(maxWeight) },
      tokenizer,
    );

  test("are a function of (seed, step)", async () => {
    assert.deepEqual(await draw(5), await draw(5));
    assert.notDeepEqual((await draw(5)).answer, (await draw(6)).answer);
  });

  test("the weights of eq. 2: of a row they sum to masked/(p·L), so to 1 on average; a bound only lowers them", async () => {
    let sum = 0;
    for (let step = 0; step < 200; step++) sum += (await draw(step)).weights.reduce((a, b) => a + b, 0);
    assert.ok(Math.abs(sum / 200 - 1) < 0.1, `mean total weight ${sum / 200}`);
    const free = await draw(3);
    free.weights.forEach((weight, i) => assert.equal(weight > 0, free.canvas[i] === 1019, `position ${i}`));
    const bounded = await draw(3, 1.5);
    bounded.weights.forEach((weight, i) => assert.ok(weight <= free.weights[i]! && weight <= 1.5 / (24 * 4) + 1e-9));
  });

  test("an answer is caption, end of turn, end of text", async () => {
    const { answer } = await draw(1);
    const ids = [...answer.subarray(0, 24)];
    const end = ids.indexOf(tokenizer.idOf("<|eot_id|>"));
    assert.ok(end > 0);
    assert.match(tokenizer.decode(ids.slice(0, end)), /\.$/);
    assert.ok(ids.slice(end + 1).every((id) => id === tokenizer.idOf("<|endoftext|>")));
  });
});

describe("loss", () => {
  test("an untrained model is near uniform, a batch without masks costs 0 and not NaN, order in the batch does not matter", async () => {
    const model = createRediff(device, preset("nano"), 1);
    const batch = await drawBatch(
      0,
      { ...phaseAt(0, options), seed: 2, batch: 4, imageSize: 16 },
      { corrupt: () => maskTokens, losses: maskLosses(Infinity) },
      tokenizer,
    );
    const prompt = captionPrompt(tokenizer);
    const loss = (given: typeof batch) => scope(device, () => answerLoss(model, given, prompt).item());
    const full = {
      ...batch,
      canvas: batch.answer.map(() => 1019),
      weights: batch.weights.map(() => 1 / batch.weights.length),
    };
    assert.ok(Math.abs((await loss(full)) - Math.log(1024)) < 1, "about log V");
    assert.equal(await loss({ ...batch, weights: batch.weights.map(() => 0) }), 0);
    const { B, T } = batch;
    const turn = <A extends Uint32Array | Float32Array>(values: A, width: number): A => {
      const turned = values.slice() as A;
      for (let i = 0; i < B; i++) turned.set(values.subarray(i * width, (i + 1) * width), ((i + 1) % B) * width);
      return turned;
    };
    const turned = {
      ...batch,
      pixels: turn(batch.pixels, 3 * 16 * 16),
      answer: turn(batch.answer, T),
      canvas: turn(batch.canvas, T),
      weights: turn(batch.weights, T),
    };
    const [a, b] = [await loss(batch), await loss(turned)];
    assert.ok(Math.abs(a - b) < 1e-5 * a, `${a} and ${b}`);
    disposeRediff(model);
  });

  test("falls", async () => {
    const trainer = createTrainer(device, { ...options, peak: 5e-3 }, tokenizer);
    const losses: number[] = [];
    for (let i = 0; i < 80; i++) losses.push((await trainer.step()).loss);
    const mean = (from: number, to: number) => losses.slice(from, to).reduce((a, b) => a + b, 0) / (to - from);
    assert.ok(mean(60, 80) < 0.7 * mean(0, 10), `${mean(0, 10)} to ${mean(60, 80)}`);
    disposeState(trainer.state);
  });
});

describe("long runs", () => {
  test("resume is exact to the bit: weights, moments, losses", async () => {
    const path = join(folder, "state.safetensors");
    const straight = createTrainer(device, options, tokenizer);
    for (let i = 0; i < 3; i++) await straight.step();
    await straight.save(path);
    const resumed = createTrainer(device, options, tokenizer, path);
    assert.equal(resumed.state.step, 3);
    for (let i = 0; i < 3; i++) assert.deepEqual(await resumed.step(), await straight.step());
    for (const trainer of [straight, resumed]) await trainer.save(trainer === straight ? path : `${path}.2`);
    assert.deepEqual(readFileSync(path), readFileSync(`${path}.2`));
    assert.throws(
      () => createTrainer(device, { ...options, seed: 2 }, tokenizer, path),
      /was begun with other options/,
    );
    disposeState(straight.state);
    disposeState(resumed.state);
  });

  test("live bytes after step 3 and step 300 are equal, and bind groups are reused", async () => {
    const trainer = createTrainer(device, { ...options, batch: 1 }, tokenizer);
    for (let i = 0; i < 3; i++) await trainer.step();
    const early = device.memory();
    const groups = device.recorder.counters.bindGroups;
    for (let i = 0; i < 297; i++) await trainer.step();
    const late = device.memory();
    assert.equal(late.liveBytes, early.liveBytes);
    assert.equal(late.pooledBytes, early.pooledBytes);
    assert.equal(device.recorder.counters.bindGroups, groups);
    disposeState(trainer.state);
  });

  test("a saved model loads with f16 values, and a wrong file says all that is wrong", async () => {
    const model = createRediff(device, preset("nano"), 4);
    const out = join(folder, "model");
    await saveModel(model, out);
    const loaded = loadModel(device, out);
    for (const [name, parameter] of model.parameters) {
      const [want, got] = [await parameter.read(), await loaded.parameters.get(name)!.read()];
      want.forEach((value, i) => assert.ok(Math.abs(got[i]! - value) <= 2 ** -11 * Math.abs(value) + 2 ** -25, name));
    }
    disposeRediff(model);
    disposeRediff(loaded);
    const bytes = readFileSync(join(out, "model.safetensors"));
    assert.equal(parseSafetensors(bytes, "x").tensors.size, model.parameters.size);
    const config = JSON.parse(readFileSync(join(out, "config.json"), "utf8")) as {
      text: { width: number; layers: number };
    };
    config.text.layers = 3;
    config.text.width = 48;
    writeFileSync(join(out, "config.json"), JSON.stringify(config));
    assert.throws(
      () => loadModel(device, out),
      (error: unknown) => {
        assert.ok(error instanceof CheckpointError);
        assert.match(
          error.message,
          /Missing \(9\): model\.layers\.2\..*Of another shape \(\d+\): .*is \(32, 16\), not \(48, 16\)/s,
        );
        return true;
      },
    );
    config.text.layers = -1;
    writeFileSync(join(out, "config.json"), JSON.stringify(config));
    assert.throws(() => loadModel(device, out), /text\.layers must be positive/);
    writeFileSync(join(out, "model.safetensors"), bytes.subarray(0, 5000));
    writeFileSync(join(out, "config.json"), "{");
    assert.throws(() => loadModel(device, out), /is not JSON/);
    assert.throws(() => loadModel(device, join(folder, "nowhere")), /cannot be read/);
  });
});
