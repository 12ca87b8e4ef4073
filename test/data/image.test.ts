import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, test } from "node:test";
import { crc32, deflateSync } from "node:zlib";
import fc from "fast-check";
import { decodeImage, readImage } from "../../src/data/image.ts";
import { maxPixels } from "../../src/data/imageChecks.ts";
import { ImageError, toPixels } from "../../src/data/resize.ts";
import {
  bytesOf,
  chunk,
  fails,
  header,
  jpegs,
  kinds,
  over,
  type PngKind,
  scaled,
  signature,
  whole,
  writePng,
} from "../support/pictures.ts";

for (const kind of kinds) {
  test(`a PNG of colour type ${kind.colour}, ${kind.depth} bits${kind.interlaced ? ", interlaced" : ""}, at sizes from 1×1 on`, async () => {
    for (const [width, height] of [
      [1, 1],
      [2, 1],
      [1, 3],
      [5, 2],
      [8, 8],
      [13, 9],
      [33, 3],
    ] as const) {
      const sample = (x: number, y: number, c: number): number =>
        (x * 7919 + y * 104729 + c * 1299709) % 2 ** kind.depth;
      const palette = Uint8Array.from({ length: 3 * 2 ** kind.depth }, (_, i) => (i * 71) % 256);
      const extra = kind.colour === 3 ? [chunk("PLTE", palette)] : [];
      const image = await decodeImage(writePng(width, height, kind, sample, extra), "test.png");
      assert.deepEqual([image.width, image.height, image.data.length], [width, height, 3 * width * height]);
      for (let y = 0; y < height; y++) {
        for (let x = 0; x < width; x++) {
          for (let c = 0; c < 3; c++) {
            const s = (k: number): number => scaled(sample(x, y, k), kind.depth);
            const expected = {
              0: () => s(0),
              2: () => s(c),
              3: () => palette[3 * sample(x, y, 0) + c]!,
              4: () => over(s(0), s(1)),
              6: () => over(s(c), s(3)),
            }[kind.colour]();
            assert.equal(image.data[3 * (y * width + x) + c], expected, `${width}×${height} at ${x},${y},${c}`);
          }
        }
      }
    }
  });
}

test("transparency by a tRNS chunk shows white: one grey, one colour, palette entries", async () => {
  const plain = { interlaced: false } as const;
  const grey = writePng(2, 1, { ...plain, colour: 0, depth: 8 }, (x) => 10 + x, [chunk("tRNS", Uint8Array.of(0, 11))]);
  assert.deepEqual([...(await decodeImage(grey, "g")).data], [10, 10, 10, 255, 255, 255]);
  const rgb = writePng(2, 1, { ...plain, colour: 2, depth: 8 }, (x, _, c) => x + c, [
    chunk("tRNS", Uint8Array.of(0, 0, 0, 1, 0, 2)),
  ]);
  assert.deepEqual([...(await decodeImage(rgb, "c")).data], [255, 255, 255, 1, 2, 3]);
  const indexed = writePng(3, 1, { ...plain, colour: 3, depth: 2 }, (x) => x, [
    chunk("PLTE", Uint8Array.of(0, 0, 0, 100, 0, 0, 0, 0, 200)),
    chunk("tRNS", Uint8Array.of(0, 127)),
  ]);
  assert.deepEqual(
    [...(await decodeImage(indexed, "p")).data],
    [255, 255, 255, over(100, 127), over(0, 127), over(0, 127), 0, 0, 200],
  );
});

for (const [name, base64] of Object.entries(jpegs)) {
  test(`a ${name} JPEG decodes to what Pillow reads`, async () => {
    const image = await decodeImage(Buffer.from(base64, "base64"), `${name}.jpg`);
    assert.deepEqual([image.width, image.height, image.data.length], [24, 16, 3 * 24 * 16]);
    const expected =
      name === "grey"
        ? [
            [82, 82, 82],
            [255, 255, 255],
            [59, 59, 59],
          ]
        : [
            [200, 30, 40],
            [255, 255, 255],
            [20, 60, 160],
          ];
    for (const [k, [x, y]] of (
      [
        [3, 3],
        [3, 12],
        [20, 12],
      ] as const
    ).entries()) {
      const at = 3 * (y * 24 + x);
      for (let c = 0; c < 3; c++) {
        const off = Math.abs(image.data[at + c]! - expected[k]![c]!);
        assert.ok(
          off <= 3,
          `${name} at ${x},${y}: ${image.data.subarray(at, at + 3).join()} instead of ${expected[k]!.join()}`,
        );
      }
    }
  });
}

