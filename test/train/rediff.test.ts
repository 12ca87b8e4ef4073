/** Both stages of ReDiff in the nano size, and the whole pipeline as its user runs it. */
import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { existsSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { promisify } from "node:util";
import { captionPrompt } from "../../src/model/prompt.ts";
import { loadTokenizer } from "../../src/model/tokenizer.ts";
import { preset } from "../../src/model/config.ts";
import { disposeState } from "../../src/model/checkpoint.ts";
import { createRediff, disposeRediff } from "../../src/model/rediff.ts";
import { backward, type Device, noGrad, openDevice, scope, sum } from "../../src/tensor/index.ts";
import { answerLosses, lossTerms } from "../../src/train/answerLoss.ts";
import { drawBatch } from "../../src/train/batch.ts";
import { categoryIds, tokenCategories } from "../../src/train/corruption.ts";
import {
  createStage1Trainer,
  defaultStage1Options,
  revisionLesson,
  type Stage1Options,
} from "../../src/train/stage1.ts";
import type { StepReport } from "../../src/train/trainer.ts";
import { createStage2Trainer, defaultStage2Options, reviseDrafts } from "../../src/train/stage2.ts";

const tokenizer = loadTokenizer(readFileSync(new URL("../../data/tokenizer/tokenizer.json", import.meta.url), "utf8"));
const options: Stage1Options = {
  ...defaultStage1Options,
  preset: "nano",
  steps: 60,
  batch: 4,
  warmup: 5,
  canvas: 24,
  shares: [1, 0, 0],
  hallucinations: 1,
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

const drawn = () =>
  drawBatch(0, { ...options, batch: 8, imageSize: 16 }, revisionLesson(options, tokenizer), tokenizer);
const batch = await drawn();

describe("stage I", () => {
  test("a batch has all four kinds of positions, and a function of (seed, step)", async () => {
    for (const name of ["mask", "syntax", "hallucination", "clean"] as const)
      assert.ok(batch.category.includes(categoryIds[name]), name);
    assert.deepEqual(await drawn(), batch);
  });

  test("the terms of the loss are f64's, and sum to it", async () => {
    const model = createRediff(device, preset("nano"), 1);
    const [terms, total, losses] = await scope(device, () =>
      noGrad(device, async () => {
        const of = answerLosses(model, { ...batch }, captionPrompt(tokenizer));
        return [await lossTerms(of, batch).read(), await sum(of).item(), await of.read()] as const;
      }),
    );
    const want = new Float64Array(tokenCategories.length);
    batch.category.forEach((id, i) => (want[id]! += losses[i]!));
    terms.forEach((term, i) => assert.ok(Math.abs(term - want[i]!) <= 1e-5 * want[i]!, `${tokenCategories[i]}`));
    assert.ok(Math.abs(Array.from(terms).reduce((a, b) => a + b, 0) - total) <= 1e-5 * total);
    disposeRediff(model);
  });

  test("a position of weight 0 has no gradient: those of one term vanish elsewhere", async () => {
    const model = createRediff(device, preset("nano"), 1);
    const head = model.parameters.get("lm_head.weight")!;
    const gradientOf = async (name: "mask" | "syntax"): Promise<Float32Array> =>
      scope(device, async () => {
        const weights = batch.weights.map((weight, i) => (batch.category[i] === categoryIds[name] ? weight : 0));
        // Another target where the weight is 0 must not matter.
        const answer = batch.answer.map((id, i) => (weights[i] ? id : (id + 1) % 1000));
        const reads: Float32Array[] = [];
        for (const targets of [batch.answer, answer]) {
          backward(sum(answerLosses(model, { ...batch, weights, answer: targets }, captionPrompt(tokenizer))));
          reads.push((await head.grad!.read()) as Float32Array);
          for (const parameter of model.parameters.values()) {
            parameter.grad?.dispose();
            parameter.grad = undefined;
          }
        }
        assert.deepEqual(reads[0], reads[1], name);
        assert.ok(reads[0]!.some((value) => value !== 0));
        return reads[0]!;
      });
    assert.notDeepEqual(await gradientOf("mask"), await gradientOf("syntax"));
    disposeRediff(model);
  });

  test("falls, logs its terms, and goes on to the bit", async () => {
    const whole = createStage1Trainer(device, options, tokenizer);
    const reports: StepReport[] = [];
    for (let i = 0; i < 40; i++) reports.push(await whole.step());
    const mean = (from: number) => reports.slice(from, from + 8).reduce((total, { loss }) => total + loss, 0) / 8;
    assert.ok(mean(32) < 0.8 * mean(0), `${mean(0)} to ${mean(32)}`);
    const { terms, loss } = reports[7]!;
    assert.deepEqual(Object.keys(terms!), [...tokenCategories]);
    assert.ok(Math.abs(Object.values(terms!).reduce((a, b) => a + b, 0) - loss) <= 1e-6 * loss);

    const begun = createStage1Trainer(device, options, tokenizer);
    for (let i = 0; i < 5; i++) await begun.step();
    await begun.save(join(folder, "stage1.safetensors"));
    const resumed = createStage1Trainer(device, options, tokenizer, join(folder, "stage1.safetensors"));
    assert.deepEqual(await resumed.step(), reports[5]);
    for (const { state } of [whole, begun, resumed]) disposeState(state);
  });
});

describe("stage II", () => {
  const drafts = reviseDrafts(
    [0, 1, 2].map((index) => {
      const ids = [...tokenizer.encode("a plain red red field."), 1022];
      return {
        seed: 9,
        index,
        ids: [...ids, ...Array<number>(24 - ids.length).fill(1018)],
        segments: index === 2 ? [] : [{ start: 8, end: 11, right: "green" }],
      };
    }),
    "fixed",
    tokenizer,
  );

  test("learns only from drafts with corrections", () => {
    assert.deepEqual([drafts.rows.length, drafts.unchanged, drafts.dropped], [2, 1, 0]);
  });

  test("its mistakes alone have a loss when nothing of Stage I is mixed in, and it falls", async () => {
    const alone = { ...defaultStage2Options, ...options, hallucinations: 0.5, mix: 0, peak: 3e-3 };
    const trainer = createStage2Trainer(device, alone, drafts, tokenizer);
    const losses = [];
    for (let i = 0; i < 30; i++) {
      const { terms, loss } = await trainer.step();
      assert.ok(terms!["mistake"] === loss && loss > 0);
      losses.push(loss);
    }
    assert.ok(losses.at(-1)! < 0.5 * losses[0]!, `${losses[0]} to ${losses.at(-1)}`);
    disposeState(trainer.state);
  });

  test("mixed, both kinds of rows have theirs; nothing to learn is refused", async () => {
    const mixed = { ...defaultStage2Options, ...options, mix: 0.5 };
    const trainer = createStage2Trainer(device, mixed, drafts, tokenizer);
    const { terms } = await trainer.step();
    assert.ok(terms!["mistake"]! > 0 && terms!["mask"]! > 0 && terms!["clean"]! > 0);
    disposeState(trainer.state);
    const none = { rows: [], unchanged: 3, dropped: 0 };
    assert.throws(() => createStage2Trainer(device, mixed, none, tokenizer), { message: /no draft with a correction/ });
  });
});

test(
  "rediff train rediff: from nothing through two rounds; called again, nothing is left to do",
  { timeout: 300_000 },
  async () => {
    const out = join(folder, "whole");
    const args = [
      "--preset",
      "nano",
      "--batch",
      "4",
      "--vision-steps",
      "4",
      "--base-steps",
      "6",
      "--stage1-steps",
      "4",
    ];
    const rest = ["--stage2-steps", "3", "--drafts", "4", "--rounds", "2", "--out", out];
    const rediff = () =>
      promisify(execFile)(
        process.execPath,
        ["--import", "tsx", "src/cli/main.ts", "train", "rediff", ...args, ...rest],
        {
          cwd: new URL("../..", import.meta.url),
        },
      );
    const { stdout } = await rediff();
    assert.match(stdout, /12 drafts revised/);
    assert.match(stdout, /ReDiff is in .*round2\/model\.\n$/);
    for (const part of ["vision", "base", "stage1", "round1", "round2"])
      assert.ok(existsSync(join(out, part, "model", "model.safetensors")), part);
    const weights = readFileSync(join(out, "round2/model/model.safetensors"));
    const again = await rediff();
    assert.match(again.stdout, /0 drafts written/);
    assert.deepEqual(readFileSync(join(out, "round2/model/model.safetensors")), weights);
  },
);
