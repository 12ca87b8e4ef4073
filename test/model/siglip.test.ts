/** SigLIP as LLaDA-V uses it, against transformers in f64 (test/goldens/siglip.py): states of each layer, tokens, gradients. */
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import { preset, type RediffConfig } from "../../src/model/config.ts";
import { parameterSpecs, PROJECTOR, VISION } from "../../src/model/parameterSpecs.ts";
import { encodeImage } from "../../src/model/rediff.ts";
import { visionEncoder } from "../../src/model/visionEncoder.ts";
import { createParameters, disposeParameters } from "../../src/nn/parameters.ts";
import { backward, mul, openDevice, scope, sizeOf, sum, type Tensor, tensor } from "../../src/tensor/index.ts";

/** Norm, and projection on noise. */
type Digest = readonly [norm: number, projection: number];
interface Golden {
  readonly states: readonly Digest[];
  readonly tokens: Digest;
  readonly some: readonly number[];
  readonly gradients: Readonly<Record<string, Digest>>;
}
const golden = JSON.parse(readFileSync(new URL("../goldens/siglip.json", import.meta.url), "utf8")) as Golden;

/** The formula of the script: a number in [-1, 1) for each index, without a pattern. */
function noise(seed: number, count: number): Float64Array {
  return Float64Array.from({ length: count }, (_, i) => {
    let h = Math.imul(i, 2654435761) + seed * 40503;
    h = Math.imul(h ^ (h >>> 15), 2246822519);
    h = Math.imul(h ^ (h >>> 13), 3266489917);
    return ((h ^ (h >>> 16)) >>> 0) / 2 ** 31 - 1;
  });
}

async function agrees(x: Tensor, [norm, projection]: Digest, what: string): Promise<void> {
  const values = Float64Array.from(await x.read());
  const direction = noise(99, values.length);
  const got = Math.hypot(...values);
  const along = values.reduce((total, value, i) => total + value * direction[i]!, 0);
  assert.ok(Math.abs(got - norm) <= 1e-4 * norm, `${what}: norm ${got}, transformers ${norm}`);
  assert.ok(Math.abs(along - projection) <= 1e-4 * norm, `${what}: ${along}, transformers ${projection}`);
}

test("SigLIP with heads of width 72 and a picture that is no multiple of the patch agrees with transformers to 1e-4", async () => {
  const nano = preset("nano");
  const config: RediffConfig = {
    ...nano,
    vision: { imageSize: 30, patch: 7, width: 144, layers: 3, heads: 2, mlp: 100, eps: 1e-6 },
    text: { ...nano.text, width: 40 },
  };
  const specs = parameterSpecs(config).filter(({ name }) => name.startsWith(VISION) || name.startsWith(PROJECTOR));
  const device = await openDevice();
  const parameters = createParameters(device, specs, ({ name, shape }) => {
    const values = Float32Array.from(noise(name.length, sizeOf(shape)));
    const isGain = shape.length === 1 && name.endsWith("weight");
    const fanIn = sizeOf(shape.slice(1));
    return values.map((value) => (isGain ? 1 + 0.2 * value : value / Math.sqrt(fanIn)));
  });
  assert.deepEqual([...parameters.keys()].sort(), Object.keys(golden.gradients).sort());
  await scope(device, async () => {
    const B = 2;
    const pixels = tensor(device, Float32Array.from(noise(1, B * 3 * 30 * 30)), [B, 3, 30, 30]);
    for (const [layers, want] of golden.states.entries())
      await agrees(visionEncoder(parameters, pixels, { ...config.vision, layers }), want, `after layer ${layers}`);
    const tokens = encodeImage({ device, config, parameters }, pixels);
    assert.deepEqual(tokens.shape, [B, 16, 40]);
    await agrees(tokens, golden.tokens, "tokens");
    const values = await tokens.read();
    golden.some.forEach((want, c) => assert.ok(Math.abs(values[31 * 40 + c]! - want) < 1e-4, `token 15, channel ${c}`));
    backward(sum(mul(tokens, tensor(device, Float32Array.from(noise(7, tokens.size)), tokens.shape))));
    for (const [name, want] of Object.entries(golden.gradients)) {
      const gradient = parameters.get(name)!.grad!;
      if (!name.endsWith("k_proj.bias")) await agrees(gradient, want, name);
      else {
        // It adds the same to all scores of a query, so what comes of it is rounding, on both sides.
        const [size] = golden.gradients[name.replace("bias", "weight")]!;
        assert.ok(Math.hypot(...(await gradient.read())) < 1e-5 * size, name);
      }
    }
  });
  disposeParameters(parameters);
  await device.close();
});