test("JPEGs of every subsampling decode to Pillow's levels, to the bit", async () => {
  const golden = JSON.parse(readFileSync(new URL("../goldens/jpeg.json", import.meta.url), "utf8")) as {
    files: { mode: string; subsampling?: string; progressive?: boolean; file: string; crc32: number }[];
  };
  for (const { file, crc32: wanted, mode, subsampling, progressive } of golden.files) {
    const { data } = await decodeImage(Buffer.from(file, "base64"), "golden");
    assert.equal(crc32(data), wanted, `${mode} ${subsampling} ${progressive ? "progressive" : "baseline"}`);
  }
});

test("a JPEG that its camera marked as turned comes as it is stored, as Pillow reads it", async () => {
  const jpeg = Buffer.from(jpegs.baseline, "base64");
  // One tag in TIFF's form: 0x0112, orientation, a short, once, 6 (a quarter turn).
  const tag = Buffer.from("49492a00 08000000 0100 1201 0300 01000000 06000000 00000000".replaceAll(" ", ""), "hex");
  const body = Buffer.concat([bytesOf("Exif\0\0"), tag]);
  const head = Buffer.from([0xff, 0xe1, 0, body.length + 2]);
  const turned = Buffer.concat([jpeg.subarray(0, 2), head, body, jpeg.subarray(2)]);
  assert.deepEqual(await decodeImage(turned, "turned"), await decodeImage(jpeg, "stored"));
});

test("what is no PNG, JPEG or WebP is named", async () => {
  await fails(new Uint8Array(), /empty \(0 bytes\)/);
  await fails(bytesOf("GIF89a\x01\0\x01\0"), /look like a GIF; convert/);
  await fails(bytesOf("RIFF\x10\0\0\0WAVEfmt "), /look like the first bytes of a WebP or another RIFF file/);
  await fails(bytesOf("BM\x36\0\0\0\0\0\0\0\x36\0\0\0"), /look like a BMP/);
  await fails(bytesOf("II*\0\x08\0\0\0"), /look like a TIFF/);
  await fails(bytesOf("\0\0\0\x1cftypavif\0\0\0\0"), /look like an AVIF/);
  await fails(bytesOf("%PDF-1.7"), /look like a PDF/);
  await fails(bytesOf('<?xml version="1.0"?>\n<svg xmlns="x"/>'), /look like an SVG/);
  await fails(bytesOf("<!DOCTYPE html><title>404</title>"), /look like an HTML page/);
  await fails(bytesOf("version https://git-lfs.github.com/spec/v1\noid sha256:0"), /Git LFS pointer/);
  await fails(bytesOf("BMW is a car"), /look like text \("BMW is a car"\)/);
  await fails(Uint8Array.of(1, 2, 3, 0xfe), /none of them \(they begin 01 02 03 fe\)/);
  await fails(whole.subarray(0, 5), /the first bytes of a PNG/);
  await fails(bytesOf(whole.toString("latin1").replaceAll("\r\n", "\n")), /transfer in text mode/);
});

test("a PNG cut anywhere, or with any byte of a checked chunk changed, is refused with a reason", async () => {
  for (let length = 0; length < whole.length; length++)
    await fails(whole.subarray(0, length), /empty|first bytes|stops|ends|needs/);
  for (let at = 8; at < whole.length; at++) {
    const bent = Buffer.from(whole);
    bent[at]! ^= 0x10;
    await fails(bent, /checksum|complete|colour type|four letters|begins with|pixels|one IHDR/);
  }
  const bent = Buffer.from(whole);
  bent[60]! ^= 1;
  await fails(bent, /IDAT at byte 33 has CRC [0-9a-f]{8} where the file says [0-9a-f]{8}/);
});

