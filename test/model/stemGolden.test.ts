/** Stem and patch embedding against PyTorch (test/goldens/stem.py), and what a stem demands of sizes. */
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import { preset, type RediffConfig, type StemConfig } from "../../src/model/config.ts";
import { parameterSpecs, VISION } from "../../src/model/parameterSpecs.ts";
import { visionEncoder } from "../../src/model/visionEncoder.ts";
import { conv2d } from "../../src/nn/conv2d.ts";
import { createParameters, disposeParameters } from "../../src/nn/parameters.ts";
import {
  backward,
  mul,
  openDevice,
  scope,
  sizeOf,
  sum,
  tensor,
  unfold,
  type UnfoldOptions,
} from "../../src/tensor/index.ts";

interface Golden {
  readonly features: readonly number[];
  /** Norm and projection, by name. */
  readonly gradients: Readonly<Record<string, readonly [number, number]>>;
}

/** The formula of the script: a number in [-1, 1] for each index. */
const wave = (seed: number, count: number): Float64Array =>
  Float64Array.from({ length: count }, (_, i) => Math.sin(1.7 * i + 0.31 * seed + 0.013 * i * seed));

const withStem = (stem: StemConfig, sizes: { imageSize?: number; patch?: number } = {}): RediffConfig => {
  const nano = preset("nano");
  return { ...nano, vision: { ...nano.vision, imageSize: 24, ...sizes, stem } };
};

test("a stem agrees with PyTorch: features to 1e-5, gradients to 1e-4", async () => {
  const golden = JSON.parse(readFileSync(new URL("../goldens/stem.json", import.meta.url), "utf8")) as Golden;
  const { vision, ...rest } = withStem({ widths: [6, 8] });
  const config = { ...rest, vision: { ...vision, layers: 0 } };
  const specs = parameterSpecs(config).filter(({ name }) => name.startsWith(VISION));
  assert.deepEqual(specs.map(({ name }) => name).sort(), Object.keys(golden.gradients).sort());
  const device = await openDevice();
  const parameters = createParameters(device, specs, ({ name, shape }) => {
    const fanIn = sizeOf(shape.slice(1));
    return Float32Array.from(wave(name.length, sizeOf(shape)), (value) => value / Math.sqrt(fanIn));
  });
  const [B, S] = [2, config.vision.imageSize];
  await scope(device, async () => {
    const pixels = tensor(device, wave(1, B * 3 * S * S), [B, 3, S, S]);
    const features = visionEncoder(parameters, pixels, config.vision);
    const got = await features.read();
    assert.equal(got.length, golden.features.length);
    golden.features.forEach((want, i) =>
      assert.ok(Math.abs(got[i]! - want) < 1e-5, `feature ${i}: ${got[i]}, ${want}`),
    );
    backward(sum(mul(features, tensor(device, wave(7, features.size), features.shape))));
    for (const [name, [norm, projection]] of Object.entries(golden.gradients)) {
      const gradient = Float64Array.from(await parameters.get(name)!.grad!.read());
      const direction = wave(99, gradient.length);
      const along = gradient.reduce((total, value, i) => total + value * direction[i]!, 0);
      assert.ok(
        Math.abs(Math.hypot(...gradient) - norm) <= 1e-4 * norm + 1e-7,
        `${name}: norm ${Math.hypot(...gradient)}, PyTorch ${norm}`,
      );
      assert.ok(Math.abs(along - projection) <= 1e-4 * norm + 1e-7, `${name}: ${along}, PyTorch ${projection}`);
    }
  });
  disposeParameters(parameters);
  await device.close();
});

test("a stem that does not fit the picture is refused with its numbers", () => {
  const refused = (config: RediffConfig, reason: RegExp) => assert.throws(() => parameterSpecs(config), reason);
  refused(withStem({ widths: [4, 4, 4, 4] }), /vision\.patch must be a multiple of 16 .*they are 8 and 24/);
  refused(withStem({ widths: [4] }, { imageSize: 20 }), /vision\.imageSize of vision\.patch; they are 8 and 20/);
  refused(withStem({ widths: [] }), /vision\.stem\.widths must list the channels/);
  refused(withStem({ widths: [4, 0.5] }), /vision\.stem\.widths must list the channels/);
  refused(withStem({} as StemConfig), /vision\.stem\.widths must list the channels/);
});

test("windows and weights that do not fit are refused with their numbers", async () => {
  const device = await openDevice();
  scope(device, () => {
    const x = tensor(device, new Float32Array(24), [1, 2, 4, 3]);
    const refused = (options: UnfoldOptions, reason: RegExp) => assert.throws(() => unfold(x, options), reason);
    refused({ window: 3 }, /a window of 3×3 does not fit into 2×4 with 0 zeros/);
    refused({ window: 2, stride: 0 }, /they are 2, 0 and 0/);
    refused({ window: 2, padding: 0.5 }, /they are 2, 1 and 0.5/);
    const bias = tensor(device, [0, 0], [2]);
    for (const shape of [
      [2, 4, 2, 2],
      [2, 3, 2, 1],
      [2, 3, 2],
    ])
      assert.throws(
        () => conv2d(x, tensor(device, new Float32Array(sizeOf(shape)), shape), bias),
        /weight \(out, C, k, k\)/,
      );
  });
  await device.close();
});
