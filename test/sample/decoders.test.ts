/** What decoders promise, on a nano model with random weights: its predictions are nonsense, and every promise must hold. */
import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import fc from "fast-check";
import { preset } from "../../src/model/config.ts";
import { createRediff, disposeRediff, encodeImage, type Rediff } from "../../src/model/rediff.ts";
import {
  Change,
  type DecodeOptions,
  type Decoder,
  type DecodeRequest,
  type DecodeStep,
} from "../../src/sample/decoder.ts";
import { IMAGE } from "../../src/model/sequence.ts";
import { maskPredict } from "../../src/sample/maskPredict.ts";
import { refine, refineWith } from "../../src/sample/refine.ts";
import { blockSchedule, evenSchedule } from "../../src/sample/schedules.ts";
import { type Device, noGrad, openDevice, randomStream, type Tensor, tensor } from "../../src/tensor/index.ts";

const MASK = 2;
const BANNED = [0, 3, 4, 6];
const config = preset("nano");
const T = config.text.canvas;
const B = 2;
const prompts = Array.from({ length: B }, () => [0, 10, IMAGE, 11, 12]);

let device: Device;
let model: Rediff;
let image: Tensor;
before(async () => {
  device = await openDevice();
  model = createRediff(device, config, 7);
  const S = config.vision.imageSize;
  const random = randomStream(5, 5);
  const pixels = tensor(
    device,
    Float32Array.from({ length: B * 3 * S * S }, () => random.normal()),
    [B, 3, S, S],
  );
  image = noGrad(device, () => encodeImage(model, pixels));
});
after(async () => {
  disposeRediff(model);
  await device.close();
});

async function watch(
  decoder: Decoder,
  options: Omit<DecodeOptions, "onStep">,
  draft?: Uint32Array,
): Promise<{ canvas: Uint32Array; steps: number; history: DecodeStep[] }> {
  const history: DecodeStep[] = [];
  const request: DecodeRequest = {
    images: [image],
    prompts,
    maskId: MASK,
    banned: BANNED,
    ...(draft ? { draft } : {}),
  };
  const result = await decoder(model, request, { ...options, onStep: (step) => history.push(step) });
  return { ...result, history };
}

const masksIn = (canvas: Uint32Array, row: number, from = 0, to = T): number =>
  canvas.subarray(row * T + from, row * T + to).filter((id) => id === MASK).length;

const options = fc.record({
  tokensPerStep: fc.constantFrom(1, 2, 3, 5, 8, T, 1e9),
  block: fc.constantFrom(1, 5, 8, T, 1000),
  temperature: fc.constantFrom(0, 0.7),
  seed: fc.integer({ min: 0, max: 1000 }),
});
const runs = { seed: 42, numRuns: 8 };

describe("schedules", () => {
  test("golden: 128 tokens in 32 steps, 10 in 4", () => {
    assert.deepEqual(evenSchedule(128, 32), Array(32).fill(4));
    assert.deepEqual(evenSchedule(10, 4), [3, 3, 2, 2]);
  });

  test("every token has a place in one block, and commits sum to it", () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 1, max: 300 }),
        fc.integer({ min: 1, max: 400 }),
        fc.integer({ min: 1, max: 400 }),
        (length, block, n) => {
          const blocks = blockSchedule(length, block, n);
          assert.equal(blocks[0]!.start, 0);
          assert.equal(blocks.at(-1)!.end, length);
          blocks.forEach(({ start, end, commits }, i) => {
            assert.equal(start, i === 0 ? 0 : blocks[i - 1]!.end);
            assert.equal(commits.length, Math.ceil((end - start) / n));
            assert.equal(
              commits.reduce((a, b) => a + b, 0),
              end - start,
            );
            assert.ok(Math.max(...commits) <= n);
          });
        },
      ),
      { seed: 42 },
    );
  });

  test("0, −1, 1.5 and NaN tokens a step are refused", async () => {
    for (const tokensPerStep of [0, -1, 1.5, NaN])
      await assert.rejects(
        watch(maskPredict, { tokensPerStep }),
        /tokens per step must be a whole number of at least 1/,
      );
  });
});

