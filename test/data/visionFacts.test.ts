/** Pictures as the model sees them, and the facts of patches and pictures that pre-training asks for. */
import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { generateFlag } from "../../src/data/flagGenerator.ts";
import { flagLayers, layerCharges, marksOf } from "../../src/data/flagGeometry.ts";
import { flagPicture } from "../../src/data/flagPicture.ts";
import { renderParts } from "../../src/data/flagRenderer.ts";
import { chargeKinds, colours, type FlagSpec, palette } from "../../src/data/flagSpec.ts";
import { CELLS, CLASSES, NO_CHARGE, patchFacts, pictureFacts, visionFacts } from "../../src/data/visionFacts.ts";

const runs = { seed: 42, numRuns: 150 };
const seeds = fc.nat(2 ** 31);
const aspects = fc.constantFrom(1, 1.5, 2);

const tricolour: FlagSpec = {
  field: { layout: "bands", direction: "horizontal", colours: ["red", "white", "blue"], doubled: null },
  charges: [
    {
      kind: "star",
      points: 5,
      colour: "green",
      count: 2,
      arrangement: "row",
      size: "medium",
      place: { at: "band", band: 1 },
    },
  ],
};

/** What stands in the targets for one patch or picture, by name. */
const named = (names: readonly string[], classes: ArrayLike<number>) =>
  Object.fromEntries(names.map((name, i) => [name, classes[i]]));

test("parts: a pixel of pure colour belongs to a layer of that colour", () => {
  fc.assert(
    fc.property(seeds, fc.nat(1e6), aspects, (seed, index, aspect) => {
      const spec = generateFlag(seed, index);
      const layers = flagLayers(spec, aspect);
      const { image, parts } = renderParts(spec, { width: 40, height: 30, aspect });
      parts.forEach((part, at) => {
        const rgb = String(image.data.subarray(3 * at, 3 * at + 3));
        const pure = colours.find((colour) => String(palette[colour]) === rgb);
        if (pure) assert.equal(layers[part]!.colour, pure);
      });
    }),
    runs,
  );
});

test("a flag of another shape than its picture is stretched: charges keep their place and share of the sides", () => {
  for (const aspect of [1, 1.5, 2]) {
    const [mark] = marksOf(tricolour, 0, aspect);
    const { parts } = renderParts(tricolour, { width: 60, height: 60, aspect });
    const owners = layerCharges(tricolour, aspect);
    assert.deepEqual(owners, [-1, -1, -1, 0, 0]);
    assert.equal(parts[Math.floor(mark!.y * 60) * 60 + Math.floor((mark!.x / aspect) * 60)], 3);
  }
  assert.throws(() => renderParts(tricolour, { width: 8, height: 8, aspect: 0 }), /aspect is width over height/);
});

test("pictures are functions of flag, size and seed, square, and of several shapes", () => {
  const spec = generateFlag(1, 1);
  assert.deepEqual(flagPicture(spec, 24, 5), flagPicture(spec, 24, 5));
  const shapes = new Set(Array.from({ length: 400 }, (_, seed) => flagPicture(spec, 8, seed).aspect));
  assert.deepEqual(
    [...shapes].sort((a, b) => a - b),
    [1, 4 / 3, 1.5, 5 / 3, 2],
  );
});

test("facts of a tricolour with two stars", () => {
  const picture = { aspect: 1.5, ...renderParts(tricolour, { width: 48, height: 48, aspect: 1.5 }) };
  const { patches, picture: whole, charges } = visionFacts(tricolour, picture, 8);
  const patch = (row: number, column: number) => {
    const at = (row * 6 + column) * patchFacts.length;
    return named(patchFacts, patches.subarray(at, at + patchFacts.length));
  };
  const empty = { "charge colour": -1, count: -1, points: -1, arrangement: -1, size: -1, place: -1 };
  assert.deepEqual(patch(0, 0), { colour: 0, part: 0, kind: NO_CHARGE, ...empty });
  assert.deepEqual(patch(5, 3), { colour: 2, part: 2, kind: NO_CHARGE, ...empty });
  // The stars stand at x = 0.5 ± 1.25 radius; the radius is 0.8 of 0.4 of the band's third.
  const shown = [...charges].flatMap((charge, at) => (charge === 0 ? [[Math.floor(at / 6), at % 6]] : []));
  assert.deepEqual(
    shown,
    [2, 3].flatMap((row) => [2, 3].map((column) => [row, column])),
  );
  const { colour: _, part: __, ...star } = patch(2, 2);
  assert.deepEqual(star, {
    kind: 0,
    "charge colour": colours.indexOf("green"),
    count: 1,
    points: 0,
    arrangement: 1,
    size: 1,
    place: 8,
  });
  const facts = named(pictureFacts, whole);
  assert.deepEqual([facts["layout"], facts["direction"], facts["bands"], facts["doubled"]], [1, 0, 1, 0]);
  assert.deepEqual(
    [0, 1, 2, 3, 4].map((i) => facts[`field colour ${i}`]),
    [0, 1, 2, -1, -1],
  );
  assert.deepEqual([facts["style"], facts["charges"]], [-1, 1]);
  assert.deepEqual(
    chargeKinds.map((kind) => facts[`${kind} present`]),
    [1, 0, 0, 0, 0, 0, 0, 0, 0],
  );
});

test("masks: cells all of the charge's colour are covered, cells without it are not", () => {
  const picture = { aspect: 1, ...renderParts(tricolour, { width: 192, height: 192, aspect: 1 }) };
  const { masks, charges } = visionFacts(tricolour, picture, 16);
  const tally = { whole: 0, none: 0 };
  for (let y = 0; y < 192; y += 4)
    for (let x = 0; x < 192; x += 4) {
      let green = 0;
      for (let i = 0; i < 16; i++) {
        const at = 3 * ((y + Math.floor(i / 4)) * 192 + x + (i % 4));
        green += Number(String(picture.image.data.subarray(at, at + 3)) === String(palette.green));
      }
      const patch = Math.floor(y / 16) * 12 + Math.floor(x / 16);
      const mask = masks[patch * CELLS ** 2 + ((y / 4) % 4) * CELLS + ((x / 4) % 4)];
      if (green === 16) assert.deepEqual([charges[patch], mask], [0, 1], `cell at ${x}, ${y}`);
      if (green === 0) assert.equal(mask, 0, `cell at ${x}, ${y}`);
      tally.whole += Number(green === 16);
      tally.none += Number(green === 0 && charges[patch] === 0);
    }
  assert.ok(tally.whole >= 4 && tally.none >= 4, JSON.stringify(tally));
  assert.throws(() => visionFacts(tricolour, picture, 6), /multiple of 4; it is 6/);
});

test("every charge that stands on the field is shown by a patch, and classes are within bounds", () => {
  fc.assert(
    fc.property(seeds, fc.nat(1e6), fc.constantFrom(8, 12), (seed, index, patch) => {
      const spec = generateFlag(seed, index);
      const { patches, picture, charges } = visionFacts(spec, flagPicture(spec, 72, index), patch);
      const onTop = spec.charges.filter(({ place }) => place.at === "charge").length;
      const shown = new Set(charges.filter((charge) => charge >= 0));
      assert.ok(shown.size >= spec.charges.length - onTop && shown.size <= spec.charges.length);
      for (const classes of [patches, picture]) assert.ok(classes.every((c) => c >= -1 && c < CLASSES));
      charges.forEach((charge, at) => {
        const kind = patches[at * patchFacts.length + 2]!;
        assert.equal(chargeKinds[kind], spec.charges[charge]?.kind);
      });
    }),
    runs,
  );
});
