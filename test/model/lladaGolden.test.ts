/** The text model against LLaDA-V's and ReDiff's own code in PyTorch (test/goldens/llada.py), on a ragged batch with images. */
import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { disposeRediff, type Rediff } from "../../src/model/rediff.ts";
import { embedSequences, sequenceLogits, sequenceStates } from "../../src/model/sequence.ts";
import { type Device, noGrad, openDevice, scope, type Tensor, tensor } from "../../src/tensor/index.ts";
import { type Losses, lossPresets, maskLosses } from "../../src/train/revisionLoss.ts";
import { golden, imageOf, lladaModel } from "../support/lladaGolden.ts";
import { checkGradients, checkSteps, near, publishedLoss } from "../support/publishedTraining.ts";

let device: Device;
let model: Rediff;
before(async () => {
  device = await openDevice();
  model = lladaModel(device);
});
after(async () => {
  disposeRediff(model);
  await device.close();
});

const images = (): Tensor[] => [5, 9, 4].map((P, i) => imageOf(device, 1000 + i, P, model.config.text.width));

describe("the forward pass", () => {
  for (const [name, attendPads] of [
    ["attended", true],
    ["masked", false],
  ] as const)
    test(`padding ${name}: the states after every block, and the logits`, async () => {
      await scope(device, () =>
        noGrad(device, async () => {
          const { states, logits, row } = golden.forward[name];
          const sequences = embedSequences(model, images(), {
            rows: golden.rows,
            wanted: golden.rows.map(() => [0]),
            attendPads,
          });
          const { lengths, L } = sequences.layout;
          // All places, those of the images too.
          const all = [...lengths].flatMap((length, b) => Array.from({ length }, (_, i) => b * L + i));
          const every = { ...sequences, wanted: { index: tensor(device, all, [all.length], "u32") } };
          for (const [layers, want] of states.entries()) {
            const cut = { ...model, config: { ...model.config, text: { ...model.config.text, layers } } };
            near(await sequenceStates(cut, every).read(), want, `after ${layers} blocks`);
          }
          const values = (await sequenceLogits(model, every).read()) as Float32Array;
          near(values, logits, "logits");
          const last = values.subarray(values.length - model.config.text.vocabulary);
          row.forEach((want, v) => assert.ok(Math.abs(last[v]! - want) <= 1e-4 * 4, `logit ${v}`));
        }),
      );
    });
});

/** The loss of one of the golden's noisy batches. */
const lossOf = (name: keyof typeof golden.losses, losses: Losses, of = model): Tensor =>
  publishedLoss(of, images(), golden.rows, golden.losses[name], losses);

describe("losses and gradients", () => {
  for (const [name, title, losses] of [
    ["eq2", "eq. 2", maskLosses(Infinity)],
    ["stage1", "eq. 3 and 4, preset reference", lossPresets.reference],
    ["stage1Phrase", "eq. 3 and 4 with a false phrase, preset reference", lossPresets.reference],
    ["stage2", "eq. 5 in a batch with eq. 3, preset reference", lossPresets.reference],
  ] as const)
    test(title, () => scope(device, () => checkGradients(model, lossOf(name, losses), golden.losses[name])));

  test("twenty steps of AdamW: every loss, and what each parameter moved by", async () => {
    const trained = lladaModel(device);
    await checkSteps(trained, () => lossOf("eq2", maskLosses(Infinity), trained), golden.adamW);
    disposeRediff(trained);
  });
});