describe("what comes back from the device", () => {
  const request = (): DecodeRequest => ({ images: [image], prompts, maskId: MASK, banned: BANNED });
  const counted = async (given: DecodeOptions): Promise<{ readbacks: number; bytes: number; steps: number }> => {
    const { readbacks, readbackBytes } = device.recorder.counters;
    const { steps } = await refine(model, request(), given);
    const now = device.recorder.counters;
    return { readbacks: now.readbacks - readbacks, bytes: now.readbackBytes - readbackBytes, steps };
  };

  test("the canvas once; when somebody watches, canvas and changes in one read a step besides", async () => {
    const canvasBytes = 4 * B * T;
    assert.deepEqual(await counted({ tokensPerStep: 4 }), { readbacks: 1, bytes: canvasBytes, steps: T / 4 });
    assert.deepEqual(await counted({ tokensPerStep: 4, onStep: () => undefined }), {
      readbacks: T / 4 + 1,
      bytes: (2 * (T / 4) + 1) * canvasBytes,
      steps: T / 4,
    });
    assert.ok(2 * canvasBytes < 4096);
  });

  test("a step repeats its buffers: decoding again makes no bind group, and leaves nothing behind", async () => {
    const given: DecodeOptions = { tokensPerStep: 4, onStep: () => undefined };
    await counted(given);
    const { bindGroups } = device.recorder.counters;
    const { liveBytes, heldBytes } = device.memory();
    for (let i = 0; i < 3; i++) await counted(given);
    assert.equal(device.recorder.counters.bindGroups, bindGroups);
    assert.equal(device.memory().liveBytes, liveBytes);
    assert.equal(device.memory().heldBytes, heldBytes);
  });

  test("what a watcher throws ends the decoding, and nothing stays unhandled", async () => {
    const { liveBytes } = device.memory();
    const shown: number[] = [];
    const onStep = ({ index }: DecodeStep) => {
      shown.push(index);
      if (index === 1) throw new Error("seen enough");
    };
    await assert.rejects(refine(model, request(), { tokensPerStep: 4, onStep }), /seen enough/);
    assert.deepEqual(shown.slice(0, 2), [0, 1]);
    await device.flush();
    assert.equal(device.memory().liveBytes, liveBytes);
  });
});

describe("canvas", () => {
  test("may be longer or shorter than the model's own", async () => {
    for (const canvas of [5, 2 * T]) {
      const request: DecodeRequest = { images: [image], prompts, maskId: MASK, banned: BANNED };
      const result = await refine(model, request, { tokensPerStep: 4, canvas });
      assert.equal(result.canvas.length, B * canvas);
      assert.equal(result.steps, Math.ceil(canvas / 4));
      assert.ok(!result.canvas.includes(MASK));
    }
    await assert.rejects(watch(refine, { tokensPerStep: 4, canvas: 0 }), /canvas must be a whole number of at least 1/);
  });
});

