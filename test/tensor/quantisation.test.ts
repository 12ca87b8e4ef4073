/** Properties of quantisation on the processor, whatever the weights, and that the device agrees to the bit. */
import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { dequantise, int4, int8, openDevice, quantise, quantised, scope, tensor } from "../../src/tensor/index.ts";
import {
  bf16,
  dequantiseRows,
  levels,
  quantisedBytes,
  type QuantisedFormat,
  quantiseRows,
  rowLayout,
} from "../../src/tensor/quantisation.ts";

const format = fc.record({
  bits: fc.constantFrom(4 as const, 8 as const),
  group: fc.constantFrom(32, 64, 96, 128),
});
const value = fc.oneof(
  fc.double({ min: -2.9e38, max: 2.9e38, noNaN: true }),
  fc.double({ min: -2, max: 2, noNaN: true }),
  fc.constantFrom(0, -0, 1e-30, -1e-30, 2.9e38, 1e-45),
);
/** Rows of up to three groups and some. */
const matrix = fc
  .record({ N: fc.integer({ min: 1, max: 4 }), K: fc.integer({ min: 1, max: 300 }) })
  .chain(({ N, K }) =>
    fc
      .array(value, { minLength: N * K, maxLength: N * K })
      .map((values) => ({ N, K, values: Float32Array.from(values) })),
  );

const scaleAt = (scales: Uint32Array, rowScales: number, n: number, g: number): number =>
  bf16((scales[n * rowScales + (g >> 1)]! >>> (16 * (g & 1))) & 0xffff);

test("an error is at most half a step of its group", () => {
  fc.assert(
    fc.property(matrix, format, ({ N, K, values }, f: QuantisedFormat) => {
      const q = quantiseRows(values, N, K, f);
      const back = dequantiseRows(q, N, K, f);
      const row = rowLayout(K, f);
      values.forEach((v, i) => {
        const [n, k] = [Math.floor(i / K), i % K];
        const step = scaleAt(q.scales, row.scales, n, Math.floor(k / f.group));
        // The integer is chosen in f32: a value halfway between two may fall on either side.
        const most = (Math.abs(step) / 2) * (1 + levels(f) * 2 ** -22);
        assert.ok(Math.abs(v - back[i]!) <= most, `${v} became ${back[i]}, with steps of ${step}`);
      });
    }),
    { numRuns: 60, seed: 42 },
  );
});

test("a step is at most 1/128 wider than the largest of its group needs", () => {
  fc.assert(
    fc.property(fc.double({ min: 1e-30, max: 1e30, noNaN: true }), format, (largest, f: QuantisedFormat) => {
      const v = Math.fround(largest);
      for (const sign of [1, -1]) {
        const { scales } = quantiseRows([sign * v, (-sign * v) / 3], 1, 2, f);
        const reach = -sign * scaleAt(scales, 1, 0, 0) * levels(f);
        assert.ok(reach >= v && reach <= v * (1 + 1 / 127), `${reach} for ${v}`);
      }
    }),
    { numRuns: 100, seed: 42 },
  );
});

test("what a format can hold comes back as it was: integers times a bf16, the smallest integer among them", () => {
  const arbitrary = fc.record({
    f: format,
    scale: fc
      .tuple(fc.integer({ min: 0x2000, max: 0x5f00 }), fc.constantFrom(1, -1))
      .map(([bits, sign]) => sign * bf16(bits)),
    draws: fc.array(fc.integer({ min: 0, max: 255 }), { minLength: 1, maxLength: 300 }),
  });
  fc.assert(
    fc.property(arbitrary, ({ f, scale, draws }) => {
      const L = levels(f);
      const values = Float32Array.from(draws, (q, k) => (k % f.group === 0 ? -L : (q % (2 * L)) - L) * scale);
      const K = values.length;
      assert.deepEqual(
        dequantiseRows(quantiseRows(values, 1, K, f), 1, K, f).map((v) => v + 0), // −0 is 0.
        values.map((v) => v + 0),
      );
    }),
    { numRuns: 100, seed: 42 },
  );
});

test("integers lie in two's complement, the first lowest; scales two to a word; padding is zero", () => {
  const f = { bits: 4, group: 32 } as const;
  const values = new Float32Array(33).fill(0);
  values.set([-8, -1, 3, 0, 7]);
  values[32] = 3.5;
  const { words, scales } = quantiseRows(values, 1, 33, f);
  assert.deepEqual([...words], [0x000703f8, 0, 0, 0, 8, 0, 0, 0]);
  assert.deepEqual([...scales], [0xbee03f80]); // −0.4375 and 1
  assert.equal(quantisedBytes(1, 33, f), 36);
});

test("values that are not finite, and formats that no kernel reads, are refused", () => {
  for (const bad of [NaN, Infinity, -Infinity, 3.3e38])
    assert.throws(() => quantiseRows([0, 1, 2, bad], 2, 2, int8), /row 1, column 1 it is/);
  for (const wrong of [
    { bits: 4, group: 48 },
    { bits: 4, group: 0 },
    { bits: 5, group: 64 },
  ])
    assert.throws(() => quantiseRows([1], 1, 1, wrong as QuantisedFormat), /group is a multiple of 32/);
});

test("the device makes the same integers and scales", async () => {
  const device = await openDevice();
  await scope(device, async () => {
    const [N, K] = [37, 333];
    const values = Float32Array.from({ length: N * K }, (_, i) => Math.sin(i * i) * 10 ** ((i % 97) / 30));
    for (const f of [int4, int8, { bits: 4, group: 128 } as const]) {
      const [there, here] = [quantise(tensor(device, values, [N, K]), f), quantised(device, values, [N, K], f)];
      assert.deepEqual(await there.words.read(), await here.words.read());
      assert.deepEqual(await there.scales.read(), await here.scales.read());
      assert.deepEqual(await dequantise(there).read(), dequantiseRows(quantiseRows(values, N, K, f), N, K, f));
    }
    assert.throws(() => quantised(device, values, [N, K + 1], int8), /takes 12358 values/);
    assert.throws(() => quantise(tensor(device, [1, 2], [2]), int8), /must be f32 \(N, K\)/);
  });
  await device.close();
});
