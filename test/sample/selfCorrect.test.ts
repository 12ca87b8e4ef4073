/** Self-correction: ids and forward passes are those of ProSeCo's released sampler (test/goldens/proseco.py), on LLaDA's layout. */
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { after, before, describe, test } from "node:test";
import { fileURLToPath } from "node:url";
import { loadLanguageModelAs } from "../../src/model/checkpoint.ts";
import { disposeRediff, type LanguageModel } from "../../src/model/rediff.ts";
import { canvasLogits } from "../../src/model/sequence.ts";
import { type CorrectionRules, selfCorrect } from "../../src/sample/selfCorrect.ts";
import { type Device, noGrad, openDevice, scope, tensor } from "../../src/tensor/index.ts";

interface Run {
  readonly name: string;
  readonly options: {
    readonly gen_length: number;
    readonly block_length: number;
    readonly steps: number;
    readonly apply_corrector_every_n_steps: number;
    readonly max_corrector_steps_per_loop: number;
  };
  readonly prompt: readonly number[];
  readonly ids: readonly number[];
  readonly passes: readonly [predictor: number, corrector: number];
}

const goldens = new URL("../goldens/", import.meta.url);
const golden = JSON.parse(readFileSync(new URL("proseco.json", goldens), "utf8")) as {
  readonly mask: number;
  readonly end: number;
  /** Of the last id of the first run. */
  readonly logits: readonly number[];
  readonly runs: readonly Run[];
};

let device: Device;
let model: LanguageModel;
before(async () => {
  device = await openDevice();
  model = await loadLanguageModelAs(device, fileURLToPath(new URL("published/llada", goldens)), "f32");
});
after(async () => {
  disposeRediff(model);
  await device.close();
});

/** Decodes runs of equal options as one batch. */
function decode(runs: readonly Run[], rules: CorrectionRules = {}) {
  const { gen_length: canvas, block_length: block, ...options } = runs[0]!.options;
  const { steps, apply_corrector_every_n_steps: every, max_corrector_steps_per_loop: passes } = options;
  return selfCorrect({ steps, every, passes, ...rules })(
    model,
    { images: [], prompts: runs.map(({ prompt }) => prompt), maskId: golden.mask, fillId: golden.end, banned: [] },
    { tokensPerStep: 1, canvas, block },
  );
}

test("the language model that ProSeCo's sampler ran on has the same logits", () =>
  noGrad(device, () =>
    scope(device, async () => {
      const { prompt, ids } = golden.runs[0]!;
      const canvas = tensor(device, ids, [1, ids.length], "u32");
      const logits = (await canvasLogits(model, [], [prompt], canvas).read()) as Float32Array;
      const size = Math.max(...golden.logits.map(Math.abs));
      golden.logits.forEach((want, v) => {
        const got = logits[logits.length - golden.logits.length + v]!;
        assert.ok(Math.abs(got - want) <= 1e-5 * size, `logit ${v}: ${got}, PyTorch ${want}`);
      });
    }),
  ));

describe("token for token", () => {
  for (const run of golden.runs)
    test(run.name, async () => {
      const { canvas, steps } = await decode([run]);
      assert.deepEqual([...canvas], run.ids);
      assert.equal(steps, run.passes[0] + run.passes[1]);
    });

  test("rows of a batch are each by itself", async () => {
    const [first] = golden.runs as [Run];
    const other = { ...first, prompt: first.prompt.toReversed() };
    const T = first.ids.length;
    const [alone, both] = [await decode([other]), await decode([other, first])];
    assert.deepEqual(both.canvas.slice(0, T), alone.canvas);
    assert.deepEqual(both.canvas.slice(T), Uint32Array.from(first.ids));
  });
});

test("an answer ends at its first end of text", async () => {
  const run = golden.runs.find(({ name }) => name.endsWith("ends early"))!;
  const { lengths } = await decode([run]);
  assert.deepEqual(lengths, [run.ids.indexOf(golden.end)]);
});

test("what self-correction does not take", async () => {
  const [run] = golden.runs as [Run];
  await assert.rejects(decode([run], { every: 0 }), /every must be a whole number of at least 1; it is 0/);
  await assert.rejects(decode([run], { passes: 1.5 }), /passes must be a whole number/);
  await assert.rejects(decode([run], { steps: 7.5 }), /steps must be a whole number/);
});
