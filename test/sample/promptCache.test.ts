/** The prompt's kept keys and values: exact when they are fresh, an approximation that is no other computation when they are not. */
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { disposeRediff, type Rediff } from "../../src/model/rediff.ts";
import { canvasLogits, embedSequences, IMAGE } from "../../src/model/sequence.ts";
import type { DecodeOptions, Decoder, DecodeRequest } from "../../src/sample/decoder.ts";
import { maskPredict } from "../../src/sample/maskPredict.ts";
import { cachedLogits } from "../../src/sample/promptCache.ts";
import { reference } from "../../src/sample/referenceDecoder.ts";
import { refine } from "../../src/sample/refine.ts";
import { type Device, noGrad, openDevice, scope, type Tensor, tensor } from "../../src/tensor/index.ts";
import { imageOf, lladaIds, lladaModel } from "../support/lladaGolden.ts";

let device: Device;
let model: Rediff;
let request: DecodeRequest;
before(async () => {
  device = await openDevice();
  model = lladaModel(device);
  const C = model.config.text.width;
  request = {
    // Rows of 10, 14 and 4 tokens: two images, one, none.
    images: [5, 3, 10].map((P, i) => imageOf(device, 70 + i, P, C)),
    prompts: [
      [IMAGE, 5, IMAGE, 6],
      [7, 8, IMAGE, 9, 10],
      [11, 12, 13, 14],
    ],
    maskId: lladaIds.mask,
    banned: [lladaIds.start, lladaIds.end],
  };
});
after(async () => {
  disposeRediff(model);
  await device.close();
});

const B = 3;
const T = 12;
const decode = async (decoder: Decoder, options: Omit<DecodeOptions, "canvas">): Promise<Uint32Array> =>
  (await decoder(model, request, { canvas: T, ...options })).canvas;

for (const [name, decoder] of [
  ["maskPredict", maskPredict],
  ["refine", refine],
  ["reference", reference({ refine: true })],
] as const)
  test(`${name}: refreshed at every step it is exact, to the bit`, async () => {
    const exact = await decode(decoder, { tokensPerStep: 2 });
    assert.deepEqual(await decode(decoder, { tokensPerStep: 2, cache: "none" }), exact);
    assert.deepEqual(await decode(decoder, { tokensPerStep: 2, cache: "prompt", refresh: 1 }), exact);
    // One step makes the cache and does not use it.
    const atOnce = await decode(decoder, { tokensPerStep: T });
    assert.deepEqual(await decode(decoder, { tokensPerStep: T, cache: "prompt" }), atOnce);
  });

test("logits behind fresh keys equal those of the whole pass, though rows begin at different positions", async () => {
  await scope(device, () =>
    noGrad(device, async () => {
      const sequences = embedSequences(model, request.images, { rows: request.prompts, canvas: T });
      const ids = (seed: number): Tensor =>
        tensor(
          device,
          Array.from({ length: B * T }, (_, i) => (seed * i) % 300),
          [B, T],
          "u32",
        );
      const cache = { cache: "prompt" } as const;
      const first = cachedLogits(model, sequences, ids(7), 0, cache);
      const again = cachedLogits(model, sequences, ids(7), 1, cache, first.kept);
      assert.equal(again.kept, first.kept);
      const [whole, cached] = [await first.logits.read(), await again.logits.read()];
      whole.forEach((want, i) => assert.ok(Math.abs(cached[i]! - want) < 1e-4, `logit ${i}`));
      // With another canvas the prompt is out of date, and that shows.
      const stale = await cachedLogits(model, sequences, ids(11), 1, cache, first.kept).logits.read();
      const fresh = await canvasLogits(model, request.images, request.prompts, ids(11)).read();
      assert.ok(fresh.some((want, i) => Math.abs(stale[i]! - want) > 1e-2));
    }),
  );
});

test("a refresh in between is a whole pass; nothing is left behind", async () => {
  const { liveBytes } = device.memory();
  const never = await decode(refine, { tokensPerStep: 1, cache: "prompt" });
  const sometimes = await decode(refine, { tokensPerStep: 1, cache: "prompt", refresh: 4 });
  assert.deepEqual(sometimes, await decode(refine, { tokensPerStep: 1, cache: "prompt", refresh: 4 }));
  assert.notDeepEqual(sometimes, never);
  assert.deepEqual(await decode(refine, { tokensPerStep: 1, cache: "prompt", refresh: 1000 }), never);
  await device.flush();
  assert.equal(device.memory().liveBytes, liveBytes);
});

test("a refresh without a cache, and one that is no count, are refused", async () => {
  await assert.rejects(decode(refine, { tokensPerStep: 1, refresh: 2 }), /refresh belongs to cache "prompt"/);
  await assert.rejects(
    decode(refine, { tokensPerStep: 1, cache: "prompt", refresh: 0 }),
    /refresh must be a whole number of at least 1/,
  );
});
