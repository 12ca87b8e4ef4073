/** WebP files that Pillow wrote (test/goldens/pillow.py), whole and damaged. */
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import { crc32 } from "node:zlib";
import fc from "fast-check";
import { decodeImage } from "../../src/data/image.ts";
import { ImageError } from "../../src/data/resize.ts";
import { fails, over, pattern } from "../support/pictures.ts";

interface Golden {
  readonly webp: Readonly<
    Record<"lossy" | "lossless" | "transparent" | "transparentLossy", { file: string; crc32: number }>
  >;
  readonly moving: string;
}
const { webp, moving } = JSON.parse(readFileSync(new URL("../goldens/pillow.json", import.meta.url), "utf8")) as Golden;
const fileOf = (name: keyof typeof webp): Buffer => Buffer.from(webp[name].file, "base64");
const [width, height] = [13, 9];

test("a lossy and a lossless WebP decode to what Pillow reads, bit for bit", async () => {
  for (const name of ["lossy", "lossless"] as const) {
    const image = await decodeImage(fileOf(name), name);
    assert.deepEqual([image.width, image.height], [width, height]);
    assert.equal(crc32(image.data), webp[name].crc32, name);
  }
});

test("a transparent WebP shows white", async () => {
  const { data } = pattern(width, height);
  const alpha = (i: number): number => (Math.floor(i / (3 * width)) * 20 + (Math.floor(i / 3) % width) * 5) % 256;
  const image = await decodeImage(fileOf("transparent"), "t");
  assert.deepEqual(
    image.data,
    data.map((v, i) => over(v, alpha(i))),
  );
  const lossy = await decodeImage(fileOf("transparentLossy"), "l");
  assert.deepEqual([...lossy.data.subarray(0, 3)], [255, 255, 255]);
});

test("an animated WebP, a cut one and other headers are refused with a reason", async () => {
  await fails(Buffer.from(moving, "base64"), /this WebP is animated; save one of its frames/);
  for (const name of Object.keys(webp) as (keyof typeof webp)[]) {
    const file = fileOf(name);
    for (let length = 0; length < file.length; length++)
      await fails(file.subarray(0, length), /empty|first bytes|look like|stops|promises/);
  }
  const bent = fileOf("lossless");
  bent.write("VP9 ", 12, "latin1");
  await fails(bent, /begins with "VP9 "/);
  const zero = fileOf("lossy");
  zero.fill(0, 26, 30);
  await fails(zero, /at least one pixel, but the header says 0 × 0/);
  const bomb = fileOf("transparentLossy");
  bomb.fill(0xff, 24, 30);
  await fails(bomb, /claims 16,777,216 × 16,777,216/);
});

test("a damaged WebP decodes or says why, and the next good one decodes", async () => {
  const files = (Object.keys(webp) as (keyof typeof webp)[]).map(fileOf);
  await fc.assert(
    fc.asyncProperty(
      fc.nat(files.length - 1),
      fc.array(fc.tuple(fc.nat(2000), fc.nat(255)), { minLength: 1, maxLength: 4 }),
      async (which, edits) => {
        const bytes = Buffer.from(files[which]!);
        for (const [at, value] of edits) bytes[at % bytes.length] = value;
        try {
          const image = await decodeImage(bytes, "x");
          assert.equal(image.data.length, 3 * image.width * image.height);
        } catch (error) {
          assert.ok(error instanceof ImageError, String(error));
        }
      },
    ),
    { seed: 20261123, numRuns: 400 },
  );
  assert.equal(crc32((await decodeImage(fileOf("lossy"), "l")).data), webp.lossy.crc32);
});
