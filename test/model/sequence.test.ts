/** Where text, images, canvas and padding stand. The numbers that come out are compared with LLaDA-V's in lladaGolden.test.ts. */
import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { disposeRediff, type Rediff } from "../../src/model/rediff.ts";
import { canvasLogits, embedSequences, IMAGE, layoutSequences, sequenceStates } from "../../src/model/sequence.ts";
import {
  backward,
  type Device,
  mul,
  noGrad,
  openDevice,
  readAll,
  scope,
  sum,
  tensor,
  zeroGrad,
} from "../../src/tensor/index.ts";
import { imageOf, lladaModel } from "../support/lladaGolden.ts";

describe("layout", () => {
  test("two rows: an image inside, and an image at each end", () => {
    const rows = [
      [10, IMAGE, 11],
      [IMAGE, 12, IMAGE],
    ];
    const layout = layoutSequences({ rows, canvas: 2 }, [2, 1, 3]);
    assert.deepEqual(layout.text, [10, 11, 12]);
    assert.deepEqual(layout.promptLengths, [4, 5]);
    assert.deepEqual([...layout.lengths], [6, 7]);
    assert.equal(layout.L, 7);
    // Text 0–2, images 3–4, 5, 6–8, zeros 9, canvas 10–13.
    assert.deepEqual([...layout.index], [0, 3, 4, 1, 10, 11, 9, 5, 2, 6, 7, 8, 12, 13]);
    assert.deepEqual([...layout.wanted], [4, 5, 12, 13]);
    assert.deepEqual(layout.starts, [4, 5]);
  });

  test("wanted places begin somewhere only if they follow each other and are as many in each row", () => {
    const startsOf = (...wanted: number[][]) =>
      layoutSequences(
        {
          rows: [
            [1, 2, 3],
            [IMAGE, 4, 5],
          ],
          wanted,
        },
        [2],
      ).starts;
    assert.deepEqual(startsOf([1, 2], [1, 2]), [1, 2]);
    assert.equal(startsOf([0, 2], [1, 2]), undefined);
    assert.equal(startsOf([1, 2], [1]), undefined);
    assert.equal(startsOf([1], [0, 2]), undefined);
  });

  test("rows of one length have no row of zeros, and wanted places count ids, not tokens", () => {
    const layout = layoutSequences({ rows: [[IMAGE, 5, 6]], wanted: [[1, 2]] }, [4]);
    assert.deepEqual([...layout.index], [2, 3, 4, 5, 0, 1]);
    assert.deepEqual([...layout.wanted], [4, 5]);
  });

  test("images and places that differ in number, and sequences of which nothing is wanted", () => {
    assert.throws(
      () => layoutSequences({ rows: [[IMAGE, 1], [2]], canvas: 1 }, [3, 3]),
      /1 places for images, and there are 2 images/,
    );
    assert.throws(() => layoutSequences({ rows: [[1, 2]] }, []), /Nothing is wanted/);
  });
});

describe("on the device", () => {
  let device: Device;
  let model: Rediff;
  before(async () => {
    device = await openDevice();
    model = lladaModel(device);
  });
  after(async () => {
    disposeRediff(model);
    await device.close();
  });

  test("a row of a ragged batch is what it is alone", async () => {
    await scope(device, () =>
      noGrad(device, async () => {
        const { width: C, vocabulary: V } = model.config.text;
        const images = [6, 2, 3].map((P, i) => imageOf(device, 40 + i, P, C));
        const prompts = [[1, 2, IMAGE], [3], [IMAGE, 4, 5, IMAGE, 6, 7]];
        const T = 5;
        const ids = Array.from({ length: 3 * T }, (_, i) => (17 * i) % 300);
        const logitsOf = (rows: number[], pictures: typeof images) =>
          canvasLogits(
            model,
            pictures,
            rows.map((b) => prompts[b]!),
            tensor(
              device,
              rows.flatMap((b) => ids.slice(b * T, (b + 1) * T)),
              [rows.length, T],
              "u32",
            ),
          ).read();
        const together = await logitsOf([0, 1, 2], images);
        const alone = [
          await logitsOf([0], images.slice(0, 1)),
          await logitsOf([1], []),
          await logitsOf([2], images.slice(1)),
        ];
        alone.forEach((values, b) =>
          values.forEach((want, i) =>
            assert.ok(Math.abs(together[b * T * V + i]! - want) < 1e-4, `row ${b}, logit ${i}`),
          ),
        );
      }),
    );
  });

  test("a last layer that computes the wanted places alone gives the same states and gradients", async () => {
    for (const again of [false, true]) {
      const states = async (short: boolean) =>
        scope(device, async () => {
          const picture = imageOf(device, 5, 4, model.config.text.width);
          const sequences = embedSequences(model, [picture], { rows: [[1, IMAGE, 2], [3]], canvas: 6 });
          assert.ok(sequences.wanted.starts && sequences.lengths, "ragged rows, each with its canvas");
          const canvas = tensor(device, [...Array(12).keys()], [2, 6], "u32");
          const { index } = sequences.wanted;
          const y = sequenceStates(
            { ...model, recompute: again },
            short ? sequences : { ...sequences, wanted: { index } },
            canvas,
          );
          backward(sum(mul(y, imageOf(device, 6, ...(y.shape as [number, number])))));
          const gradients = [...model.parameters].filter(([, { grad }]) => grad);
          const read = await readAll([y, ...gradients.map(([, { grad }]) => grad!)]);
          zeroGrad(model.parameters.values());
          return new Map(["states", ...gradients.map(([name]) => name)].map((name, i) => [name, read[i]!]));
        });
      const want = await states(false);
      const have = await states(true);
      assert.deepEqual([...have.keys()], [...want.keys()]);
      assert.ok(want.size > 15);
      for (const [name, values] of want) {
        const most = Math.max(...values.map(Math.abs));
        values.forEach((value, i) => assert.ok(Math.abs(have.get(name)![i]! - value) <= 1e-5 * most, `${name} ${i}`));
      }
    }
  });

  test("images of equal size may come as one tensor (n, P, C)", () => {
    scope(device, () => {
      const C = model.config.text.width;
      const both = imageOf(device, 9, 8, C).size;
      const stacked = tensor(device, new Float32Array(both), [2, 4, C]);
      const { layout } = embedSequences(model, [stacked], { rows: [[IMAGE], [1, IMAGE]], canvas: 1 });
      assert.deepEqual(layout.promptLengths, [4, 5]);
    });
  });

  test("one prompt for each canvas", () => {
    assert.throws(
      () => canvasLogits(model, [], [[1]], tensor(device, [1, 2], [2, 1], "u32")),
      /one prompt for each canvas; there are 1 and 2/,
    );
  });
});
