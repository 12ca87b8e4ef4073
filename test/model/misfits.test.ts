/** Folders that do not hold what they say: each is one error that names the rule and what breaks it, before weights are read. */
import assert from "node:assert/strict";
import { mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { learnedToRevise, loadModel, saveModel } from "../../src/model/checkpoint.ts";
import { preset } from "../../src/model/config.ts";
import { inFolder } from "../../src/model/files.ts";
import { assembleModel, openPublished } from "../../src/model/published/load.ts";
import { createRediff, disposeRediff } from "../../src/model/rediff.ts";
import { CheckpointError } from "../../src/model/safetensors.ts";
import { memorySource, openTensorFile } from "../../src/model/tensorFile.ts";
import { type Device, openDevice, RediffError } from "../../src/tensor/index.ts";
import { changed, folder, refuses, scratch, stored } from "../support/published.ts";

let device: Device;
before(async () => {
  device = await openDevice();
});
after(() => device.close());

describe("what does not fit", () => {
  test("missing, unexpected and misshapen tensors come in one error, by the names they have in the file", () => {
    const other = changed("llada", (config) => {
      config["n_layers"] = 3;
      config["mlp_hidden_size"] = 64;
    });
    refuses(
      () => assembleModel(device, { text: other, vision: folder("siglip") }),
      /Missing \(9\): model\.transformer\.blocks\.2\.attn_norm\.weight, model\.transformer\.blocks\.2\.q_proj/,
      /Of another shape \(6\): model\.transformer\.blocks\.0\.ff_proj\.weight is \(48, 32\), not \(64, 32\)/,
    );
    const fewer = changed("llada", (config) => (config["n_layers"] = 1));
    refuses(
      () => assembleModel(device, { text: fewer, vision: folder("siglip") }),
      /Unexpected \(9\): model\.transformer\.blocks\.1\./,
    );
  });

  test("settings that the model would not follow are refused by name, all at once", () => {
    refuses(
      () =>
        loadModel(
          device,
          changed("llava", (config) =>
            Object.assign(config, {
              num_key_value_heads: 1,
              attention_bias: true,
              rope_scaling: { type: "linear", factor: 2 },
              mm_projector_type: "linear",
              image_aspect_ratio: "pad",
            }),
          ),
        ),
      /num_key_value_heads is 1 for 2 heads, but grouped queries/,
      /attention_bias is true/,
      /rope_scaling is \{"type":"linear","factor":2\}, but angles are not scaled/,
      /mm_projector_type is "linear"/,
      /image_aspect_ratio is "pad"/,
    );
    refuses(
      () => openPublished(changed("llada", (config) => delete config["rope"] && (config["n_kv_heads"] = 1))),
      /rope is false by default, but positions are rotary/,
      /n_kv_heads is 1/,
    );
    refuses(
      () => openPublished(changed("llada", (config) => Object.assign(config, { d_model: "32", n_heads: -2 }))),
      /d_model is "32"/,
      /n_heads is -2/,
    );
    refuses(() => openPublished(changed("llada", (config) => (config["n_heads"] = 32))), /heads of an even width/);
    refuses(
      () => openPublished(changed("llava", (config) => (config["model_type"] = "llama"))),
      /model_type is "llama"; there are llada, llava_llada/,
    );
  });

  test("a tower that is only named must be the one whose sizes are known", () => {
    const named = (tower: string): string =>
      changed("llava", (config) => {
        delete config["vision_config"];
        config["mm_vision_tower"] = tower;
        config["mm_hidden_size"] = 1152;
        config["image_grid_pinpoints"] = "(1x1),...,(6x6)";
      });
    const { config, file } = openPublished(named("google/siglip2-so400m-patch14-384"));
    file.close();
    assert.deepEqual(config.vision, {
      imageSize: 384,
      patch: 14,
      width: 1152,
      layers: 26,
      heads: 16,
      mlp: 4304,
      eps: 1e-6,
    });
    refuses(
      () => openPublished(named("google/siglip-base-patch16-224")),
      /whose sizes are not known; add them as vision_config/,
    );
  });

  test("pictures prepared otherwise", () => {
    const copy = changed("siglip", () => {});
    const prepared = (fields: object) => writeFileSync(join(copy, "preprocessor_config.json"), JSON.stringify(fields));
    prepared({
      size: { height: 21, width: 21 },
      resample: 3,
      rescale_factor: 1 / 255,
      image_mean: [0.5, 0.5, 0.5],
      do_resize: true,
    });
    openPublished(copy).file.close();
    prepared({ size: { height: 28, width: 28 }, image_mean: [0.48, 0.45, 0.4] });
    refuses(() => openPublished(copy), /size: must be 21 by 21/, /image_mean: must be 0.5 for each colour/);
  });

  test("an index that lies", () => {
    const copy = changed("llada", () => {});
    const path = join(copy, "model.safetensors.index.json");
    const index = JSON.parse(readFileSync(path, "utf8")) as { weight_map: Record<string, string> };
    const withMap = (map: Record<string, string>): string => {
      writeFileSync(path, JSON.stringify({ weight_map: map }));
      return copy;
    };
    const open = (where: string) => openTensorFile(where, inFolder(where));
    const { "model.transformer.wte.weight": wte, ...rest } = index.weight_map;
    refuses(() => open(withMap(rest)), /1 of the files are not named \(model\.transformer\.wte\.weight\)/);
    refuses(
      () => open(withMap({ ...index.weight_map, "no.such": wte! })),
      /1 tensors that it names are in no file \(no\.such\)/,
    );
    refuses(
      () => open(withMap({ ...index.weight_map, a: "model-9.safetensors" })),
      /names model-9\.safetensors, which is not in/,
    );
    refuses(() => open(withMap({ a: "../secret.safetensors" })), /names of files beside it/);
    refuses(() => open(scratch), /neither model\.safetensors nor/);
  });

  test("both folders that a model is put together from are read, and what is wrong with either is one error", () => {
    const text = changed("llada", (config) => (config["n_layers"] = 3));
    const vision = changed("siglip", (config) => {
      (config["vision_config"] as Record<string, unknown>)["num_hidden_layers"] = 5;
    });
    refuses(
      () => assembleModel(device, { text, vision }),
      /Missing \(9\): model\.transformer\.blocks\.2\./,
      /Missing \(16\): vision_model\.encoder\.layers\.3\./,
    );
    const unreadable = changed("siglip", (config) => (config["vision_config"] = 5));
    refuses(() => assembleModel(device, { text, vision: unreadable }), /blocks\.2\./, /vision_config is 5/);
  });

  test("long lists are shown up to forty names, and counted", () => {
    const many = changed("llada", (config) => (config["n_layers"] = 7));
    refuses(
      () => assembleModel(device, { text: many, vision: folder("siglip") }),
      /Missing \(45\): (model\.\S+, ){39}model\.\S+ and 5 more\./,
    );
  });

  test("types that hold no weights", () => {
    const name = "vision_model.encoder.layers.0.mlp.fc1.weight";
    const vision = stored("siglip", (tensors) =>
      tensors.map((one) =>
        one.name === name ? { ...one, dtype: "I16", bytes: one.bytes.subarray(0, one.bytes.length / 2) } : one,
      ),
    );
    refuses(
      () => assembleModel(device, { text: folder("llada"), vision }),
      new RegExp(`nor I8, so no weights \\(1\\): ${name} is I16`),
    );
  });

  test("one parameter under the names of two layouts", () => {
    const twice = stored("llada", (tensors) => [
      ...tensors,
      { ...tensors.find(({ name }) => name === "model.transformer.ff_out.weight")!, name: "lm_head.weight" },
    ]);
    refuses(() => openPublished(twice), /two layouts: (model\.transformer\.ff_out|lm_head)\.weight and \S+\.weight\./);
  });

  test("vision_config must be an object, and NaFlex is another graph", () => {
    for (const model of ["llava", "siglip"])
      refuses(
        () => openPublished(changed(model, (config) => (config["vision_config"] = 5))),
        /vision_config is 5, but it holds the sizes of the tower/,
      );
    refuses(
      () => openPublished(changed("siglip", (config) => (config["model_type"] = "siglip2"))),
      /model_type is "siglip2", which is NaFlex/,
    );
    refuses(
      () =>
        openPublished(
          changed("siglip", (config) => {
            (config["vision_config"] as Record<string, unknown>)["num_patches"] = 256;
          }),
        ),
      /vision_config\.num_patches is 256, but patches of any number/,
    );
  });

  test("pinpoints that are no whole tiles are refused with the headers", async () => {
    for (const pinpoints of ["large", [[21, 20]], 7])
      refuses(
        () => openPublished(changed("llava", (config) => (config["image_grid_pinpoints"] = pinpoints))),
        /image_grid_pinpoints cannot be followed \(Pinpoints must be sizes of whole tiles of 21 pixels/,
      );
    const ours = join(scratch, "ours");
    const model = createRediff(device, { ...preset("nano"), tiling: { pinpoints: "large" } }, 1);
    await saveModel(model, ours);
    disposeRediff(model);
    assert.throws(() => loadModel(device, ours), RediffError);
  });

  test("metadata of the name that ours has, but not of its form", async () => {
    const ours = join(scratch, "metadata");
    const model = createRediff(device, preset("nano"), 1);
    for (const [options, revises] of [
      ["5", false],
      ["null", false],
      ['{"recipe":"stage1"}', true],
    ] as const) {
      await saveModel(model, ours, { options });
      assert.equal(learnedToRevise(ours), revises, options);
    }
    await saveModel(model, ours, { options: "{" });
    refuses(() => learnedToRevise(ours), /metadata of .* is not JSON/);
    disposeRediff(model);
  });

  test("a folder where a file should be", () => {
    const copy = changed("siglip");
    rmSync(join(copy, "model.safetensors"));
    mkdirSync(join(copy, "model.safetensors"));
    refuses(() => openPublished(copy), /model\.safetensors must be a file; it is a folder/);
  });

  test("shards that were opened are closed when a later one cannot be", () => {
    const index = { weight_map: { a: "model-1.safetensors", b: "model-2.safetensors" } };
    let open = 0;
    const source = (name: string, text = "") => {
      open++;
      return { ...memorySource(new TextEncoder().encode(text), name), close: () => void open-- };
    };
    const opening = (name: string) => {
      if (name === "model.safetensors") return undefined;
      if (name === "model-2.safetensors") throw new CheckpointError("not allowed");
      return source(name, JSON.stringify(index));
    };
    refuses(() => openTensorFile("x", opening), /not allowed/);
    assert.equal(open, 0);
  });
});
