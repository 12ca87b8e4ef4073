/** Checkpoints in the layouts of real ones, made by the published code (test/goldens/published.py): they load and compute the same. */
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { after, before, describe, test } from "node:test";
import { loadModel, loadModelAs } from "../../src/model/checkpoint.ts";
import { preset } from "../../src/model/config.ts";
import { loadForUse } from "../../src/model/loadParameters.ts";
import { assembleModel, openPublished } from "../../src/model/published/load.ts";
import { parsePublished } from "../../src/model/published/config.ts";
import { ourName, publishedName } from "../../src/model/published/names.ts";
import { parameterSpecs, VISION } from "../../src/model/parameterSpecs.ts";
import { type AnyRediff, disposeRediff, encodeImage } from "../../src/model/rediff.ts";
import { CheckpointError, formatSafetensors } from "../../src/model/safetensors.ts";
import { canvasLogits, IMAGE } from "../../src/model/sequence.ts";
import { f32ToStored, storedToF32 } from "../../src/model/storedValues.ts";
import { memorySource, openTensors } from "../../src/model/tensorFile.ts";
import { countParameters, disposeParameters } from "../../src/nn/parameters.ts";
import { shardsOf } from "../../src/nn/weight.ts";
import { dequantise, type Device, noGrad, openDevice, type Quantised, scope, tensor } from "../../src/tensor/index.ts";
import { folder, refuses, stored } from "../support/published.ts";

const golden = JSON.parse(readFileSync(folder("golden.json"), "utf8")) as Record<"image" | "llava" | "llada", number[]>;
const S = 21;
const ids = Array.from({ length: 20 }, (_, i) => (7 * i) % 72);
/** The formula of the script: a number in [-1, 1] for each index. */
const pixels = Float32Array.from({ length: 3 * S * S }, (_, i) => Math.sin(1.7 * i + 0.31 + 0.013 * i));

let device: Device;
before(async () => {
  device = await openDevice();
});
after(async () => {
  await device.close();
});

/** The largest difference, in units of the largest golden value. */
function distance(values: ArrayLike<number>, wanted: readonly number[]): number {
  assert.equal(values.length, wanted.length);
  const size = Math.max(...wanted.map(Math.abs));
  return Math.max(...wanted.map((want, i) => Math.abs(values[i]! - want))) / size;
}

/** Distances of image tokens and of the logits of the last three ids from the golden ones. */
function compare(model: AnyRediff): Promise<{ image: number; logits: number }> {
  return noGrad(device, () =>
    scope(device, async () => {
      const image = encodeImage(model, tensor(device, pixels, [1, 3, S, S]));
      const prompt = [...ids.slice(0, 4), IMAGE, ...ids.slice(4, 17)];
      const logits = canvasLogits(model, [image], [prompt], tensor(device, ids.slice(17), [1, 3], "u32"));
      return {
        image: distance(await image.read(), golden.image),
        logits: distance(await logits.read(), golden.llava),
      };
    }),
  );
}

