/** Resizing, cropping, pasting and normalising against Pillow and transformers (test/goldens/pillow.py), to the bit. */
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import { crc32 } from "node:zlib";
import fc from "fast-check";
import {
  cropImage,
  type FilterName,
  type Image,
  normalise,
  pasteOnBlack,
  resizeImage,
  toPixels,
} from "../../src/data/resize.ts";
import { pattern } from "../support/pictures.ts";

interface Digest {
  readonly crc32: number;
  readonly first: readonly number[];
}
type Size = readonly [width: number, height: number];
interface Golden {
  readonly resized: readonly (Digest & { from: Size; to: Size; filter: FilterName })[];
  readonly pasted: Digest;
  readonly cropped: Digest;
  readonly pixels: readonly (Digest & { from: Size; side: number })[];
  readonly everyLevel: Digest;
}
const golden = JSON.parse(readFileSync(new URL("../goldens/pillow.json", import.meta.url), "utf8")) as Golden;

function agrees(got: Uint8Array | Float32Array, want: Digest): void {
  assert.deepEqual([...got.subarray(0, 6)], want.first);
  assert.equal(crc32(new Uint8Array(got.buffer, got.byteOffset, got.byteLength)), want.crc32);
}

test("pictures are resized as Pillow resizes them, bit for bit", () => {
  for (const { from, to, filter, ...want } of golden.resized) {
    const out = resizeImage(pattern(...from), ...to, filter);
    assert.deepEqual([out.width, out.height, out.data.length], [...to, 3 * to[0] * to[1]]);
    agrees(out.data, want);
  }
});

test("pasting and cropping are Pillow's", () => {
  const canvas = pasteOnBlack(pattern(21, 30), 40, 30, 9, 0);
  agrees(canvas.data, golden.pasted);
  agrees(cropImage(canvas, 5, 3, 17, 14).data, golden.cropped);
});

test("what the encoder reads is what SigLIP's image processor makes, bit for bit", () => {
  for (const { from, side, ...want } of golden.pixels) agrees(toPixels(pattern(...from), side), want);
  const every: Image = {
    width: 16,
    height: 16,
    data: Uint8Array.from({ length: 3 * 256 }, (_, i) => Math.floor(i / 3)),
  };
  agrees(normalise(every).subarray(0, 256), golden.everyLevel);
});

test("pixels are planes of red, green, blue in −1…1", () => {
  const image: Image = { width: 2, height: 1, data: Uint8Array.of(255, 0, 51, 0, 255, 204) };
  assert.deepEqual(
    [...normalise(image)].map((v) => Math.round(v * 1000) / 1000),
    [1, -1, -1, 1, -0.6, 0.6],
  );
});

test("resizing keeps constants, commutes with mirroring up to one level, and is the identity at equal size", () => {
  const size = fc.integer({ min: 1, max: 24 });
  fc.assert(
    fc.property(
      size,
      size,
      size,
      size,
      fc.constantFrom<FilterName>("bicubic", "area"),
      fc.nat(255),
      (w, h, W, H, filter, v) => {
        const flat: Image = { width: w, height: h, data: new Uint8Array(3 * w * h).fill(v) };
        assert.ok(resizeImage(flat, W, H, filter).data.every((x) => x === v));
        const image = pattern(w, h);
        assert.deepEqual(resizeImage(image, w, h, filter).data, image.data);
        // Area sampling breaks ties at pixel borders to one side, so only the smooth filter is symmetric.
        if (filter !== "bicubic") return;
        const a = mirror(resizeImage(image, W, H)).data;
        const b = resizeImage(mirror(image), W, H).data;
        a.forEach((x, i) => assert.ok(Math.abs(x - b[i]!) <= 1));
      },
    ),
    { seed: 20261123, numRuns: 150 },
  );
});

function mirror({ width, height, data }: Image): Image {
  const to = Uint8Array.from(data, (_, i) => {
    const [pixel, c] = [Math.floor(i / 3), i % 3];
    return data[3 * (pixel - (pixel % width) + width - 1 - (pixel % width)) + c]!;
  });
  return { width, height, data: to };
}

test("sizes that are no whole pixels, and parts beyond the edge, are refused", () => {
  const image = pattern(7, 5);
  for (const bad of [0, -1, 1.5, NaN, Infinity]) {
    assert.throws(() => resizeImage(image, bad, 2), {
      name: "ImageError",
      message: /width must be a whole number of pixels/,
    });
    assert.throws(() => resizeImage(image, 2, bad), { name: "ImageError", message: /height must be/ });
    assert.throws(() => cropImage(image, 0, 0, bad, 2), { name: "ImageError", message: /inside the picture/ });
  }
  assert.throws(() => cropImage(image, 3, 0, 5, 5), { name: "ImageError", message: /5 × 5 at \(3, 0\)/ });
  assert.throws(() => pasteOnBlack(image, 9, 9, 3, 0), { name: "ImageError", message: /7 × 5 at \(3, 0\)/ });
  assert.throws(() => pasteOnBlack(image, 9, 9, 0.5, 0), { name: "ImageError", message: /inside the canvas/ });
});
