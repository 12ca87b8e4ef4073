import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { fieldColourAt, fieldLayers, marksOf } from "../../src/data/flagGeometry.ts";
import { generateFlag } from "../../src/data/flagGenerator.ts";
import { renderFlag, type RgbImage } from "../../src/data/flagRenderer.ts";
import { bandEdges, colours, contrasts, distinguishable, palette, type FlagSpec } from "../../src/data/flagSpec.ts";

const runs = { seed: 42, numRuns: 300 };
const seeds = fc.nat(2 ** 31);
const indices = fc.nat(1_000_000);
const difficulties = fc.constantFrom(0 as const, 1 as const, 2 as const);

function pixel({ width, data }: RgbImage, x: number, y: number): number[] {
  const at = (Math.floor(y) * width + Math.floor(x)) * 3;
  return [...data.subarray(at, at + 3)];
}

test("a flag is a function of seed and index, and plain JSON", () => {
  fc.assert(
    fc.property(seeds, indices, difficulties, (seed, index, difficulty) => {
      const spec = generateFlag(seed, index, { difficulty });
      assert.deepEqual(generateFlag(seed, index, { difficulty }), spec);
      assert.deepEqual(JSON.parse(JSON.stringify(spec)), spec);
    }),
    runs,
  );
});

test("nothing is invisible: neighbours differ, charges contrast with what they lie on", () => {
  fc.assert(
    fc.property(seeds, indices, (seed, index) => {
      const { field, charges } = generateFlag(seed, index);
      if (field.layout === "bands") {
        for (let i = 1; i < field.colours.length; i++)
          assert.ok(distinguishable(field.colours[i - 1] ?? "red", field.colours[i] ?? "red"));
      }
      assert.ok(charges.length <= 3);
      const layers = fieldLayers(field, 1.5);
      for (const [i, charge] of charges.entries()) {
        const bearer = charge.place.at === "charge" ? charges[charge.place.charge] : undefined;
        if (charge.place.at === "charge") assert.ok(charge.place.charge < i);
        if (bearer !== undefined && bearer.kind !== "crescent") {
          assert.ok(contrasts(charge.colour, bearer.colour));
          continue;
        }
        for (const { x, y } of marksOf({ field, charges }, i, 1.5)) {
          assert.ok(distinguishable(charge.colour, fieldColourAt(layers, x, y)));
        }
      }
    }),
    runs,
  );
});

test("difficulty bounds what occurs", () => {
  for (let index = 0; index < 200; index++) {
    const easy = generateFlag(1, index, { difficulty: 0 });
    assert.equal(easy.charges.length, 0);
    const middle = generateFlag(1, index, { difficulty: 1 });
    assert.ok(middle.charges.length <= 1 && middle.charges.every(({ count }) => count === 1));
  }
});

test("all layouts, colours and kinds occur, and the common ones are common", () => {
  const seen = new Map<string, number>();
  const count = (key: string): void => void seen.set(key, (seen.get(key) ?? 0) + 1);
  for (let index = 0; index < 2000; index++) {
    const { field, charges } = generateFlag(9, index);
    count(field.layout === "bands" ? `bands ${field.direction} ${field.colours.length}` : field.layout);
    for (const colour of colours) if (JSON.stringify(field).includes(`"${colour}"`)) count(colour);
    for (const { kind, place } of charges) count(`${kind}${place.at === "charge" ? " on a charge" : ""}`);
  }
  for (const key of [
    ...colours,
    "plain",
    "quartered",
    "cross",
    "border",
    "bands horizontal 2",
    "bands horizontal 5",
    "bands vertical 3",
    "bands rising 2",
    "bands falling 3",
    "star",
    "crescent",
    "disk",
    "ring",
    "sun",
    "diamond",
    "triangle",
    "canton",
    "star on a charge",
  ]) {
    assert.ok((seen.get(key) ?? 0) >= 8, `${key}: ${seen.get(key)}`);
  }
  assert.ok((seen.get("bands horizontal 3") ?? 0) > 300);
});

test("without wear the middle of every band, and of every disk, has exactly its colour", () => {
  fc.assert(
    fc.property(
      seeds,
      indices,
      fc.integer({ min: 48, max: 96 }),
      fc.integer({ min: 48, max: 80 }),
      (seed, index, width, height) => {
        const { field, charges } = generateFlag(seed, index);
        if (field.layout === "bands") {
          const image = renderFlag({ field, charges: [] }, { width, height });
          const edges = bandEdges(field);
          for (const [i, colour] of field.colours.entries()) {
            const t = ((edges[i] ?? 0) + (edges[i + 1] ?? 0)) / 2;
            const [x, y] = { horizontal: [0.5, t], vertical: [t, 0.5], rising: [t, t], falling: [1 - t, t] }[
              field.direction
            ] as [number, number];
            assert.deepEqual(pixel(image, x * width, y * height), palette[colour]);
          }
        }
        const disks = charges.filter(({ kind }) => kind === "disk");
        const image = renderFlag(
          { field, charges: disks.filter(({ place }) => place.at !== "charge") },
          { width, height },
        );
        const spec: FlagSpec = { field, charges: disks.filter(({ place }) => place.at !== "charge") };
        for (const [i, { colour }] of spec.charges.entries()) {
          for (const { x, y } of marksOf(spec, i, width / height)) {
            assert.deepEqual(pixel(image, x * height, y * height), palette[colour]);
          }
        }
      },
    ),
    { ...runs, numRuns: 150 },
  );
});

test("edges are smooth: a vertical edge inside a pixel mixes by coverage", () => {
  const field = { layout: "bands", direction: "vertical", colours: ["black", "white"], doubled: null } as const;
  const image = renderFlag({ field, charges: [] }, { width: 5, height: 5 });
  const [low, middle, high] = [1, 2, 3].map((x) => pixel(image, x, 2)[0] ?? 0) as [number, number, number];
  assert.equal(low, palette.black[0]);
  assert.equal(high, 255);
  assert.ok(Math.abs(middle - (palette.black[0] + 255) / 2) <= 1);
});

test("wear is a function of its seed, changes the picture, and leaves it recognisable", () => {
  fc.assert(
    fc.property(seeds, indices, fc.nat(1000), (seed, index, wearSeed) => {
      const spec = generateFlag(seed, index);
      const size = { width: 32, height: 32 };
      const clean = renderFlag(spec, size);
      const worn = renderFlag(spec, { ...size, wear: { seed: wearSeed } });
      assert.deepEqual(renderFlag(spec, { ...size, wear: { seed: wearSeed } }), worn);
      assert.notDeepEqual(worn.data, renderFlag(spec, { ...size, wear: { seed: wearSeed + 1 } }).data);
      assert.deepEqual(renderFlag(spec, { ...size, wear: { seed: wearSeed, strength: 0 } }), clean);
      let difference = 0;
      for (let i = 0; i < clean.data.length; i++) difference += Math.abs((clean.data[i] ?? 0) - (worn.data[i] ?? 0));
      assert.ok(difference / clean.data.length < 45, `mean difference ${difference / clean.data.length}`);
    }),
    { ...runs, numRuns: 60 },
  );
});

test("a size that is no positive integer is refused", () => {
  const spec = generateFlag(1, 1);
  assert.throws(() => renderFlag(spec, { width: 0, height: 8 }), /0 x 8/);
  assert.throws(() => renderFlag(spec, { width: 8, height: 2.5 }), /positive integers/);
});
