/** What a caption costs and sees, on the published folder of test/goldens/llavaFolder.py, whose pictures are tiled. */
import assert from "node:assert/strict";
import { fileURLToPath } from "node:url";
import { after, before, describe, test } from "node:test";
import { tokenizerFor } from "../../src/cli/usage.ts";
import { loadToUse } from "../../src/cli/weights.ts";
import { readImage } from "../../src/data/image.ts";
import { pictureTokens } from "../../src/model/anyResolution.ts";
import { loadModel, loadModelAs } from "../../src/model/checkpoint.ts";
import { encodePicture, type Image } from "../../src/model/encodePicture.ts";
import { memoryNeed } from "../../src/model/memory.ts";
import { askAbout, llavaPrompt } from "../../src/model/prompt.ts";
import { type AnyRediff, disposeRediff } from "../../src/model/rediff.ts";
import { shardsOf } from "../../src/nn/weight.ts";
import { captionImages, captionPictures } from "../../src/sample/caption.ts";
import type { Decoder } from "../../src/sample/decoder.ts";
import { samplers } from "../../src/sample/presets.ts";
import { type Device, LimitError, noGrad, openDevice, scope, Tensor } from "../../src/tensor/index.ts";

const golden = fileURLToPath(new URL("../goldens/llavaFolder", import.meta.url));
const tokenizer = tokenizerFor(golden);
const prompt = llavaPrompt(tokenizer, askAbout(1), "reference");
const auto = { storage: "auto", memory: undefined, matmul: "f32" } as const;
const decoding = { batch: 1, prompt: prompt.length, canvas: 16 };

let device: Device;
let model: AnyRediff;
let photos: Image[];
before(async () => {
  device = await openDevice();
  model = await loadModelAs(device, golden, "f32");
  photos = await Promise.all(["photo.png", "photo.jpg"].map((name) => readImage(`${golden}/${name}`)));
});
after(async () => {
  disposeRediff(model);
  await device.close();
});

const options = (steps: number) => ({ preset: "reference", prompt, canvas: 16, tokensPerStep: 16 / steps }) as const;

describe("image tokens are made once for a caption", () => {
  for (const [name, decoder] of [
    ["mask prediction", samplers.fixed.decoder("mask")],
    ["refining", samplers.fixed.decoder("refine")],
    ["the released sampler", samplers.reference.decoder("refine")],
    ["self-correction", samplers.fixed.decoder("correct", { passes: 1 })],
  ] as const satisfies readonly (readonly [string, Decoder])[])
    test(name, async () => {
      /** Operations of the products of each stretch: up to the first step's end, and of every later one. */
      const stretches: number[] = [];
      let seen = device.productFlops;
      const onStep = () => {
        stretches.push(device.productFlops - seen);
        seen = device.productFlops;
      };
      const { steps } = await captionPictures(model, tokenizer, [photos[0]!], decoder, {
        ...options(4),
        preset: "fixed",
        onStep,
      });
      const total = stretches.reduce((sum, flops) => sum + flops, 0) + device.productFlops - seen;
      const before = device.productFlops;
      await noGrad(device, () => scope(device, async () => void (await encodePicture(model, photos[0]!).read())));
      const encoding = device.productFlops - before;
      const step = await onePass(model);
      assert.ok(steps >= 4);
      assert.equal(total, encoding + steps * step);
    });
});

/** Operations of one step behind the first photo, without those of its image tokens. */
async function onePass(of: AnyRediff): Promise<number> {
  const counts: number[] = [];
  for (const steps of [1, 2]) {
    const before = device.productFlops;
    await captionPictures(of, tokenizer, [photos[0]!], samplers.paper.decoder("mask"), {
      ...options(steps),
      preset: "paper",
    });
    counts.push(device.productFlops - before);
  }
  return counts[1]! - counts[0]!;
}

test("a batch of pictures of different sizes is tiled as each alone is", async () => {
  const decoder = samplers.reference.decoder("mask");
  const together = await captionImages(model, tokenizer, photos, decoder, options(4));
  for (const [i, photo] of photos.entries()) {
    const alone = await captionPictures(model, tokenizer, [photo], decoder, options(4));
    assert.deepEqual(together[i]!.ids, alone.ids);
  }
});

describe("an adapter that binds little", () => {
  // The embeddings take 52 kB, the pixels of four views 43 kB.
  let small: Device;
  before(async () => {
    small = await openDevice({ maxBindingBytes: 45_000 });
  });
  after(() => small.close());

  test("captions with the weights in parts, which f32 is to the id", async () => {
    const parts = await loadToUse(small, golden, auto, decoding);
    const embeddings = parts.parameters.get("model.embed_tokens.weight")!;
    assert.ok(shardsOf(embeddings).length > 1);
    assert.ok(shardsOf(embeddings).every((shard) => shard instanceof Tensor && shard.dtype === "f32"));
    const decoder = samplers.reference.decoder("refine");
    const [split, whole] = await Promise.all([
      captionPictures(parts, tokenizer, [photos[0]!], decoder, options(4)),
      captionPictures(model, tokenizer, [photos[0]!], decoder, options(4)),
    ]);
    assert.deepEqual(split.ids, whole.ids);
    disposeRediff(parts);
  });

  test("says which weights cannot be trained there, and what can be done", () => {
    assert.throws(
      () => loadModel(small, golden),
      (error: unknown) =>
        error instanceof LimitError &&
        /\d are larger than the 45\.0 kB that this adapter binds, such as model\.embed_tokens\.weight \(52\.\d kB\).*--dtype/.test(
          error.message,
        ),
    );
  });

  test("says what does not fit it whatever the storage", async () => {
    await assert.rejects(
      loadToUse(small, golden, auto, { ...decoding, canvas: 128 }),
      /fits in no storage: f32: logits of the canvas take .* in one binding; the adapter binds 45\.0 kB/,
    );
  });
});

describe("weights to use", () => {
  const storageOf = async (memory: number | undefined): Promise<string> => {
    const loaded = await loadToUse(device, golden, { ...auto, memory }, decoding);
    const [shard] = shardsOf(loaded.parameters.get("lm_head.weight")!);
    disposeRediff(loaded);
    return shard instanceof Tensor ? shard.dtype : `int${shard!.format.bits}`;
  };

  test("are f32 where that fits, and else what does, which is said", async (t) => {
    const said: string[] = [];
    t.mock.method(console, "error", (line: string) => said.push(line));
    assert.equal(await storageOf(undefined), "f32");
    assert.deepEqual(said, []);
    const workload = { picture: pictureTokens(model.config).most, ...decoding };
    const { total } = memoryNeed(model.config, "f32", workload, device.maxBindingBytes);
    assert.equal(await storageOf(total), "f32");
    assert.notEqual(await storageOf(total - 1), "f32");
    assert.match(
      said.join("\n"),
      /^Weights in (f16|int8): .* with all else \(.* are free\)\. Not in f32: 0\.0 kB of memory/,
    );
  });

  test("in a storage that was asked for are refused where they do not fit", async () => {
    await assert.rejects(
      loadToUse(device, golden, { ...auto, storage: "f32", memory: 1e5 }, decoding),
      /does not fit in f32: .* of memory are missing .*--dtype chooses another storage/,
    );
  });
});
