/** What is said about memory beforehand is what is then used. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { preset } from "../../src/model/config.ts";
import { checkFits, memoryNeed, obstacle, stepFlops } from "../../src/model/memory.ts";
import { createRandomModel } from "../../src/model/randomModel.ts";
import { disposeRediff, encodeImage, parameterCount } from "../../src/model/rediff.ts";
import { canvasLogits, IMAGE } from "../../src/model/sequence.ts";
import { weightStorages } from "../../src/nn/weight.ts";
import { type Device, noGrad, openDevice, scope, type Tensor, tensor, uniform } from "../../src/tensor/index.ts";
import type { AnyRediff } from "../../src/model/rediff.ts";

/** One picture, a prompt of 3 tokens, and a canvas: its logits. */
function step(model: AnyRediff): Tensor {
  const { device, config } = model;
  const { imageSize: S } = config.vision;
  const image = scope(device, () => encodeImage(model, uniform(device, [1, 3, S, S], 1, 0)));
  const T = config.text.canvas;
  const canvas = tensor(
    device,
    Uint32Array.from({ length: T }, (_, i) => i + 5),
    [1, T],
    "u32",
  );
  return scope(device, () => canvasLogits(model, [image], [[1, IMAGE, 2, 3]], canvas));
}

const decode = (model: AnyRediff): Promise<Float32Array> =>
  noGrad(model.device, () => scope(model.device, async () => (await step(model).read()) as Float32Array));

/** How alike two rows of logits are: 1 when one is a multiple of the other. */
function cosine(a: Float32Array, b: Float32Array): number {
  const dot = (x: Float32Array, y: Float32Array) => x.reduce((sum, v, i) => sum + v * y[i]!, 0);
  return dot(a, b) / Math.sqrt(dot(a, a) * dot(b, b));
}

async function withDevice<R>(
  options: Parameters<typeof openDevice>[0],
  body: (device: Device) => Promise<R>,
): Promise<R> {
  const device = await openDevice(options);
  try {
    return await body(device);
  } finally {
    await device.close();
  }
}

test("weights take the bytes that were counted, and a step no more than was said", async () => {
  await withDevice({}, async (device) => {
    const machine = { maxBindingBytes: device.maxBindingBytes, hasF16: device.gpu.features.has("shader-f16") };
    for (const name of ["nano", "small"])
      for (const storage of weightStorages) {
        const config = preset(name);
        const need = memoryNeed(config, storage, { batch: 1, prompt: 3 }, device.maxBindingBytes);
        if (obstacle(need, machine)) continue;
        const kept = device.memory().liveBytes;
        const model = await createRandomModel(device, config, 1, storage);
        const { liveBytes: weights, liveBuffers } = device.memory();
        // Buffers are rounded up to 16 bytes each.
        const most = need.weights + 16 * liveBuffers;
        assert.ok(weights - kept >= need.weights && weights - kept <= most, `${name} ${storage}: ${weights - kept}`);
        await decode(model); // The angles of rope are kept for the device from here on.
        const { liveBytes } = device.memory();
        device.resetPeak();
        await decode(model);
        const used = device.memory().peakBytes - liveBytes;
        assert.ok(used <= need.activations * 1.05, `${name} ${storage}: ${used} bytes, said ${need.activations}`);
        assert.ok(used >= need.activations * 0.6, `${name} ${storage}: ${used} bytes, said ${need.activations}`);
        disposeRediff(model);
        assert.equal(device.memory().liveBytes, kept + (liveBytes - weights));
      }
  });
});

test("quantised, a model is near to what it was; in parts it is as near", async () => {
  // The head of small has 524,288 bytes and its logits 262,144. Parts are drawn with numbers of their own.
  const logits = (options: Parameters<typeof openDevice>[0], storage: "f32" | "int8" | "int4") =>
    withDevice(options, async (device) => decode(await createRandomModel(device, preset("small"), 7, storage)));
  for (const options of [{}, { maxBindingBytes: 400_000 }]) {
    const exact = await logits(options, "f32");
    const int8 = cosine(exact, await logits(options, "int8"));
    const int4 = cosine(exact, await logits(options, "int4"));
    assert.ok(int8 > 0.999, `int8: ${int8}`);
    assert.ok(int4 > 0.94 && int4 < int8, `int4: ${int4}`);
  }
});

test("the true size: 8.43 billion parameters, in int4 4.5 GB, in an 8 GB GPU", () => {
  const config = preset("llada-v-8b");
  assert.equal((parameterCount(config) / 1e9).toFixed(2), "8.43");
  const need = memoryNeed(config, "int4", { batch: 1, prompt: 64 }, 2 ** 27);
  assert.ok(need.weights <= 4.5e9, `${need.weights}`);
  assert.ok(need.total <= 6e9, `${need.total}`);
  assert.ok(need.largest.bytes <= 2 ** 27);
  assert.deepEqual(need.split.at(-1), { name: "lm_head.weight", parts: 16 });
  assert.equal(memoryNeed(config, "int4", { batch: 1, prompt: 64 }).split.length, 0);
});

test("operations of a step are those of its products, counted by the engine as they are recorded", async () => {
  await withDevice({}, async (device) => {
    const config = preset("small");
    const model = await createRandomModel(device, config, 1, "f32");
    const before = device.productFlops;
    await decode(model);
    const products = device.productFlops - before;
    // The engine does not count attention; the model's patch embedding is a product, but no matrix of its parameters.
    const said = stepFlops(config, { batch: 1, prompt: 3 });
    assert.ok(products < said && said < 1.2 * products, `${said} said, ${products} recorded`);
    disposeRediff(model);
  });
});

test("what is missing is said, with numbers", () => {
  const need = memoryNeed(preset("llada-v-8b"), "f16", { batch: 1, prompt: 64 }, 2 ** 27);
  const machine = { maxBindingBytes: 2 ** 27, hasF16: true };
  assert.equal(obstacle(need, machine), undefined);
  checkFits(need, machine);
  assert.throws(
    () => checkFits(need, { ...machine, freeBytes: 8e9 }),
    /10\.\d\d GB of memory are missing \(it needs 18\.\d\d GB/,
  );
  assert.throws(() => checkFits(need, { ...machine, hasF16: false }), /no shader-f16/);
  assert.throws(
    () => checkFits(memoryNeed(preset("llada-v-8b"), "int4", { batch: 8, prompt: 64 }, 2 ** 27), machine),
    /in one binding; the adapter binds 134\.2 MB/,
  );
});
