/** How losses, gradients and steps of AdamW are compared with those of the published code (llada.py and wholeModel.py of test/goldens). */
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import type { Rediff } from "../../src/model/rediff.ts";
import { embedSequences, IMAGE, sequenceLogits } from "../../src/model/sequence.ts";
import { createParameters, type Parameters, type ParameterSpec } from "../../src/nn/parameters.ts";
import {
  adamW,
  backward,
  clipScale,
  crossEntropy,
  type Device,
  gradNorm,
  noGrad,
  scope,
  sizeOf,
  sum,
  type Tensor,
  tensor,
  zeroGrad,
  zeros,
} from "../../src/tensor/index.ts";
import { categoryIds, type TokenCategory, UNJUDGED } from "../../src/train/corruption.ts";
import { type Losses, lossWeights } from "../../src/train/revisionLoss.ts";

/** Norm, and projection on random numbers. */
export type Sketch = readonly [number, number];

export interface LossRow {
  readonly shown: readonly number[];
  readonly labels: readonly number[];
  readonly kinds: readonly ("none" | "mask" | "random" | "span" | "phrase" | "clean")[];
  readonly t: number;
  /** What decided about masks and random tokens: uniform numbers of each text position. Of Stage I's. */
  readonly hits?: readonly [masked: readonly number[], random: readonly number[]];
}

/** A noisy batch, and what came of it. */
export interface LossGolden {
  readonly rows: readonly LossRow[];
  readonly loss: number;
  readonly gradients: Readonly<Record<string, Sketch>>;
}

export interface StepsGolden {
  /** Default: 1e-8. */
  readonly epsilon?: number;
  readonly losses: readonly number[];
  /** What each parameter moved by. */
  readonly moved: Readonly<Record<string, Sketch>>;
}

/** test/goldens/wholeModel.json. */
export interface WholeGolden {
  readonly sizes: readonly (readonly [width: number, height: number])[];
  readonly rows: readonly (readonly number[])[];
  readonly images: readonly (readonly [tokens: number, ...sketch: Sketch])[];
  /** Of all places of all rows, and the first of the last place. */
  readonly logits: Sketch;
  readonly row: readonly number[];
  readonly losses: Readonly<Record<"eq2" | "stage1" | "stage2", LossGolden>>;
  readonly adamW: StepsGolden;
}
export const wholeGolden = JSON.parse(
  readFileSync(new URL("../goldens/wholeModel.json", import.meta.url), "utf8"),
) as WholeGolden;

/** Numbers in (-1, 1): the scripts' formula. */
export function lehmer(seed: number, count: number): Float64Array {
  let x = (seed % 2147483646) + 1;
  return Float64Array.from({ length: count }, () => (x = (x * 48271) % 2147483647) / 1073741823.5 - 1);
}

export function sketch(values: ArrayLike<number>): Sketch {
  const direction = lehmer(99, values.length);
  let [squares, along] = [0, 0];
  direction.forEach((value, i) => {
    squares += values[i]! ** 2;
    along += value * values[i]!;
  });
  return [Math.sqrt(squares), along];
}

/** Within 1e-4 of a tensor's norm. */
export function near(values: ArrayLike<number>, [norm, projection]: Sketch, name: string): void {
  const [got, along] = sketch(values);
  assert.ok(Math.abs(got - norm) <= 1e-4 * norm + 1e-8, `${name}: norm ${got}, PyTorch ${norm}`);
  assert.ok(Math.abs(along - projection) <= 1e-4 * norm + 1e-8, `${name}: projection ${along}, PyTorch ${projection}`);
}

/** The scripts' weights: numbers of a formula, seeded by the name. */
export const formulaParameters = (device: Device, specs: readonly ParameterSpec[], width: number): Parameters =>
  createParameters(device, specs, ({ name, shape }) => {
    const codes = Array.from({ length: name.length }, (_, i) => (i + 1) * name.charCodeAt(i));
    const seed = codes.reduce((sum, code) => sum + code, 0) * 7919;
    const values = lehmer(seed, sizeOf(shape));
    const gains: Readonly<Record<string, number>> = {
      "lm_head.weight": 5,
      "model.embed_tokens.weight": Math.sqrt(width),
    };
    const scale = (gains[name] ?? 1.7) / Math.sqrt(sizeOf(shape.slice(1)));
    const centre = Number(name.endsWith("weight"));
    return Float32Array.from(values, (value) => (shape.length === 1 ? centre + 0.2 * value : scale * value));
  });