test("bytes after the end of a PNG do no harm", async () => {
  assert.deepEqual(await decodeImage(Buffer.concat([whole, bytesOf("trailer")]), "t"), await decodeImage(whole, "t"));
});

test("a PNG whose chunks are sound but whose content is not", async () => {
  const plain: PngKind = { colour: 2, depth: 8, interlaced: false };
  const end = chunk("IEND", new Uint8Array());
  const pngOf = (...chunks: Buffer[]): Buffer => Buffer.concat([signature, ...chunks]);
  await fails(pngOf(header(4, 4, plain), end), /no IDAT/);
  await fails(pngOf(end), /begins with IEND/);
  await fails(pngOf(header(0, 4, plain), end), /at least one pixel, but the header says 0 × 4/);
  await fails(pngOf(header(4, 4, { ...plain, depth: 2 }), end), /no colour type 2 with 2 bits/);
  await fails(pngOf(header(4, 4, plain), header(4, 4, plain), end), /one IHDR/);
  await fails(pngOf(header(4, 4, plain), chunk("IDAT", bytesOf("nonsense")), end), /pixel data must decode/);
  for (const interlaced of [false, true]) {
    await fails(
      pngOf(header(4, 4, { ...plain, interlaced }), chunk("IDAT", deflateSync(new Uint8Array(7))), end),
      /5\d bytes of pixels are due and 7 came/,
    );
    // Whole, four rows or the seven passes, but without a palette.
    const data = chunk("IDAT", deflateSync(new Uint8Array(interlaced ? 23 : 20)));
    await fails(pngOf(header(4, 4, { ...plain, colour: 3, interlaced }), data, end), /decode/);
  }
});

test("data behind the last row of a PNG does no harm", async () => {
  const grey: PngKind = { colour: 0, depth: 8, interlaced: false };
  const data = chunk("IDAT", deflateSync(Uint8Array.of(0, 1, 2, 0, 3, 4, 9, 9, 9)));
  const png = Buffer.concat([signature, header(2, 2, grey), data, chunk("IEND", new Uint8Array())]);
  assert.deepEqual([...(await decodeImage(png, "long")).data], [1, 1, 1, 2, 2, 2, 3, 3, 3, 4, 4, 4]);
});

test("sizes are judged by the header, before anything is allocated", async () => {
  const plain: PngKind = { colour: 2, depth: 8, interlaced: false };
  await fails(
    Buffer.concat([signature, header(2 ** 31 - 1, 2 ** 31 - 1, plain)]),
    /claims 2,147,483,647 × 2,147,483,647/,
  );
  await fails(Buffer.concat([signature, header(maxPixels + 1, 1, plain)]), /up to 67,108,864 pixels/);
  const jpeg = Buffer.from(jpegs.baseline, "base64");
  const frame = jpeg.indexOf(Buffer.from([0xff, 0xc0]));
  jpeg.fill(0xff, frame + 5, frame + 9);
  await fails(jpeg, /claims 65,535 × 65,535/);
  jpeg.fill(0, frame + 5, frame + 9);
  await fails(jpeg, /at least one pixel/);
  // Interlaced data that inflates to more than the header allows stops at the allowance.
  const bomb = deflateSync(new Uint8Array(50_000_000));
  const before = process.memoryUsage().arrayBuffers;
  await fails(
    Buffer.concat([
      signature,
      header(1, 1, { ...plain, interlaced: true }),
      chunk("IDAT", bomb),
      chunk("IEND", new Uint8Array()),
    ]),
    /decode/,
  );
  assert.ok(process.memoryUsage().arrayBuffers - before < 10_000_000);
});

test("a picture 20,000 pixels wide decodes", async () => {
  const wide = await decodeImage(
    writePng(20_000, 3, { colour: 0, depth: 8, interlaced: false }, (x) => x % 251),
    "wide",
  );
  assert.deepEqual([wide.width, wide.height, wide.data[3 * 19_999]], [20_000, 3, 19_999 % 251]);
  assert.equal(toPixels(wide, 8).length, 3 * 64);
});

