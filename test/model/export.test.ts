/** What `rediff export` writes is what published loaders read, and loads again without loss. */
import assert from "node:assert/strict";
import { copyFileSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { fileURLToPath } from "node:url";
import { run } from "../../src/cli/export.ts";
import { tokenizerFor, UsageError } from "../../src/cli/usage.ts";
import { learnedToRevise, loadModel, loadModelAs, saveModel } from "../../src/model/checkpoint.ts";
import { preset, type RediffConfig } from "../../src/model/config.ts";
import { inFolder } from "../../src/model/files.ts";
import { speaksLlava } from "../../src/model/published/conversation.ts";
import { exportCheckpoint, exportModel } from "../../src/model/published/export.ts";
import { assembleModel, assembleModelAs, openPublished } from "../../src/model/published/load.ts";
import { visionSpecs } from "../../src/model/parameterSpecs.ts";
import { createRediff, disposeRediff, type Rediff } from "../../src/model/rediff.ts";
import { parseSafetensors } from "../../src/model/safetensors.ts";
import { f32ToStored, storedToF32 } from "../../src/model/storedValues.ts";
import { openTensorFile } from "../../src/model/tensorFile.ts";
import { loadTokenizer, TokenizerError } from "../../src/model/tokenizer.ts";
import { type Device, openDevice, type Tensor } from "../../src/tensor/index.ts";
import { changed, folder } from "../support/published.ts";

const tokenizerJson = fileURLToPath(new URL("../../data/tokenizer/tokenizer.json", import.meta.url));
const scratch = mkdtempSync(join(tmpdir(), "export-"));
let device: Device;
before(async () => {
  device = await openDevice();
});
after(async () => {
  await device.close();
  rmSync(scratch, { recursive: true });
});

async function sameParameters(a: Rediff, b: Rediff): Promise<void> {
  assert.deepEqual([...a.parameters.keys()], [...b.parameters.keys()]);
  for (const [name, parameter] of a.parameters)
    assert.deepEqual(await b.parameters.get(name)!.read(), await parameter.read(), name);
}

/** nano with all that a configuration may have. */
const everything: RediffConfig = {
  ...preset("nano"),
  vision: { ...preset("nano").vision, stem: { widths: [4, 6] } },
  tiling: { pinpoints: "(1x1),...,(2x2)", maxTiles: 2 },
};

describe("export", () => {
  for (const layout of ["llava", "llada"] as const)
    for (const config of [preset("nano"), everything])
      test(`${layout}${config.tiling ? ", with a stem and tiles" : ""}: config and parameters come back to the bit, in shards`, async () => {
        const model = createRediff(device, config, 3);
        const folder = join(scratch, `${layout}-${Boolean(config.tiling)}`);
        const files = await exportModel(model, folder, { layout, maxShardBytes: 100_000 });
        assert.ok(files.length > 2);
        const again = loadModel(device, folder);
        assert.deepEqual(again.config, config);
        await sameParameters(model, again);
        disposeRediff(model);
        disposeRediff(again);
      });

  test("the names of each layout", async () => {
    const model = createRediff(device, preset("nano"), 3);
    for (const [layout, wanted] of [
      ["llava", "model.layers.1.self_attn.o_proj.weight"],
      ["llada", "model.transformer.blocks.1.attn_out.weight"],
    ] as const) {
      const folder = join(scratch, `names-${layout}`);
      await exportModel(model, folder, { layout, dtype: "BF16" });
      const { tensors } = parseSafetensors(readFileSync(join(folder, "model.safetensors")), layout);
      assert.equal(tensors.get(wanted)!.dtype, "BF16");
      assert.equal(tensors.size, model.parameters.size);
    }
    disposeRediff(model);
  });

  test("fewer shards than before leave none of the old ones", async () => {
    const model = createRediff(device, preset("nano"), 3);
    const folder = join(scratch, "fewer");
    await exportModel(model, folder, { maxShardBytes: 50_000 });
    const files = await exportModel(model, folder, { maxShardBytes: 200_000 });
    const weights = () => readdirSync(folder).filter((name) => name.startsWith("model"));
    assert.deepEqual(weights(), [...files, "model.safetensors.index.json"]);
    await exportModel(model, folder);
    assert.deepEqual(weights(), ["model.safetensors"]);
    disposeRediff(model);
  });
});

describe("rediff export", () => {
  const checkpoint = join(scratch, "nano");
  before(async () => {
    const model = createRediff(device, preset("nano"), 1);
    await saveModel(model, checkpoint);
    disposeRediff(model);
  });

  test("weights that were trained to revise are still known as such", async (t) => {
    t.mock.method(console, "log", () => {});
    const [revises, out] = [join(scratch, "revises"), join(scratch, "revises-out")];
    const model = loadModel(device, checkpoint);
    await saveModel(model, revises, { options: JSON.stringify({ recipe: "fixed" }) });
    disposeRediff(model);
    await run(["--checkpoint", revises, "--out", out]);
    assert.ok(learnedToRevise(out));
  });

  test("writes a folder that loads with its own tokenizer, and the logits of one pass", async (t) => {
    t.mock.method(console, "log", () => {});
    const out = join(scratch, "command");
    await run(["--checkpoint", checkpoint, "--out", out, "--layout", "llada", "--dtype", "f16", "--logits"]);
    // f16 goes out as it came in.
    const [first, again] = [loadModel(device, checkpoint), loadModel(device, out)];
    await sameParameters(first, again);
    assert.equal(tokenizerFor(out).vocabSize, tokenizerFor(checkpoint).vocabSize);
    assert.ok(!learnedToRevise(out), "nothing is known of its training");
    const config = JSON.parse(readFileSync(join(out, "config.json"), "utf8")) as Record<string, unknown>;
    assert.equal(config["mask_token_id"], tokenizerFor(out).idOf("<|mdm_mask|>"));
    const { tensors } = parseSafetensors(readFileSync(join(out, "logits.safetensors")), "logits");
    assert.deepEqual(tensors.get("logits")!.shape, [24, 1024]);
    assert.ok(storedToF32(tensors.get("logits")!).every(Number.isFinite));
    disposeRediff(first);
    disposeRediff(again);
  });

  test("does not write over a checkpoint of ours, nor nowhere", async () => {
    await assert.rejects(run(["--checkpoint", checkpoint, "--out", checkpoint]), UsageError);
    await assert.rejects(run(["--checkpoint", checkpoint]), /export needs --out/);
    await assert.rejects(
      run(["--out", join(scratch, "x"), "--layout", "gguf"]),
      /--layout must be one of llava, llada/,
    );
  });

  test("a published folder whose tokenizer is missing, or another's", () => {
    const published = fileURLToPath(new URL("../goldens/published/llada", import.meta.url));
    assert.throws(() => tokenizerFor(published), /published model without its tokenizer\.json/);
    const other = join(scratch, "command");
    copyFileSync(tokenizerJson, join(other, "tokenizer.json"));
    const config = JSON.parse(readFileSync(join(other, "config.json"), "utf8")) as Record<string, unknown>;
    writeFileSync(join(other, "config.json"), JSON.stringify({ ...config, mask_token_id: 5 }));
    const mask = loadTokenizer(readFileSync(tokenizerJson, "utf8")).idOf("<|mdm_mask|>");
    assert.throws(
      () => tokenizerFor(other),
      (error: unknown) =>
        error instanceof TokenizerError &&
        error.message.includes(`<|mdm_mask|> is ${mask} in the tokenizer and 5 in the config`),
    );
  });
});

describe("export of published folders", () => {
  const llavaFolder = fileURLToPath(new URL("../goldens/llavaFolder", import.meta.url));

  test("keeps whose prompt is answered, and lays the tower where LLaDA-V's code looks for it", async (t) => {
    t.mock.method(console, "log", () => {});
    const out = join(scratch, "llava");
    await run(["--checkpoint", llavaFolder, "--out", out, "--max-shard", "1"]);
    assert.ok(speaksLlava(out));
    const [first, again] = [loadModel(device, llavaFolder), loadModel(device, out)];
    assert.deepEqual({ ...again.config, name: "" }, { ...first.config, name: "" });
    await sameParameters(first, again);
    const config = JSON.parse(readFileSync(join(out, "config.json"), "utf8")) as Record<string, unknown>;
    assert.equal(config["mm_vision_tower"], join(out, "siglip"));
    const tower = openPublished(join(out, "siglip"));
    assert.deepEqual(tower.config.vision, first.config.vision);
    for (const { name } of visionSpecs(first.config.vision))
      assert.deepEqual(storedToF32(tower.file.read(tower.stored.get(name)!)), await first.parameters.get(name)!.read());
    tower.file.close();
    disposeRediff(first);
    disposeRediff(again);
    await assert.rejects(run(["--checkpoint", llavaFolder, "--out", llavaFolder]), /must be another folder/);
  });

  test("puts a language model and a tower together, as assembleModel does", async (t) => {
    t.mock.method(console, "log", () => {});
    const text = changed("llada", (config) => {
      for (const role of ["mask", "eos", "pad"]) delete config[`${role}_token_id`];
    });
    copyFileSync(join(llavaFolder, "tokenizer.json"), join(text, "tokenizer.json"));
    const out = join(scratch, "assembled");
    await run(["--checkpoint", text, "--tower", folder("siglip"), "--out", out]);
    const parts = { text, vision: folder("siglip") };
    const [wanted, made] = [assembleModel(device, parts), loadModel(device, out)];
    await sameParameters(wanted, made);
    assert.ok(speaksLlava(out));
    const int8 = await assembleModelAs(device, parts, "int8");
    assert.deepEqual([...int8.parameters.keys()], [...wanted.parameters.keys()]);
    assert.ok("words" in int8.parameters.get("model.mm_projector.2.weight")!);
    for (const model of [wanted, made, int8]) disposeRediff(model);
  });

  test("holds parts of a tensor in memory only", async () => {
    const shape = [5000, 4096];
    const reads: number[] = [];
    const file = {
      name: "x",
      tensors: new Map(),
      metadata: {},
      read: (name: string, from = 0, to = 5000) => {
        reads.push(to - from);
        const rows = new Float32Array((to - from) * 4096).fill(from ? 2 : 1);
        return f32ToStored(name, [to - from, 4096], rows, "BF16");
      },
      close: () => {},
    };
    const out = join(scratch, "large");
    const specs = [{ name: "lm_head.weight", shape }];
    const opened = { config: preset("small"), file, specs, nameOf: (name: string) => name };
    await exportCheckpoint(opened, out, { dtype: "BF16" });
    assert.deepEqual(reads, [4096, 904]);
    const written = openTensorFile(out, inFolder(out));
    const rows = [4095, 4096].map((row) => storedToF32(written.read("lm_head.weight", row, row + 1))[0]);
    assert.deepEqual(rows, [1, 2]);
    written.close();
  });
});

test("matrices larger than a binding are read and stored by rows", async () => {
  const model = createRediff(device, preset("nano"), 5);
  const folder = join(scratch, "split");
  await exportModel(model, folder);
  // The embedding takes 131,072 bytes.
  const small = await openDevice({ maxBindingBytes: 16_384 });
  const split = await loadModelAs(small, folder, "f32");
  const weight = split.parameters.get("model.embed_tokens.weight")!;
  assert.ok("shards" in weight && weight.shards.length === 8);
  const parts = await Promise.all(weight.shards.map((shard) => (shard as Tensor).read()));
  assert.deepEqual(
    parts.flatMap((part) => [...part]),
    [...(await model.parameters.get("model.embed_tokens.weight")!.read())],
  );
  disposeRediff(split);
  disposeRediff(model);
  await small.close();
});
