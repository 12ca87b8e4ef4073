/** Layers give the same whatever their weights are stored as, and however many parts the adapter makes of them. */
import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { linear } from "../../src/nn/linear.ts";
import { createParameters, createWeights, disposeParameters, section } from "../../src/nn/parameters.ts";
import { createWeight, disposeWeight, lookUp, rowRanges, shardsOf, storedBytes } from "../../src/nn/weight.ts";
import {
  backward,
  type Device,
  embedding,
  matmul,
  noGrad,
  openDevice,
  scope,
  sum,
  type Tensor,
  tensor,
  transpose,
} from "../../src/tensor/index.ts";

const [OUT, IN] = [200, 64];
const values = Float32Array.from({ length: OUT * IN }, (_, i) => Math.sin(i * 0.7) / 8);
const rowsOf =
  (device: Device) =>
  ({ start, end }: { start: number; end: number }): Tensor =>
    tensor(device, values.subarray(start * IN, end * IN), [end - start, IN]);

describe("an adapter that binds 8 KiB", () => {
  let device: Device;
  before(async () => {
    device = await openDevice({ maxBindingBytes: 8192 });
  });
  after(() => device.close());

  test("a tensor over the limit is refused, with both numbers", () => {
    assert.throws(() => tensor(device, values, [OUT, IN]), /needs 51200 bytes; this adapter binds at most 8192/);
  });

  for (const [storage, tolerance] of [
    ["f32", 1e-6],
    ["f16", 1e-3],
    ["int8", 4e-3],
    ["int4", 6e-2],
  ] as const)
    test(`linear and lookUp of a matrix in parts, ${storage}`, async (context) => {
      if (storage === "f16" && !device.gpu.features.has("shader-f16")) return context.skip("no shader-f16");
      const start = device.memory().liveBytes;
      const weight = await createWeight(device, [OUT, IN], storage, rowsOf(device), "w");
      assert.ok(shardsOf(weight).length > 6, `${shardsOf(weight).length} parts`);
      assert.deepEqual([...weight.shape], [OUT, IN]);
      await noGrad(device, () =>
        scope(device, async () => {
          const x = Float32Array.from({ length: 3 * IN }, (_, i) => Math.cos(i));
          const bias = Float32Array.from({ length: OUT }, (_, n) => n / 100);
          const y = await linear(tensor(device, x, [3, IN]), weight, tensor(device, bias, [OUT])).read();
          for (let i = 0; i < y.length; i++) {
            const [m, n] = [Math.floor(i / OUT), i % OUT];
            let expected = bias[n]!;
            for (let k = 0; k < IN; k++) expected += x[m * IN + k]! * values[n * IN + k]!;
            assert.ok(Math.abs(y[i]! - expected) <= tolerance * 8, `y[${m},${n}] is ${y[i]}, not ${expected}`);
          }
          const ids = [0, 31, 32, 199, 100, 32];
          const rows = await lookUp(weight, tensor(device, ids, [2, 3], "u32")).read();
          ids.forEach((id, n) => {
            for (let c = 0; c < IN; c++)
              assert.ok(Math.abs(rows[n * IN + c]! - values[id * IN + c]!) <= tolerance, `row ${id}, column ${c}`);
          });
          const missing = await lookUp(weight, tensor(device, [OUT, 5], [2], "u32")).read();
          assert.ok(missing.subarray(0, IN).every(Number.isNaN) && missing.subarray(IN).every(Number.isFinite));
        }),
      );
      disposeWeight(weight);
      assert.equal(device.memory().liveBytes, start);
    });
});

test("parts cover all rows once, and each fits", () => {
  for (const rows of [1, 7, 64, 1000, 126_464])
    for (const limit of [1_000, 40_000, 2 ** 27]) {
      const ranges = rowRanges(rows, 200, "f32", limit, "w");
      assert.equal(ranges[0]!.start, 0);
      assert.equal(ranges.at(-1)!.end, rows);
      ranges.forEach(({ start, end }, i) => {
        assert.ok(end > start && storedBytes(end - start, 200, "f32") <= limit);
        assert.equal(start, ranges[i - 1]?.end ?? 0);
      });
    }
  assert.throws(() => rowRanges(5, 200, "f32", 799, "head"), /head: a row of 200 takes more than the 799 bytes/);
});

test("trained parts give gradients to x and to each part; a quantised weight to x alone", async () => {
  const device = await openDevice({ maxBindingBytes: 16_384 });
  await scope(device, async () => {
    const weight = await createWeight(device, [OUT, IN], "f32", rowsOf(device), "w");
    const shards = shardsOf(weight) as Tensor[];
    for (const shard of shards) shard.requiresGrad = true;
    const x = tensor(
      device,
      Float32Array.from({ length: 2 * IN }, (_, i) => Math.cos(i)),
      [2, IN],
    );
    x.requiresGrad = true;
    backward(sum(linear(x, weight)));
    const dx = await x.grad!.read();
    const whole = await noGrad(device, () =>
      matmul(
        tensor(device, new Float32Array(32).fill(1), [1, 32]),
        tensor(device, values.subarray(0, 32 * IN), [32, IN]),
      ).read(),
    );
    // Columns of dx are sums over all rows of w: here over the first 32, and the rest in plain numbers.
    for (let k = 0; k < IN; k++) {
      let expected = whole[k]!;
      for (let n = 32; n < OUT; n++) expected += values[n * IN + k]!;
      assert.ok(Math.abs(dx[k]! - expected) < 1e-4);
    }
    for (const shard of shards) assert.deepEqual([...shard.grad!.shape], [...shard.shape]);
    assert.throws(() => lookUp(weight, tensor(device, [1], [1], "u32")), /parts of a table have no gradient/);
    disposeWeight(weight);
  });
  await device.close();
});

test("names lead to weights: a norm is a tensor, a matrix any of them", async () => {
  const device = await openDevice();
  const specs = [
    { name: "a.norm.weight", shape: [IN] },
    { name: "a.up.weight", shape: [OUT, IN] },
  ];
  const weights = await createWeights(device, specs, "int4", ({ shape }, range) =>
    shape.length === 1 ? tensor(device, new Float32Array(IN).fill(1), [IN]) : rowsOf(device)(range),
  );
  const p = section(weights, "a.");
  assert.deepEqual([...p("norm.weight").shape], [IN]);
  assert.throws(() => p("up.weight"), /a\.up\.weight is quantised or split; only `linear` and `lookUp` take it/);
  assert.throws(() => p.matrix("down.weight"), /no parameter a\.down\.weight; the model has 2/);
  disposeParameters(weights);

  const trained = createParameters(device, specs, ({ shape }) => new Float32Array(shape.length === 1 ? IN : OUT * IN));
  await scope(device, async () => {
    const table = section(trained, "a.")("up.weight");
    const ids = tensor(device, [3], [1], "u32");
    assert.deepEqual(await lookUp(table, ids).read(), await embedding(table, ids).read());
    const x = tensor(device, new Float32Array(IN).fill(1), [1, IN]);
    assert.deepEqual(await linear(x, table).read(), await matmul(x, transpose(table)).read());
  });
  disposeParameters(trained);
  assert.equal(device.memory().liveBytes, 0);
  await device.close();
});
