/** What is said about memory beforehand is what is then used. */
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { preset, type RediffConfig } from "../../src/model/config.ts";
import { checkFits, fittingStorage, memoryNeed, obstacle, stepFlops } from "../../src/model/memory.ts";
import { createRandomModel } from "../../src/model/randomModel.ts";
import { disposeRediff, encodeImage, parameterCount } from "../../src/model/rediff.ts";
import { canvasLogits, IMAGE } from "../../src/model/sequence.ts";
import { weightStorages } from "../../src/nn/weight.ts";
import {
  type Device,
  LimitError,
  noGrad,
  openDevice,
  OutOfMemoryError,
  scope,
  type Tensor,
  tensor,
  uniform,
} from "../../src/tensor/index.ts";
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

/** Weights take the bytes that were counted, and a step no more than was said, in every storage. */
const isAsSaid = (options: Parameters<typeof openDevice>[0], configs: readonly RediffConfig[]): Promise<void> =>
  withDevice(options, async (device) => {
    const machine = { maxBindingBytes: device.maxBindingBytes, hasF16: device.gpu.features.has("shader-f16") };
    for (const config of configs)
      for (const storage of weightStorages) {
        const { name } = config;
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

test("weights take the bytes that were counted, and a step no more than was said", () =>
  isAsSaid({}, [preset("nano"), preset("small")]));

test("so it is where an adapter binds little, and matrices and the rows of an MLP come in parts", async () => {
  // 71 rows of 1,024 numbers are 291 kB, the MLP's matrices 524 kB, the logits of the canvas 262 kB.
  const config = { ...preset("nano"), name: "wide", text: { ...preset("small").text, mlp: 1024 } };
  const need = memoryNeed(config, "f32", { batch: 1, prompt: 3 }, 270_000);
  assert.ok(need.largest.bytes <= 270_000);
  assert.equal(need.split.filter(({ name }) => name.includes("gate_proj")).length, config.text.layers);
  await isAsSaid({ maxBindingBytes: 270_000 }, [config]);
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
    /9\.31 GB of memory are missing \(it needs 17\.31 GB.*--dtype chooses another/,
  );
  assert.throws(() => checkFits(need, { ...machine, hasF16: false }), /no shader-f16/);
  assert.throws(
    () => checkFits(memoryNeed(preset("llada-v-8b"), "int4", { batch: 8, prompt: 64 }, 2 ** 27), machine),
    /in one binding; the adapter binds 134\.2 MB/,
  );
});

describe("the storage that is chosen", () => {
  const config = preset("llada-v-8b");
  const workload = { batch: 1, prompt: 64, picture: 1485 };
  const GPU = { maxBindingBytes: 2 ** 27, hasF16: true };
  const chosen = (freeBytes: number, hasF16 = true) =>
    fittingStorage(config, workload, { ...GPU, hasF16, freeBytes }).need.storage;

  test("is the most exact that fits", () => {
    assert.deepEqual(
      [40e9, 20e9, 12e9, 8e9].map((bytes) => chosen(bytes)),
      ["f32", "f16", "int8", "int4"],
    );
    assert.equal(chosen(20e9, false), "int8");
    const { against } = fittingStorage(config, workload, { ...GPU, hasF16: false, freeBytes: 12e9 });
    assert.deepEqual(against, ["f32: 22.54 GB of memory are missing", "f16: the adapter has no shader-f16"]);
    const small = fittingStorage(preset("small"), { batch: 1, prompt: 64 }, { ...GPU, freeBytes: 1e9 });
    assert.deepEqual([small.need.storage, small.against], ["f32", []]);
  });

  test("counts the views of a batch of square pictures, which the encoder sees at once", () => {
    const { tiling: _, ...square } = config;
    const batch = { ...workload, picture: 729, batch: 64, canvas: 1, prompt: 1 };
    assert.throws(
      () => fittingStorage({ ...square, text: { ...square.text, width: 512 } }, batch, { ...GPU, freeBytes: 800e9 }),
      /views of the vision encoder take 215\.\d MB in one binding/,
    );
  });

  test("is none where nothing fits, and what is missing is said of each", () => {
    assert.throws(
      () => chosen(4e9),
      (error: unknown) =>
        error instanceof OutOfMemoryError &&
        /fits in no storage: f32: 30\.\d\d GB of memory are missing; f16: .*; int8: .*; int4: 1\.29 GB .* --memory GB/.test(
          error.message,
        ),
    );
    assert.throws(
      () => fittingStorage(config, { ...workload, picture: 3 * 4341 }, { ...GPU, freeBytes: 80e9 }),
      (error: unknown) =>
        error instanceof LimitError &&
        /hidden states of the sequence take 216\.\d MB in one binding.*fewer or smaller pictures/.test(error.message),
    );
  });
});
