/** Tiling, token counts and packing against LLaDA-V's own code (test/goldens/anyResolution.py). */
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import { crc32 } from "node:zlib";
import fc from "fast-check";
import {
  layTiles,
  parsePinpoints,
  pictureTokens,
  selectResolution,
  type Size,
  tiledTokens,
  tilePacking,
  tokensOfPicture,
} from "../../src/model/anyResolution.ts";
import { preset, type TilingConfig, type VisionConfig } from "../../src/model/config.ts";
import { encodePicture, pictureViews } from "../../src/model/encodePicture.ts";
import { sumShares, tokenShare } from "../../src/model/packTokens.ts";
import { createRediff, disposeRediff, encodeImage, type Rediff } from "../../src/model/rediff.ts";
import { backward, mul, openDevice, reshape, scope, sum, type Tensor, tensor } from "../../src/tensor/index.ts";
import { pattern } from "../support/pictures.ts";

interface Geometry {
  readonly size: Size;
  readonly grid: readonly [columns: number, rows: number];
  readonly tokens: number;
  readonly newlines: number;
}
/** Norm, and projection on a wave. */
type Digest = readonly [number, number];
interface Golden {
  readonly max4: readonly Geometry[];
  readonly unlimited: readonly Geometry[];
  readonly pixels: readonly { size: Size; side: number; grid: number; views: number; crc32: number }[];
  readonly packing: readonly {
    size: Size;
    grid: number;
    maxTiles: number | null;
    tokens: number;
    values: Digest;
    last: readonly number[];
    features: Digest;
    newline: Digest;
  }[];
}
const golden = JSON.parse(readFileSync(new URL("../goldens/anyResolution.json", import.meta.url), "utf8")) as Golden;
const { vision, tiling } = preset("llada-v-8b");

/** Canvases of 1 to n tiles each way, in pixels. */
const gridsTo = (n: number, side: number): [number, number][] =>
  Array.from({ length: n * n }, (_, i) => [side * (1 + Math.floor(i / n)), side * (1 + (i % n))]);

/** A vision tower that is only sizes. */
const tower = (imageSize: number, patch: number): VisionConfig => ({ ...preset("nano").vision, imageSize, patch });

for (const [name, cases, limits] of [
  ["anyres_max_4", golden.max4, tiling!],
  ["anyres", golden.unlimited, { pinpoints: tiling!.pinpoints }],
] as const) {
  test(`${name}: grids, newlines and token counts of ${cases.length} sizes are LLaDA-V's`, () => {
    for (const { size, grid, tokens, newlines } of cases) {
      const layout = layTiles(size, vision, limits);
      assert.deepEqual([layout.columns, layout.rows], grid, size.join(" × "));
      assert.equal(tiledTokens(layout, vision), tokens, size.join(" × "));
      const packing = tilePacking(layout, vision);
      assert.equal(packing.terms.length, tokens);
      assert.equal(packing.terms.filter(([term]) => term!.row === packing.newline).length, newlines);
    }
  });
}

test("grids that are filled exactly have the token counts of the published model", () => {
  const counts = { "1,1": 1485, "2,1": 2214, "2,2": 3699, "3,2": 3677, "4,3": 3627, "6,6": 3699 };
  for (const [grid, tokens] of Object.entries(counts)) {
    const [columns, rows] = grid.split(",").map(Number) as [number, number];
    assert.equal(tiledTokens(layTiles([384 * columns, 384 * rows], vision, tiling!), vision), tokens, grid);
  }
});

test("no picture makes more tokens than is said, and some make as many", () => {
  const { square, most } = pictureTokens(preset("llada-v-8b"));
  assert.deepEqual([square, most], [1485, 4341]);
  assert.equal(tokensOfPicture([366, 1745], preset("llada-v-8b")), most);
  fc.assert(
    fc.property(fc.integer({ min: 1, max: 5000 }), fc.integer({ min: 1, max: 5000 }), (width, height) => {
      assert.ok(tokensOfPicture([width, height], preset("llada-v-8b")) <= most);
    }),
    { numRuns: 2000, seed: 1 },
  );
  const { vision: square72 } = preset("small");
  assert.deepEqual(pictureTokens({ vision: square72 }), { square: 36, most: 36 });
});

test("weights of a token sum to 1, and name rows that there are", () => {
  for (const { size } of golden.max4) {
    const { terms, newline } = tilePacking(layTiles(size, vision, tiling!), vision);
    for (const some of terms) {
      assert.ok(Math.abs(some.reduce((total, { weight }) => total + weight, 0) - 1) < 1e-12);
      assert.ok(some.every(({ row }) => Number.isInteger(row) && row >= 0 && row <= newline));
    }
  }
});

test("pinpoints: a range, a list, a list as Python writes it; what is none is refused", () => {
  assert.deepEqual(parsePinpoints("(1x1),...,(2x2)", 384), gridsTo(2, 384));
  assert.deepEqual(parsePinpoints("(2x1),...,(3x1)", 10), [
    [20, 10],
    [30, 10],
  ]);
  const list = [
    [336, 672],
    [672, 336],
  ] as [number, number][];
  assert.deepEqual(parsePinpoints(list, 336), list);
  assert.deepEqual(parsePinpoints("[[336, 672], [672, 336]]", 336), list);
  assert.deepEqual(parsePinpoints("[(336, 672), (672, 336)]", 336), list);
  for (const bad of ["", "large", "[]", "(2x2),...,(1x1)", "[[336, 600]]", "[336]", [], [[336, 0]]])
    assert.throws(() => parsePinpoints(bad as TilingConfig["pinpoints"], 336), {
      name: "RediffError",
      message: /whole tiles of 336 pixels/,
    });
});

