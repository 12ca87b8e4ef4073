/** The text model against LLaDA-V's and ReDiff's own code in PyTorch (test/goldens/llada.py), on a ragged batch with images. */
import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { disposeRediff, type Rediff } from "../../src/model/rediff.ts";
import { embedSequences, IMAGE, sequenceLogits, sequenceStates } from "../../src/model/sequence.ts";
import {
  adamW,
  backward,
  clipScale,
  crossEntropy,
  type Device,
  gradNorm,
  noGrad,
  openDevice,
  scope,
  sum,
  type Tensor,
  tensor,
  zeroGrad,
  zeros,
} from "../../src/tensor/index.ts";
import { categoryIds, type TokenCategory, UNJUDGED } from "../../src/train/corruption.ts";
import { type Losses, lossPresets, lossWeights, maskLosses } from "../../src/train/revisionLoss.ts";
import { golden, imageOf, lladaModel, type Sketch, sketch } from "../support/lladaGolden.ts";

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

/** Within 1e-4 of a tensor's norm. */
function near(values: ArrayLike<number>, [norm, projection]: Sketch, name: string): void {
  const [got, along] = sketch(values);
  assert.ok(Math.abs(got - norm) <= 1e-4 * norm + 1e-8, `${name}: norm ${got}, PyTorch ${norm}`);
  assert.ok(Math.abs(along - projection) <= 1e-4 * norm + 1e-8, `${name}: projection ${along}, PyTorch ${projection}`);
}

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
          const every = { ...sequences, wanted: tensor(device, all, [all.length], "u32") };
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

const categoryOf = (kind: "none" | "mask" | "random" | "span" | "phrase" | "clean", drafted: boolean): number => {
  const names: Readonly<Record<string, TokenCategory>> = {
    mask: "mask",
    random: "syntax",
    phrase: "hallucination",
    clean: "clean",
  };
  if (kind === "span") return categoryIds.mistake;
  const name = names[kind];
  return name === undefined || drafted ? UNJUDGED : categoryIds[name];
};

/** The loss of a golden's noisy rows, with the weights that our own presets give. */
function lossOf(name: keyof typeof golden.losses, losses: Losses): Tensor {
  const { rows } = golden.losses[name];
  const B = rows.length;
  const noisy = golden.rows.map((row, b) => {
    let next = 0;
    return row.map((id) => (id === IMAGE ? IMAGE : rows[b]!.shown[next++]!));
  });
  // Positions of all text, in the rows' own counting.
  const wanted = golden.rows.map((row) => row.flatMap((id, i) => (id === IMAGE ? [] : [i])));
  const targets = rows.flatMap(({ labels }) => labels.map((label) => Math.max(label, 0)));
  const weights = rows.flatMap(({ kinds, t, shown, labels }) => {
    const drafted = kinds.includes("span");
    const category = Uint32Array.from(kinds, (kind) => categoryOf(kind, drafted));
    const canvas = { shown: Uint32Array.from(shown), target: Uint32Array.from(labels), category };
    return [...lossWeights(canvas, 0.999 * t + 1e-3, losses)].map((weight) => weight / B);
  });
  const logits = sequenceLogits(model, embedSequences(model, images(), { rows: noisy, wanted, attendPads: true }));
  const M = targets.length;
  return sum(crossEntropy(logits, tensor(device, targets, [M], "u32"), tensor(device, weights, [M])));
}

describe("losses and gradients", () => {
  for (const [name, title, losses] of [
    ["eq2", "eq. 2", maskLosses(Infinity)],
    ["stage1", "eq. 3 and 4, preset reference", lossPresets.reference],
    ["stage1Phrase", "eq. 3 and 4 with a false phrase, preset reference", lossPresets.reference],
    ["stage2", "eq. 5 in a batch with eq. 3, preset reference", lossPresets.reference],
  ] as const)
    test(title, async () => {
      await scope(device, async () => {
        const want = golden.losses[name];
        const loss = lossOf(name, losses);
        backward(loss);
        assert.ok(Math.abs((await loss.item()) - want.loss) <= 1e-4 * want.loss);
        assert.deepEqual([...model.parameters.keys()].sort(), Object.keys(want.gradients).sort());
        for (const [parameter, sketched] of Object.entries(want.gradients))
          near(await model.parameters.get(parameter)!.grad!.read(), sketched, parameter);
        zeroGrad([...model.parameters.values()]);
      });
    });

  test("twenty steps of AdamW: every loss, and what each parameter moved by", async () => {
    const trained = lladaModel(device);
    const begun = await Promise.all([...trained.parameters.values()].map((parameter) => parameter.read()));
    const original = model;
    model = trained;
    await scope(device, async () => {
      const states = [...trained.parameters.values()].map((parameter) => ({
        parameter,
        m: zeros(device, parameter.shape),
        v: zeros(device, parameter.shape),
      }));
      for (const [index, want] of golden.adamW.losses.entries()) {
        const got = await scope(device, async () => {
          const loss = lossOf("eq2", maskLosses(Infinity));
          backward(loss);
          const scale = clipScale(gradNorm(states.map(({ parameter }) => parameter.grad!)), 1e30);
          noGrad(device, () => {
            for (const state of states)
              adamW(
                { ...state, gradient: state.parameter.grad!, scale },
                { step: index + 1, learningRate: 1e-3, beta1: 0.9, beta2: 0.999, epsilon: 1e-8, weightDecay: 0.01 },
              );
          });
          zeroGrad([...trained.parameters.values()]);
          return loss.item();
        });
        assert.ok(Math.abs(got - want) <= 1e-4 * want, `step ${index}: ${got}, PyTorch ${want}`);
      }
      for (const [i, name] of [...trained.parameters.keys()].entries()) {
        const now = (await states[i]!.parameter.read()) as Float32Array;
        near(
          now.map((value, j) => value - begun[i]![j]!),
          golden.adamW.moved[name]!,
          name,
        );
      }
    });
    model = original;
    disposeRediff(trained);
  });
});
