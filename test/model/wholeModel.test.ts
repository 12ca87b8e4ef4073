/**
 * The whole model against LLaDA-V's and ReDiff's own code in PyTorch (test/goldens/wholeModel.py): pictures of any size, one to three in
 * a row, through tower, projector and packing, spliced into a ragged batch, to the losses and back to every parameter.
 */
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { preset, type RediffConfig } from "../../src/model/config.ts";
import { encodePicture } from "../../src/model/encodePicture.ts";
import { parameterSpecs } from "../../src/model/parameterSpecs.ts";
import { disposeRediff, type Rediff } from "../../src/model/rediff.ts";
import { embedSequences, sequenceLogits } from "../../src/model/sequence.ts";
import { type Device, noGrad, openDevice, scope, type Tensor, tensor } from "../../src/tensor/index.ts";
import { lossPresets, maskLosses } from "../../src/train/revisionLoss.ts";
import { pattern } from "../support/pictures.ts";
import {
  checkGradients,
  checkSteps,
  formulaParameters,
  near,
  publishedLoss,
  wholeGolden as golden,
} from "../support/publishedTraining.ts";

const S = 30;
const config: RediffConfig = {
  name: "whole model golden",
  vision: { imageSize: S, patch: 7, width: 48, layers: 2, heads: 2, mlp: 80, eps: 1e-6 },
  tiling: { pinpoints: [1, 2, 3].flatMap((a) => [1, 2, 3].map((b) => [a * S, b * S] as const)), maxTiles: 4 },
  text: { ...preset("nano").text, vocabulary: 320, width: 64, layers: 2, heads: 4, mlp: 128, ropeBase: 500_000 },
};

let device: Device;
const model = (): Rediff => ({
  device,
  config,
  parameters: formulaParameters(device, parameterSpecs(config), config.text.width),
});
let fresh: Rediff;
before(async () => {
  device = await openDevice();
  fresh = model();
});
after(async () => {
  disposeRediff(fresh);
  await device.close();
});

const images = (of: Rediff): Tensor[] => golden.sizes.map((size) => encodePicture(of, pattern(...size)));
const lossOf = (name: keyof typeof golden.losses, of: Rediff): Tensor =>
  publishedLoss(
    of,
    images(of),
    golden.rows,
    golden.losses[name],
    name === "eq2" ? maskLosses(Infinity) : lossPresets.reference,
  );

test("tokens of each picture, and the logits of a ragged batch with one, two and three pictures", () =>
  scope(device, () =>
    noGrad(device, async () => {
      const own = images(fresh);
      for (const [i, [tokens, ...want]] of golden.images.entries()) {
        assert.deepEqual(own[i]!.shape, [tokens, config.text.width]);
        near(await own[i]!.read(), want, `picture ${i}`);
      }
      const wanted = golden.rows.map(() => [0]);
      const sequences = embedSequences(fresh, own, { rows: golden.rows, wanted, attendPads: true });
      const { lengths, L } = sequences.layout;
      assert.equal(new Set(lengths).size, golden.rows.length, "rows of different length");
      // All places, those of the pictures too.
      const all = [...lengths].flatMap((length, b) => Array.from({ length }, (_, i) => b * L + i));
      const logits = sequenceLogits(fresh, {
        ...sequences,
        wanted: { index: tensor(device, all, [all.length], "u32") },
      });
      const values = (await logits.read()) as Float32Array;
      near(values, golden.logits, "logits");
      const last = values.subarray(values.length - config.text.vocabulary);
      golden.row.forEach((want, v) => assert.ok(Math.abs(last[v]! - want) <= 1e-4 * 4, `logit ${v}`));
    }),
  ));

for (const [name, title] of [
  ["eq2", "eq. 2"],
  ["stage1", "eq. 3 and 4, preset reference, random tokens in every row"],
  ["stage2", "eq. 5 in a batch with eq. 3, preset reference"],
] as const)
  test(`${title}: the loss, and the gradient of every parameter`, () =>
    scope(device, () => checkGradients(fresh, lossOf(name, fresh), golden.losses[name])));

test("run again for backward instead of kept, the views have the same gradients", () => {
  const thrifty = { ...fresh, recompute: true };
  return scope(device, () => checkGradients(thrifty, lossOf("eq2", thrifty), golden.losses.eq2));
});

test("twenty steps of AdamW on all parameters: every loss, and what each parameter moved by", async () => {
  const trained = model();
  await checkSteps(trained, () => lossOf("eq2", trained), golden.adamW);
  disposeRediff(trained);
});