function categoryOf(kind: LossRow["kinds"][number], drafted: boolean): number {
  const names: Readonly<Record<string, TokenCategory>> = {
    mask: "mask",
    random: "syntax",
    phrase: "hallucination",
    clean: "clean",
  };
  if (kind === "span") return categoryIds.mistake;
  const name = names[kind];
  return name === undefined || drafted ? UNJUDGED : categoryIds[name];
}

/** The loss of a golden's noisy batch, with the weights that our own presets give. `clean` are the ids before the noise. */
export function publishedLoss(
  model: Rediff,
  images: readonly Tensor[],
  clean: readonly (readonly number[])[],
  { rows }: LossGolden,
  losses: Losses,
): Tensor {
  const B = rows.length;
  const noisy = clean.map((row, b) => {
    let next = 0;
    return row.map((id) => (id === IMAGE ? IMAGE : rows[b]!.shown[next++]!));
  });
  // Positions of all text, in the rows' own counting.
  const wanted = clean.map((row) => row.flatMap((id, i) => (id === IMAGE ? [] : [i])));
  const targets = rows.flatMap(({ labels }) => labels.map((label) => Math.max(label, 0)));
  const weights = rows.flatMap(({ kinds, t, shown, labels }) => {
    const drafted = kinds.includes("span");
    const category = Uint32Array.from(kinds, (kind) => categoryOf(kind, drafted));
    const canvas = { shown: Uint32Array.from(shown), target: Uint32Array.from(labels), category };
    return [...lossWeights(canvas, 0.999 * t + 1e-3, losses)].map((weight) => weight / B);
  });
  const logits = sequenceLogits(model, embedSequences(model, images, { rows: noisy, wanted, attendPads: true }));
  const { device } = model;
  const M = targets.length;
  return sum(crossEntropy(logits, tensor(device, targets, [M], "u32"), tensor(device, weights, [M])));
}

/** It adds the same to all scores of a query, so what comes of it, and where AdamW takes it, is rounding, on both sides. */
const isRounding = (name: string): boolean => name.endsWith("k_proj.bias");

/** The loss and the gradients of all parameters, which are cleared. */
export async function checkGradients({ parameters }: Rediff, loss: Tensor, want: LossGolden): Promise<void> {
  backward(loss);
  const got = await loss.item();
  assert.ok(Math.abs(got - want.loss) <= 1e-4 * want.loss, `loss ${got}, PyTorch ${want.loss}`);
  assert.deepEqual([...parameters.keys()].sort(), Object.keys(want.gradients).sort());
  for (const [name, sketched] of Object.entries(want.gradients)) {
    const gradient = await parameters.get(name)!.grad!.read();
    if (!isRounding(name)) near(gradient, sketched, name);
    else {
      const [size] = want.gradients[name.replace("bias", "weight")]!;
      assert.ok(Math.hypot(...gradient) < 1e-5 * size, name);
    }
  }
  zeroGrad([...parameters.values()]);
}

/** Steps of torch.optim.AdamW(lr=1e-3, weight_decay=0.01): every loss, and what each parameter moved by. The model is changed. */
export async function checkSteps(
  { device, parameters }: Rediff,
  lossOf: () => Tensor,
  { epsilon = 1e-8, ...want }: StepsGolden,
): Promise<void> {
  const all = [...parameters.values()];
  const begun = await Promise.all(all.map((parameter) => parameter.read()));
  await scope(device, async () => {
    const states = all.map((parameter) => ({
      parameter,
      m: zeros(device, parameter.shape),
      v: zeros(device, parameter.shape),
    }));
    for (const [index, wanted] of want.losses.entries()) {
      const got = await scope(device, async () => {
        const loss = lossOf();
        backward(loss);
        const scale = clipScale(gradNorm(all.map((parameter) => parameter.grad!)), 1e30);
        noGrad(device, () => {
          for (const state of states)
            adamW(
              { ...state, gradient: state.parameter.grad!, scale },
              { step: index + 1, learningRate: 1e-3, beta1: 0.9, beta2: 0.999, epsilon, weightDecay: 0.01 },
            );
        });
        zeroGrad(all);
        return loss.item();
      });
      assert.ok(Math.abs(got - wanted) <= 1e-4 * wanted, `step ${index}: ${got}, PyTorch ${wanted}`);
    }
    for (const [i, name] of [...parameters.keys()].entries()) {
      const now = (await all[i]!.read()) as Float32Array;
      const moved = now.map((value, j) => value - begun[i]![j]!);
      if (!isRounding(name)) near(moved, want.moved[name]!, name);
    }
  });
}