describe("LLaDA-V's layout", () => {
  test("loads, in shards and bf16, and agrees with LLaDA-V's own classes to 1e-5", async () => {
    const model = loadModel(device, folder("llava"));
    assert.deepEqual(model.config.tiling, {
      pinpoints: [
        [21, 21],
        [21, 42],
        [42, 21],
        [42, 42],
      ],
      maxTiles: 4,
    });
    const { image, logits } = await compare(model);
    assert.ok(image < 1e-5 && logits < 1e-5, `image tokens ${image}, logits ${logits}`);
    disposeRediff(model);
  });

  // bf16 has 8 significant bits and all of these lie in f16's range: nothing is lost but the type.
  test("loads to use, as f16, to the same 1e-5", async (t) => {
    if (!device.gpu.features.has("shader-f16")) return t.skip("no shader-f16");
    const model = await loadModelAs(device, folder("llava"), "f16");
    const { image, logits } = await compare(model);
    assert.ok(image < 1e-5 && logits < 1e-5, `image tokens ${image}, logits ${logits}`);
    disposeRediff(model);
  });

  test("loads to use, as int8: every matrix within half a step of its largest value", async () => {
    const model = await loadModelAs(device, folder("llava"), "int8");
    const exact = loadModel(device, folder("llava"));
    const name = "model.layers.1.mlp.down_proj.weight";
    const weight = model.parameters.get(name) as Quantised;
    const wanted = await exact.parameters.get(name)!.read();
    const values = await scope(device, () => dequantise(weight).read());
    // A step is at most 1/127 of the group's largest value; bf16 scales are rounded up, by 2^-8 of themselves.
    const step = (Math.max(...wanted.map(Math.abs)) / 127) * (1 + 2 ** -7);
    const far = Math.max(...wanted.map((want, i) => Math.abs(want - values[i]!)));
    assert.ok(far > 0 && far <= step / 2, `${far} of a step of ${step}`);
    disposeRediff(model);
    disposeRediff(exact);
  });

  test("a value that the storage does not hold is refused, and nothing stays on the device", async () => {
    const name = "vision_model.encoder.layers.1.mlp.fc1.weight";
    const copy = stored("siglip", (tensors) =>
      tensors.map((one) => {
        if (one.name !== name) return one;
        const spoiled = storedToF32(one);
        spoiled[33] = 1e6;
        return f32ToStored(name, one.shape, spoiled, "F32");
      }),
    );
    const { config, file } = openPublished(copy);
    const specs = [{ name, shape: [config.vision!.mlp, config.vision!.width] }];
    const before = device.pool.report().liveBytes;
    await assert.rejects(
      loadForUse(device, file, specs, (same) => same, "f16"),
      (error: unknown) =>
        error instanceof CheckpointError && /a value of 1000000 .*f16 cannot hold/.test(error.message),
    );
    file.close();
    assert.equal(device.pool.report().liveBytes, before);
  });

  test("loads to use by parts: no read is longer than a binding, and every byte is read once", async () => {
    const small = await openDevice({ maxBindingBytes: 4096 });
    const [rows, columns] = [500, 64];
    const values = Float32Array.from({ length: rows * columns }, (_, i) => Math.sin(i));
    const stored = f32ToStored("head.weight", [rows, columns], values, "BF16");
    const source = memorySource(formatSafetensors([stored], {}), "x");
    const reads: [start: number, end: number][] = [];
    const file = openTensors({ ...source, read: (start, end) => (reads.push([start, end]), source.read(start, end)) });
    const header = reads.splice(0).at(-1)![1];
    const specs = [{ name: "head.weight", shape: [rows, columns] }];
    const loaded = await loadForUse(small, file, specs, (same) => same, "int4");
    const parts = shardsOf(loaded.get("head.weight")!);
    assert.equal(parts.length, reads.length);
    // 4,096 bytes of f32 are 2,048 in the file.
    reads.forEach(([start, end], i) => {
      assert.ok(end - start <= 2048);
      assert.equal(start, reads[i - 1]?.[1] ?? header);
    });
    assert.equal(reads.at(-1)![1], header + 2 * rows * columns);
    disposeParameters(loaded);
    await small.close();
  });

  test("what LLaVA carries along is listed, not refused", () => {
    const { unused, file } = openPublished(folder("llava"));
    file.close();
    assert.deepEqual([...unused].sort(), [`${VISION}post_layernorm.bias`, `${VISION}post_layernorm.weight`]);
  });
});