test("of canvases that keep as many pixels, the smallest is chosen", () => {
  assert.deepEqual(selectResolution([300, 300], gridsTo(6, 384)), [384, 384]);
  assert.deepEqual(selectResolution([1, 10_000], gridsTo(6, 384)), [384, 384]);
});

test("the pixels of all views are those of LLaDA-V's image processor, bit for bit", () => {
  for (const { size, side, grid, views, ...want } of golden.pixels) {
    const layout = layTiles(size, tower(side, 1), { pinpoints: gridsTo(grid, side) });
    const pixels = [...pictureViews(pattern(...size), layout, side)];
    assert.equal(pixels.length, views);
    assert.equal(crc32(Buffer.concat(pixels.map(({ buffer }) => new Uint8Array(buffer)))), want.crc32);
  }
});

/** The formula of the script: a number in [-1, 1] for each index. */
const wave = (seed: number, count: number): Float64Array =>
  Float64Array.from({ length: count }, (_, i) => Math.sin(1.7 * i + 0.31 * seed + 0.013 * i * seed));

async function agrees(x: Tensor, seed: number, [norm, projection]: Digest, what: string): Promise<void> {
  const values = Float64Array.from(await x.read());
  const direction = wave(seed, values.length);
  const along = values.reduce((total, value, i) => total + value * direction[i]!, 0);
  assert.ok(
    Math.abs(Math.hypot(...values) - norm) <= 1e-5 * norm,
    `${what}: norm ${Math.hypot(...values)}, not ${norm}`,
  );
  assert.ok(Math.abs(along - projection) <= 1e-5 * norm, `${what}: projection ${along}, not ${projection}`);
}

test("features are packed as PyTorch packs them, forward and gradient, in one part or in several", async () => {
  const [side, patch, C] = [12, 4, 3];
  const P = (side / patch) ** 2;
  const sizes = tower(side, patch);
  const device = await openDevice();
  for (const { size, grid, maxTiles, ...want } of golden.packing) {
    const limit = maxTiles === null ? {} : { maxTiles };
    const layout = layTiles(size, sizes, { pinpoints: gridsTo(grid, side), ...limit });
    const packing = tilePacking(layout, sizes);
    const views = 1 + layout.rows * layout.columns;
    for (const viewsAtOnce of [views, 2])
      await scope(device, async () => {
        const values = Float32Array.from(wave(3, views * P * C));
        const parts = Array.from({ length: Math.ceil(views / viewsAtOnce) }, (_, i) => {
          const first = i * viewsAtOnce * P;
          const part = values.subarray(first * C, (first + viewsAtOnce * P) * C);
          const features = tensor(device, part, [part.length / C, C]);
          features.requiresGrad = true;
          return { features, first };
        });
        const newline = tensor(device, Float32Array.from(wave(5, C)), [C]);
        newline.requiresGrad = true;
        const shares = [
          ...parts.map(({ features, first }) => tokenShare(features, first, packing)),
          tokenShare(reshape(newline, [1, C]), packing.newline, packing),
        ].filter((share) => share !== undefined);
        const tokens = sumShares(device, shares, packing);
        const name = `${size.join(" × ")}, ${viewsAtOnce} at once`;
        assert.deepEqual(tokens.shape, [want.tokens, C], name);
        await agrees(tokens, 11, want.values, `${name}: tokens`);
        const flat = await tokens.read();
        want.last.forEach((value, c) => assert.ok(Math.abs(flat.at(c - 2 * C)! - value) < 1e-5, name));
        backward(sum(mul(tokens, tensor(device, Float32Array.from(wave(7, want.tokens * C)), tokens.shape))));
        await agrees(newline.grad!, 17, want.newline, `${name}: gradient of the newline`);
        const gradient = await Promise.all(
          parts.map(async ({ features }) => (features.grad ? [...(await features.grad.read())] : [])),
        );
        const whole = Float32Array.from(
          parts.flatMap(({ features }, i) =>
            gradient[i]!.length ? gradient[i]! : Array<number>(features.size).fill(0),
          ),
        );
        await agrees(tensor(device, whole, [whole.length]), 13, want.features, `${name}: gradient of the features`);
      });
  }
  await device.close();
});

test("a picture becomes its tokens, the same whether its views are encoded at once or one by one", async () => {
  const device = await openDevice();
  const nano = preset("nano");
  const model: Rediff = createRediff(device, { ...nano, tiling: { pinpoints: "(1x1),...,(3x3)", maxTiles: 4 } }, 1);
  const plain: Rediff = { ...model, config: nano };
  const live = device.memory().liveBytes;
  await scope(device, async () => {
    const image = pattern(50, 31);
    const layout = layTiles([50, 31], nano.vision, model.config.tiling!);
    const [one, many] = [1, 100].map((viewsAtOnce) => encodePicture(model, image, { viewsAtOnce }));
    assert.deepEqual(one!.shape, [tiledTokens(layout, nano.vision), nano.text.width]);
    const [a, b] = [await one!.read(), await many!.read()];
    a.forEach((value, i) => assert.ok(Math.abs(value - b[i]!) < 1e-5));
    // The base view comes first, and is what a model without tiling sees.
    const single = encodePicture(plain, image);
    assert.deepEqual(single.shape, [4, nano.text.width]);
    (await single.read()).forEach((value, i) => assert.ok(Math.abs(value - a[i]!) < 1e-5));
    const pixels = tensor(device, pictureViews(image, layout, 16).next().value as Float32Array, [1, 3, 16, 16]);
    assert.deepEqual(await single.read(), await encodeImage(plain, pixels).read());
    assert.throws(() => encodePicture(model, image, { viewsAtOnce: 0 }), /viewsAtOnce must be a whole number/);
  });
  assert.equal(device.memory().liveBytes, live);
  disposeRediff(model);
  await device.close();
});