describe("both decoders", () => {
  for (const [name, decoder] of [
    ["maskPredict", maskPredict],
    ["refine", refine],
  ] as const) {
    test(`${name}: exactly the scheduled number commits at each step, and none is masked at the end`, () =>
      fc.assert(
        fc.asyncProperty(options, async (drawn) => {
          const { history, steps, canvas } = await watch(decoder, drawn);
          const blocks = blockSchedule(T, drawn.block, drawn.tokensPerStep);
          const commits = blocks.flatMap((block) => block.commits.map((count) => ({ ...block, count })));
          assert.equal(steps, commits.length);
          assert.equal(history.length, commits.length);
          for (let row = 0; row < B; row++) {
            let masked = T;
            history.forEach((step, i) => {
              const { count, end } = commits[i]!;
              masked -= count;
              assert.equal(masksIn(step.canvas, row), masked, `step ${i}`);
              assert.equal(
                step.changes.subarray(row * T, (row + 1) * T).filter((change) => change === Change.committed).length,
                count,
              );
              assert.equal(masksIn(step.canvas, row, end), T - end, "nothing behind the block is decoded");
            });
          }
          assert.ok(!canvas.includes(MASK));
          for (const id of BANNED) assert.ok(!canvas.includes(id), `banned ${id} was chosen`);
        }),
        runs,
      ));

    test(`${name}: the same seed gives the same output, at temperature 0 every seed does`, async () => {
      const cold = await watch(decoder, { tokensPerStep: 4, seed: 1 });
      assert.deepEqual((await watch(decoder, { tokensPerStep: 4, seed: 2 })).canvas, cold.canvas);
      const warm = await watch(decoder, { tokensPerStep: 4, temperature: 1, seed: 1 });
      assert.deepEqual((await watch(decoder, { tokensPerStep: 4, temperature: 1, seed: 1 })).canvas, warm.canvas);
      assert.notDeepEqual((await watch(decoder, { tokensPerStep: 4, temperature: 1, seed: 2 })).canvas, warm.canvas);
    });

    test(`${name}: watching does not change the result`, async () => {
      const request: DecodeRequest = { images: [image], prompts, maskId: MASK, banned: BANNED };
      const unwatched = await decoder(model, request, { tokensPerStep: 3 });
      assert.deepEqual(unwatched.canvas, (await watch(decoder, { tokensPerStep: 3 })).canvas);
    });
  }
});

describe("mask prediction", () => {
  test("never changes a visible token, of its own or of a draft", () =>
    fc.assert(
      fc.asyncProperty(
        options,
        fc.uint32Array({ minLength: B * T, maxLength: B * T, max: 30 }),
        async (drawn, noise) => {
          const draft = noise.map((id) => (id < 15 ? MASK : 50 + id));
          const { history } = await watch(maskPredict, drawn, draft);
          let visible: Uint32Array = draft;
          for (const { canvas } of history) {
            visible.forEach((id, i) =>
              assert.ok(id === MASK || canvas[i] === id, `position ${i} changed from ${id} to ${canvas[i]}`),
            );
            visible = canvas;
          }
        },
      ),
      runs,
    ));
});

describe("refining", () => {
  test("with the replacement switched off it is mask prediction", () =>
    fc.assert(
      fc.asyncProperty(options, async (drawn) => {
        assert.deepEqual((await watch(refineWith(2), drawn)).canvas, (await watch(maskPredict, drawn)).canvas);
      }),
      runs,
    ));

  test("replaces visible tokens of the block by the new prediction, and says where", async () => {
    const { history } = await watch(refine, { tokensPerStep: 4 });
    let before: Uint32Array = new Uint32Array(B * T).fill(MASK);
    let replaced = 0;
    for (const { canvas, changes } of history) {
      canvas.forEach((id, i) => {
        const expected =
          id === MASK
            ? Change.masked
            : before[i] === MASK
              ? Change.committed
              : before[i] === id
                ? Change.kept
                : Change.replaced;
        assert.equal(changes[i], expected, `position ${i}`);
        replaced += Number(expected === Change.replaced);
      });
      before = canvas;
    }
    assert.ok(replaced > 0, "a random model replaces something");
  });

  test("leaves a draft outside the current block alone", async () => {
    const draft = new Uint32Array(B * T).fill(MASK);
    for (let row = 0; row < B; row++) draft.fill(77, row * T + 16, row * T + T);
    const { history } = await watch(refine, { tokensPerStep: 4, block: 8 }, draft);
    for (const { canvas } of history.slice(0, 4))
      for (let row = 0; row < B; row++)
        assert.ok(canvas.subarray(row * T + 16, (row + 1) * T).every((id) => id === 77));
  });
});