describe("LLaDA's and SigLIP2's releases", () => {
  test("make a model together; the language model agrees with LLaDA's own class to 1e-5", async () => {
    const model = assembleModel(device, { text: folder("llada"), vision: folder("siglip") });
    assert.deepEqual(
      [...model.parameters.keys()].sort(),
      parameterSpecs(model.config)
        .map(({ name }) => name)
        .sort(),
    );
    const far = await noGrad(device, () =>
      scope(device, async () => {
        const logits = canvasLogits(model, [], [ids.slice(0, 17)], tensor(device, ids.slice(17), [1, 3], "u32"));
        return distance(await logits.read(), golden.llada);
      }),
    );
    assert.ok(far < 1e-5, `logits ${far}`);
    disposeRediff(model);
  });

  test("SigLIP2's pooling head, last layer, final norm and text side are listed as unused", () => {
    const { unused, file, config } = openPublished(folder("siglip"));
    file.close();
    assert.equal(config.vision!.layers, 2);
    for (const pattern of [
      /^vision_model\.head\./,
      /^vision_model\.encoder\.layers\.2\./,
      /^text_model\./,
      /^logit_scale$/,
    ])
      assert.ok(
        unused.some((name) => pattern.test(name)),
        String(pattern),
      );
    assert.ok(!unused.some((name) => /layers\.[01]\./.test(name) && name.startsWith("vision_model")));
  });

  test("a part alone is refused with the remedy", () => {
    refuses(() => loadModel(device, folder("llada")), /holds a language model alone.*assembleModel/);
    refuses(() => loadModel(device, folder("siglip")), /holds a vision tower alone/);
    refuses(() => assembleModel(device, { text: folder("siglip"), vision: folder("siglip") }), /no language model/);
  });

  test("names go both ways, all of them", () => {
    const { file } = openPublished(folder("llada"));
    file.close();
    for (const name of file.tensors.keys()) {
      assert.notEqual(ourName(name), name);
      assert.equal(publishedName(ourName(name), "llada"), name);
    }
    assert.equal(ourName("model.transformer.blocks.31.attn_out.weight"), "model.layers.31.self_attn.o_proj.weight");
    assert.equal(ourName("vision_model.encoder.layers.3.mlp.fc1.bias"), `${VISION}encoder.layers.3.mlp.fc1.bias`);
    assert.equal(ourName("model.transformer.blocks.x.attn_out.weight"), "model.transformer.blocks.x.attn_out.weight");
  });
});

describe("the true sizes", () => {
  const eightB = preset("llada-v-8b");

  test("both forms of LLaDA-8B's configuration give them", () => {
    const shared = { model_type: "llada", vocab_size: 126_464, rms_norm_eps: 1e-5, rope_theta: 500_000 };
    const original = {
      ...shared,
      d_model: 4096,
      n_heads: 32,
      n_kv_heads: 32,
      n_layers: 32,
      mlp_hidden_size: 12_288,
      embedding_size: 126_464,
      rope: true,
      block_type: "llama",
      activation_type: "silu",
      layer_norm_type: "rms",
      weight_tying: false,
      mask_token_id: 126_336,
      eos_token_id: 126_081,
      pad_token_id: 126_081,
    };
    const converted = {
      ...shared,
      hidden_size: 4096,
      num_attention_heads: 32,
      num_key_value_heads: 32,
      num_hidden_layers: 32,
      intermediate_size: 12_288,
      rope_scaling: null,
      tie_word_embeddings: false,
      attention_bias: false,
      bos_token_id: 128_000,
    };
    for (const given of [original, converted]) assert.deepEqual(parsePublished(given, "x").text, eightB.text);
    // MMaDA is LLaDA with more tokens, those of pictures; ProSeCo is LLaDA trained on.
    const mmada = { ...original, model_type: "mmada", vocab_size: 134_656, embedding_size: 134_656 };
    assert.deepEqual(parsePublished(mmada, "x").text, { ...eightB.text, vocabulary: 134_656 });
    assert.deepEqual(parsePublished(original, "x").tokens, { mask: 126_336, end: 126_081, pad: 126_081 });
  });

  test("the language model takes the bytes that the published index states", () => {
    const text = parameterSpecs(eightB).filter(({ name }) => !/vision_tower|mm_projector|image_newline/.test(name));
    assert.equal(2 * countParameters(text), 16_031_162_368);
    assert.equal(new Set(text.map(({ name }) => publishedName(name, "llada"))).size, 291);
  });
});