test("unusual JPEG processes are refused by name", async () => {
  const jpeg = Buffer.from(jpegs.baseline, "base64");
  const frame = jpeg.indexOf(Buffer.from([0xff, 0xc0]));
  jpeg[frame + 1] = 0xc3;
  await fails(jpeg, /process SOF3/);
  jpeg[frame + 1] = 0xc1;
  jpeg[frame + 4] = 12;
  await fails(jpeg, /12 bits and 3 channels/);
});

test("a JPEG cut anywhere is refused", async () => {
  for (const base64 of Object.values(jpegs)) {
    const jpeg = Buffer.from(base64, "base64");
    for (let length = 0; length < jpeg.length; length++)
      await fails(jpeg.subarray(0, length), /empty|first bytes|look like|stops|needs/);
  }
});

test("damaged JPEGs and PNGs decode or say why; they never hang or fail otherwise", async () => {
  const resum = (png: Buffer): Buffer => {
    // Puts right checksums back, so that damage reaches the decoder behind them.
    for (let at = 8; at + 12 <= png.length;) {
      const next = at + 12 + png.readUInt32BE(at);
      if (next > png.length) break;
      png.writeUInt32BE(crc32(png.subarray(at + 4, next - 4)), next - 4);
      at = next;
    }
    return png;
  };
  const pngs = kinds.map((kind) =>
    writePng(
      11,
      6,
      kind,
      (x, y, c) => (x * 5 + y * 3 + c) % 2 ** kind.depth,
      kind.colour === 3 ? [chunk("PLTE", new Uint8Array(48))] : [],
    ),
  );
  const files = [...pngs, ...Object.values(jpegs).map((text) => Buffer.from(text, "base64"))];
  await fc.assert(
    fc.asyncProperty(
      fc.nat(files.length - 1),
      fc.array(fc.tuple(fc.nat(2000), fc.nat(255)), { minLength: 1, maxLength: 4 }),
      async (which, edits) => {
        const bytes = Buffer.from(files[which]!);
        for (const [at, value] of edits) bytes[at % bytes.length] = value;
        if (which < pngs.length) resum(bytes);
        // A flipped bit in the size field asks for a big picture, which is honest work and only slows the test.
        const [width, height] = which < pngs.length ? [bytes.readUInt32BE(16), bytes.readUInt32BE(20)] : [1, 1];
        fc.pre(width * height < 1e6);
        try {
          const image = await decodeImage(bytes, "x");
          assert.equal(image.data.length, 3 * image.width * image.height);
        } catch (error) {
          assert.ok(error instanceof ImageError, String(error));
        }
      },
    ),
    { seed: 20261123, numRuns: 1500 },
  );
});

test("files: a picture, a missing one, a folder", async () => {
  const folder = await mkdtemp(join(tmpdir(), "rediff-image-"));
  try {
    await writeFile(join(folder, "a.png"), whole);
    assert.deepEqual(await readImage(join(folder, "a.png")), await decodeImage(whole, "a.png"));
    await assert.rejects(readImage(join(folder, "b.png")), { name: "ImageError", message: /b\.png: .*no such file/ });
    await assert.rejects(readImage(folder), { name: "ImageError", message: /this is a folder/ });
    await assert.rejects(readImage(join(folder, "a.png", "c.png")), {
      name: "ImageError",
      message: /part of the path is a file/,
    });
  } finally {
    await rm(folder, { recursive: true });
  }
});

describe("transparency that is dropped", () => {
  interface Transparent {
    readonly width: number;
    readonly height: number;
    readonly files: readonly { readonly name: string; readonly file: string; readonly rgb: readonly number[] }[];
  }
  const golden = JSON.parse(
    readFileSync(new URL("../goldens/transparent.json", import.meta.url), "utf8"),
  ) as Transparent;
  for (const { name, file, rgb } of golden.files)
    test(`${name} has the colours that Pillow's convert("RGB") leaves`, async () => {
      const bytes = Buffer.from(file, "base64");
      const { width, height, data } = await decodeImage(bytes, name, "dropped");
      assert.deepEqual([width, height, [...data]], [golden.width, golden.height, rgb]);
      assert.notDeepEqual([...(await decodeImage(bytes, name)).data], rgb);
    });
});
