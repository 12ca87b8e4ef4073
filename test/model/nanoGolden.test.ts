/** Forward and backward of the whole model against PyTorch (test/goldens/nano.py): loss, logits, every parameter's gradient. */
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import { preset } from "../../src/model/config.ts";
import { parameterSpecs } from "../../src/model/parameterSpecs.ts";
import { disposeRediff, encodeImage } from "../../src/model/rediff.ts";
import { canvasLogits, IMAGE } from "../../src/model/sequence.ts";
import { createParameters } from "../../src/nn/parameters.ts";
import { backward, openDevice, scope, sizeOf, tensor } from "../../src/tensor/index.ts";
import { answerLoss } from "../../src/train/answerLoss.ts";

interface Golden {
  readonly loss: number;
  readonly logits: readonly number[];
  /** Norm and projection, by name. */
  readonly gradients: Readonly<Record<string, readonly [number, number]>>;
}

/** The formula of the script: a number in [-1, 1] for each index. */
const wave = (seed: number, count: number): Float64Array =>
  Float64Array.from({ length: count }, (_, i) => Math.sin(1.7 * i + 0.31 * seed + 0.013 * i * seed));

const prompt = [1018, 5, IMAGE, 6, 7, 8];

test("nano agrees with PyTorch to 1e-4", async () => {
  const golden = JSON.parse(readFileSync(new URL("../goldens/nano.json", import.meta.url), "utf8")) as Golden;
  const config = preset("nano");
  const device = await openDevice();
  const parameters = createParameters(device, parameterSpecs(config), ({ name, shape }) => {
    const values = Float32Array.from(wave(name.length, sizeOf(shape)));
    const isGain = shape.length === 1 && name.endsWith("weight");
    const fanIn = sizeOf(shape.slice(1));
    return values.map((value) => (isGain ? 1 + 0.2 * value : value / Math.sqrt(fanIn)));
  });
  assert.deepEqual([...parameters.keys()].sort(), Object.keys(golden.gradients).sort());
  const model = { device, config, parameters };
  const B = 2;
  const T = config.text.canvas;
  const S = config.vision.imageSize;
  const weights = Float32Array.from({ length: B * T }, (_, i) => (i % 3 === 0 ? 0 : (1 + (i % 5)) / 100));
  const answer = Uint32Array.from({ length: B * T }, (_, i) => (7 * i) % 1000);
  const canvas = answer.map((id, i) => (weights[i]! > 0 ? 1019 : id));
  const pixels = Float32Array.from(wave(1, B * 3 * S * S));

  await scope(device, async () => {
    const image = encodeImage(model, tensor(device, pixels, [B, 3, S, S]));
    const logits = canvasLogits(model, [image], [prompt, prompt], tensor(device, canvas, [B, T], "u32"));
    const values = await logits.read();
    golden.logits.forEach((want, v) => assert.ok(Math.abs(values[(T + 5) * 1024 + v]! - want) < 1e-4, `logit ${v}`));

    const loss = answerLoss(model, { B, T, pixels, answer, canvas, weights }, prompt);
    backward(loss);
    assert.ok(Math.abs((await loss.item()) - golden.loss) < 1e-4 * golden.loss);
    for (const [name, [norm, projection]] of Object.entries(golden.gradients)) {
      const gradient = Float64Array.from(await parameters.get(name)!.grad!.read());
      const direction = wave(99, gradient.length);
      const got = Math.hypot(...gradient);
      const along = gradient.reduce((sum, value, i) => sum + value * direction[i]!, 0);
      assert.ok(Math.abs(got - norm) <= 1e-4 * norm + 1e-7, `${name}: norm ${got}, PyTorch ${norm}`);
      assert.ok(Math.abs(along - projection) <= 1e-4 * norm + 1e-7, `${name}: ${along}, PyTorch ${projection}`);
    }
  });
  disposeRediff(model);
  await device.close();
});
