/** Kernels along rows: what cases cannot say (ids that do not exist, errors), and the same cases without subgroups. */
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import fc from "fast-check";
import {
  confidence,
  crossEntropy,
  type Device,
  embedding,
  NonFiniteError,
  openDevice,
  select,
  ShapeError,
  tensor,
  zeros,
} from "../../src/tensor/index.ts";
import { checkExample, type OpCase } from "../support/opCase.ts";

const ops = ["confidence", "crossEntropy", "embedding", "gather", "layerNorm", "reduce", "rmsNorm", "softmax"];

let device: Device;
before(async () => {
  device = await openDevice({ debug: { canary: true }, without: ["subgroups"] });
});
after(() => device.close());

for (const name of ops) {
  const module = (await import(`../cases/${name}.ts`)) as { default: unknown };
  for (const op of [module.default].flat() as OpCase<Record<string, number | boolean | string>>[])
    test(`${op.name}, lanes exchange values through workgroup memory`, async () => {
      for (const { params, values } of op.edges ?? []) await checkExample(device, op, params, 42, values);
      const example = fc.asyncProperty(op.params, fc.nat(), (params, seed) => checkExample(device, op, params, seed));
      await fc.assert(example, { seed: 42, numRuns: 6 });
    });
}

test("an id that does not exist gives NaN, and the finite check names the operation", async () => {
  const checked = await openDevice({ debug: { finite: true } });
  const weights = tensor(device, [1, 1, 0], [3]);
  const losses = await crossEntropy(zeros(device, [3, 4]), tensor(device, [1, 4, 7], [3], "u32"), weights).read();
  assert.deepEqual(
    [...losses].map((loss) => Math.round(1000 * loss)),
    [1386, NaN, 0],
  );
  const rows = await embedding(zeros(device, [3, 2]), tensor(device, [2, 3], [2], "u32")).read();
  assert.deepEqual([...rows], [0, 0, NaN, NaN]);
  embedding(zeros(checked, [3, 4]), tensor(checked, [0xffffffff], [1], "u32"));
  await assert.rejects(
    checked.flush(),
    (error: unknown) => error instanceof NonFiniteError && error.message.includes("gatherRows"),
  );
  await checked.close();
});

test("sizes are checked before any GPU work", () => {
  const canvas = zeros(device, [2, 8], "u32");
  const inputs = { canvas, predicted: canvas, confidence: zeros(device, [2, 8]) };
  assert.throws(() => select(inputs, { maskId: 1, start: 4, end: 9, count: 1 }), {
    name: "ShapeError",
    message: /0 <= start < end <= T = 8/,
  });
  assert.throws(() => select(inputs, { maskId: 1, start: 0, end: 8, count: -1 }), ShapeError);
  assert.throws(
    () => confidence(zeros(device, [2, 40]), { banned: zeros(device, [1], "u32") }),
    /bit mask of \(2,\) words for V = 40/,
  );
  assert.throws(() => crossEntropy(zeros(device, [2, 4]), zeros(device, [3], "u32"), zeros(device, [2])), ShapeError);
});
