import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { philox, randomStream, type Philox4, type PhiloxKey } from "../../src/tensor/philox.ts";

const runs = { seed: 42, numRuns: 200 };
const seeds = fc.integer({ min: 0, max: 2 ** 48 });

test("philox4x32-10 gives the known answers of Random123", () => {
  // From kat_vectors in the Random123 distribution, 1.14.0: philox4x32, 10 rounds.
  const f = 0xffffffff;
  const known: [Philox4, PhiloxKey, Philox4][] = [
    [
      [0, 0, 0, 0],
      [0, 0],
      [0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8],
    ],
    [
      [f, f, f, f],
      [f, f],
      [0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd],
    ],
    [
      [0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344],
      [0xa4093822, 0x299f31d0],
      [0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1],
    ],
  ];
  for (const [counter, key, answer] of known) assert.deepEqual(philox(counter, key), answer);
});

test("a stream is a function of its seed and path, and forking ignores what was drawn", () => {
  fc.assert(
    fc.property(seeds, fc.array(fc.integer(), { maxLength: 4 }), fc.nat(20), (seed, path, drawn) => {
      const a = randomStream(seed, ...path);
      for (let i = 0; i < drawn; i++) a.uniform();
      const b = randomStream(seed, ...path, 7);
      const forked = a.fork(7);
      for (let i = 0; i < 9; i++) assert.equal(forked.bits(), b.bits());
    }),
    runs,
  );
});

test("streams of different paths differ", () => {
  const firsts = new Set<number>();
  for (let seed = 0; seed < 20; seed++) {
    for (let i = 0; i < 20; i++)
      for (const path of [[i], [i, 0], [-1 - i]]) firsts.add(randomStream(seed, ...path).bits());
  }
  assert.equal(firsts.size, 20 * 20 * 3);
});

test("draws stay in their ranges, and their moments are right", () => {
  const random = randomStream(1, 2);
  const n = 20_000;
  let sum = 0,
    normals = 0,
    squares = 0;
  const counts = [0, 0, 0, 0, 0, 0];
  for (let i = 0; i < n; i++) {
    const u = random.uniform();
    assert.ok(u >= 0 && u < 1);
    sum += u;
    const z = random.normal();
    normals += z;
    squares += z * z;
    const face = random.int(6);
    counts[face] = (counts[face] ?? 0) + 1;
  }
  // Five standard errors each.
  const error = 5 / Math.sqrt(n);
  assert.ok(Math.abs(sum / n - 0.5) < error * 0.29);
  assert.ok(Math.abs(normals / n) < error);
  assert.ok(Math.abs(squares / n - 1) < error * 1.42);
  for (const count of counts) assert.ok(Math.abs(count / n - 1 / 6) < error * 0.373);
});

test("shuffle permutes a copy, weighted follows the weights, pick and weighted refuse nothing to choose from", () => {
  fc.assert(
    fc.property(seeds, fc.array(fc.integer()), (seed, list) => {
      const before = list.slice();
      const after = randomStream(seed).shuffle(list);
      assert.deepEqual(list, before);
      assert.deepEqual(
        after.toSorted((a, b) => a - b),
        before.toSorted((a, b) => a - b),
      );
    }),
    runs,
  );
  const random = randomStream(3);
  let often = 0;
  for (let i = 0; i < 4000; i++)
    if (
      random.weighted([
        ["a", 3],
        ["b", 1],
        ["never", 0],
      ]) === "a"
    )
      often++;
  assert.ok(Math.abs(often / 4000 - 0.75) < 0.035);
  assert.throws(() => random.pick([]), /empty/);
  assert.throws(() => random.weighted([["a", 0]]), /more than 0/);
  assert.throws(() => randomStream(0.5), /integers/);
});
