import assert from "node:assert/strict";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { crc32, deflateSync } from "node:zlib";
import fc from "fast-check";
import { decodeImage, maxPixels, readImage } from "../../src/data/image.ts";
import { ImageError, normalise, resizeImage, toBytes, toPixels } from "../../src/data/resize.ts";
import type { FilterName, Image } from "../../src/data/resize.ts";

const seed = 20261123;

// A PNG writer of our own, from the standard, so that pngjs is not tested against itself.

function chunk(type: string, data: Uint8Array): Buffer {
  const body = Buffer.concat([Buffer.from(type, "latin1"), data]);
  const out = Buffer.alloc(body.length + 8);
  out.writeUInt32BE(data.length, 0);
  body.copy(out, 4);
  out.writeUInt32BE(crc32(body), body.length + 4);
  return out;
}

interface PngKind {
  readonly colour: 0 | 2 | 3 | 4 | 6;
  readonly depth: 1 | 2 | 4 | 8 | 16;
  readonly interlaced: boolean;
}

const channels = { 0: 1, 2: 3, 3: 1, 4: 2, 6: 4 } as const;
const signature = Buffer.from([0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a]);

function header(width: number, height: number, { colour, depth, interlaced }: PngKind): Buffer {
  const data = Buffer.alloc(13);
  data.writeUInt32BE(width, 0);
  data.writeUInt32BE(height, 4);
  data.set([depth, colour, 0, 0, interlaced ? 1 : 0], 8);
  return chunk("IHDR", data);
}

/** `sample(x, y, c)` is an integer below 2^depth. */
function writePng(
  width: number,
  height: number,
  kind: PngKind,
  sample: (x: number, y: number, c: number) => number,
  extra: readonly Buffer[] = [],
): Buffer {
  const steps = kind.interlaced
    ? [
        [0, 0, 8, 8],
        [4, 0, 8, 8],
        [0, 4, 4, 8],
        [2, 0, 4, 4],
        [0, 2, 2, 4],
        [1, 0, 2, 2],
        [0, 1, 1, 2],
      ]
    : [[0, 0, 1, 1]];
  const rows: number[] = [];
  for (const [x0, y0, dx, dy] of steps as [number, number, number, number][]) {
    if (x0 >= width) continue;
    for (let y = y0; y < height; y += dy) {
      rows.push(0);
      let bits = "";
      for (let x = x0; x < width; x += dx) {
        for (let c = 0; c < channels[kind.colour]; c++) bits += sample(x, y, c).toString(2).padStart(kind.depth, "0");
      }
      for (let i = 0; i < bits.length; i += 8) rows.push(parseInt(bits.slice(i, i + 8).padEnd(8, "0"), 2));
    }
  }
  const data = deflateSync(Uint8Array.from(rows));
  // Two IDAT chunks, since real files split their data at any byte.
  const half = data.length >> 1;
  return Buffer.concat([
    signature,
    header(width, height, kind),
    ...extra,
    chunk("IDAT", data.subarray(0, half)),
    chunk("IDAT", data.subarray(half)),
    chunk("IEND", new Uint8Array()),
  ]);
}

/** Eight bits from a sample, and a colour over white. */
const scaled = (v: number, depth: number): number => Math.round((v * 255) / (2 ** depth - 1));
const over = (v: number, alpha: number): number => Math.round((v * alpha + 255 * (255 - alpha)) / 255);

const kinds: PngKind[] = (
  [
    [0, [1, 2, 4, 8, 16]],
    [2, [8, 16]],
    [3, [1, 2, 4, 8]],
    [4, [8, 16]],
    [6, [8, 16]],
  ] as const
).flatMap(([colour, depths]) =>
  depths.flatMap((depth) => [false, true].map((interlaced) => ({ colour, depth, interlaced }))),
);

for (const kind of kinds) {
  test(`a PNG of colour type ${kind.colour}, ${kind.depth} bits${kind.interlaced ? ", interlaced" : ""}, at sizes from 1×1 on`, () => {
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
      const image = decodeImage(writePng(width, height, kind, sample, extra), "test.png");
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

test("transparency by a tRNS chunk shows white: one grey, one colour, palette entries", () => {
  const plain = { interlaced: false } as const;
  const grey = writePng(2, 1, { ...plain, colour: 0, depth: 8 }, (x) => 10 + x, [chunk("tRNS", Uint8Array.of(0, 11))]);
  assert.deepEqual([...decodeImage(grey, "g").data], [10, 10, 10, 255, 255, 255]);
  const rgb = writePng(2, 1, { ...plain, colour: 2, depth: 8 }, (x, _, c) => x + c, [
    chunk("tRNS", Uint8Array.of(0, 0, 0, 1, 0, 2)),
  ]);
  assert.deepEqual([...decodeImage(rgb, "c").data], [255, 255, 255, 1, 2, 3]);
  const indexed = writePng(3, 1, { ...plain, colour: 3, depth: 2 }, (x) => x, [
    chunk("PLTE", Uint8Array.of(0, 0, 0, 100, 0, 0, 0, 0, 200)),
    chunk("tRNS", Uint8Array.of(0, 127)),
  ]);
  assert.deepEqual(
    [...decodeImage(indexed, "p").data],
    [255, 255, 255, over(100, 127), over(0, 127), over(0, 127), 0, 0, 200],
  );
});

// JPEGs written by Pillow 13.0.0 on 2026-11-23: 24 × 16, the upper half (200, 30, 40), below white left of x = 8 and
// (20, 60, 160) right of it; quality 95, full chroma but for "subsampled" (4:2:0). Pillow reads them back to within 2.
const jpegs = {
  baseline:
    "/9j/4AAQSkZJRgABAQAAAQABAAD/2wBDAAIBAQEBAQIBAQECAgICAgQDAgICAgUEBAMEBgUGBgYFBgYGBwkIBgcJBwYGCAsICQoKCgoKBggLDAsKDAkKCgr/2wBDAQICAgICAgUDAwUKBwYHCgoKCgoKCgoKCgoKCgoKCgoKCgoKCgoKCgoKCgoKCgoKCgoKCgoKCgoKCgoKCgoKCgr/wAARCAAQABgDAREAAhEBAxEB/8QAHwAAAQUBAQEBAQEAAAAAAAAAAAECAwQFBgcICQoL/8QAtRAAAgEDAwIEAwUFBAQAAAF9AQIDAAQRBRIhMUEGE1FhByJxFDKBkaEII0KxwRVS0fAkM2JyggkKFhcYGRolJicoKSo0NTY3ODk6Q0RFRkdISUpTVFVWV1hZWmNkZWZnaGlqc3R1dnd4eXqDhIWGh4iJipKTlJWWl5iZmqKjpKWmp6ipqrKztLW2t7i5usLDxMXGx8jJytLT1NXW19jZ2uHi4+Tl5ufo6erx8vP09fb3+Pn6/8QAHwEAAwEBAQEBAQEBAQAAAAAAAAECAwQFBgcICQoL/8QAtREAAgECBAQDBAcFBAQAAQJ3AAECAxEEBSExBhJBUQdhcRMiMoEIFEKRobHBCSMzUvAVYnLRChYkNOEl8RcYGRomJygpKjU2Nzg5OkNERUZHSElKU1RVVldYWVpjZGVmZ2hpanN0dXZ3eHl6goOEhYaHiImKkpOUlZaXmJmaoqOkpaanqKmqsrO0tba3uLm6wsPExcbHyMnK0tPU1dbX2Nna4uPk5ebn6Onq8vP09fb3+Pn6/9oADAMBAAIRAxEAPwD5Hr8fP9UAoAKAP6tK/YD/ACvP476/uQ/DwoA//9k=",
  progressive:
    "/9j/4AAQSkZJRgABAQAAAQABAAD/2wBDAAIBAQEBAQIBAQECAgICAgQDAgICAgUEBAMEBgUGBgYFBgYGBwkIBgcJBwYGCAsICQoKCgoKBggLDAsKDAkKCgr/2wBDAQICAgICAgUDAwUKBwYHCgoKCgoKCgoKCgoKCgoKCgoKCgoKCgoKCgoKCgoKCgoKCgoKCgoKCgoKCgoKCgoKCgr/wgARCAAQABgDAREAAhEBAxEB/8QAFgABAQEAAAAAAAAAAAAAAAAAAAkH/8QAFwEBAQEBAAAAAAAAAAAAAAAAAAYIB//aAAwDAQACEAMQAAAByOP1QBVqwyvHfuUOP//EABQQAQAAAAAAAAAAAAAAAAAAACD/2gAIAQEAAQUCX//EABQRAQAAAAAAAAAAAAAAAAAAACD/2gAIAQMBAT8BX//EABQRAQAAAAAAAAAAAAAAAAAAACD/2gAIAQIBAT8BX//EABQQAQAAAAAAAAAAAAAAAAAAACD/2gAIAQEABj8CX//EABQQAQAAAAAAAAAAAAAAAAAAACD/2gAIAQEAAT8hX//aAAwDAQACAAMAAAAQAAA//8QAFBEBAAAAAAAAAAAAAAAAAAAAIP/aAAgBAwEBPxBf/8QAFBEBAAAAAAAAAAAAAAAAAAAAIP/aAAgBAgEBPxBf/8QAFBABAAAAAAAAAAAAAAAAAAAAIP/aAAgBAQABPxBf/9k=",
  subsampled:
    "/9j/4AAQSkZJRgABAQAAAQABAAD/2wBDAAIBAQEBAQIBAQECAgICAgQDAgICAgUEBAMEBgUGBgYFBgYGBwkIBgcJBwYGCAsICQoKCgoKBggLDAsKDAkKCgr/2wBDAQICAgICAgUDAwUKBwYHCgoKCgoKCgoKCgoKCgoKCgoKCgoKCgoKCgoKCgoKCgoKCgoKCgoKCgoKCgoKCgoKCgr/wAARCAAQABgDASIAAhEBAxEB/8QAHwAAAQUBAQEBAQEAAAAAAAAAAAECAwQFBgcICQoL/8QAtRAAAgEDAwIEAwUFBAQAAAF9AQIDAAQRBRIhMUEGE1FhByJxFDKBkaEII0KxwRVS0fAkM2JyggkKFhcYGRolJicoKSo0NTY3ODk6Q0RFRkdISUpTVFVWV1hZWmNkZWZnaGlqc3R1dnd4eXqDhIWGh4iJipKTlJWWl5iZmqKjpKWmp6ipqrKztLW2t7i5usLDxMXGx8jJytLT1NXW19jZ2uHi4+Tl5ufo6erx8vP09fb3+Pn6/8QAHwEAAwEBAQEBAQEBAQAAAAAAAAECAwQFBgcICQoL/8QAtREAAgECBAQDBAcFBAQAAQJ3AAECAxEEBSExBhJBUQdhcRMiMoEIFEKRobHBCSMzUvAVYnLRChYkNOEl8RcYGRomJygpKjU2Nzg5OkNERUZHSElKU1RVVldYWVpjZGVmZ2hpanN0dXZ3eHl6goOEhYaHiImKkpOUlZaXmJmaoqOkpaanqKmqsrO0tba3uLm6wsPExcbHyMnK0tPU1dbX2Nna4uPk5ebn6Onq8vP09fb3+Pn6/9oADAMBAAIRAxEAPwD5Hor+rSv4766eC/CD/W/2/wDtvsvZcv8Ay75r83N/08ja3L53uf0ZnP0sv7I9n/wjc3Nf/mIta1v+nD7nrlFeR0V9z/xLZ/1Nf/KH/wB2PD/4nL/6kX/l1/8Ae5//2Q==",
  grey: "/9j/4AAQSkZJRgABAQAAAQABAAD/2wBDAAIBAQEBAQIBAQECAgICAgQDAgICAgUEBAMEBgUGBgYFBgYGBwkIBgcJBwYGCAsICQoKCgoKBggLDAsKDAkKCgr/wAALCAAQABgBAREA/8QAHwAAAQUBAQEBAQEAAAAAAAAAAAECAwQFBgcICQoL/8QAtRAAAgEDAwIEAwUFBAQAAAF9AQIDAAQRBRIhMUEGE1FhByJxFDKBkaEII0KxwRVS0fAkM2JyggkKFhcYGRolJicoKSo0NTY3ODk6Q0RFRkdISUpTVFVWV1hZWmNkZWZnaGlqc3R1dnd4eXqDhIWGh4iJipKTlJWWl5iZmqKjpKWmp6ipqrKztLW2t7i5usLDxMXGx8jJytLT1NXW19jZ2uHi4+Tl5ufo6erx8vP09fb3+Pn6/9oACAEBAAA/APkeiiv6tK/jvor/2Q==",
  cmyk: "/9j/7gAOQWRvYmUAZAAAAAAA/9sAQwACAQEBAQECAQEBAgICAgIEAwICAgIFBAQDBAYFBgYGBQYGBgcJCAYHCQcGBggLCAkKCgoKCgYICwwLCgwJCgoK/8AAFAgAEAAYBEMRAE0RAFkRAEsRAP/EAB8AAAEFAQEBAQEBAAAAAAAAAAABAgMEBQYHCAkKC//EALUQAAIBAwMCBAMFBQQEAAABfQECAwAEEQUSITFBBhNRYQcicRQygZGhCCNCscEVUtHwJDNicoIJChYXGBkaJSYnKCkqNDU2Nzg5OkNERUZHSElKU1RVVldYWVpjZGVmZ2hpanN0dXZ3eHl6g4SFhoeIiYqSk5SVlpeYmZqio6Slpqeoqaqys7S1tre4ubrCw8TFxsfIycrS09TV1tfY2drh4uPk5ebn6Onq8fLz9PX29/j5+v/aAA4EQwBNAFkASwAAPwD9IK/Hevyfr9/KKKKKKKKK+3K/uEr+1yiv4U6/jzr8g6KKKKK//9k=",
};

for (const [name, base64] of Object.entries(jpegs)) {
  test(`a ${name} JPEG decodes to what Pillow reads`, () => {
    const image = decodeImage(Buffer.from(base64, "base64"), `${name}.jpg`);
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
        // jpeg-js repeats subsampled chroma where Pillow interpolates it, which shows next to an edge.
        assert.ok(
          off <= (name === "subsampled" ? 8 : 3),
          `${name} at ${x},${y}: ${image.data.subarray(at, at + 3).join()} instead of ${expected[k]!.join()}`,
        );
      }
    }
  });
}

function fails(bytes: Uint8Array, pattern: RegExp): void {
  assert.throws(
    () => decodeImage(bytes, "some/flag.png"),
    (error) => {
      assert.ok(error instanceof ImageError, String(error));
      assert.match(error.message, /^some\/flag\.png: .*\.$/s);
      assert.match(error.message, pattern);
      return true;
    },
  );
}

const whole = writePng(9, 7, { colour: 6, depth: 8, interlaced: false }, (x, y, c) => (x * 31 + y * 17 + c * 5) % 256);
const bytesOf = (text: string): Buffer => Buffer.from(text, "latin1");

test("what is no PNG or JPEG is named", () => {
  fails(new Uint8Array(), /empty \(0 bytes\)/);
  fails(bytesOf("GIF89a\x01\0\x01\0"), /look like a GIF; convert/);
  fails(bytesOf("RIFF\x10\0\0\0WEBPVP8 "), /look like a WebP/);
  fails(bytesOf("BM\x36\0\0\0\0\0\0\0\x36\0\0\0"), /look like a BMP/);
  fails(bytesOf("II*\0\x08\0\0\0"), /look like a TIFF/);
  fails(bytesOf("\0\0\0\x1cftypavif\0\0\0\0"), /look like an AVIF/);
  fails(bytesOf("%PDF-1.7"), /look like a PDF/);
  fails(bytesOf('<?xml version="1.0"?>\n<svg xmlns="x"/>'), /look like an SVG/);
  fails(bytesOf("<!DOCTYPE html><title>404</title>"), /look like an HTML page/);
  fails(bytesOf("version https://git-lfs.github.com/spec/v1\noid sha256:0"), /Git LFS pointer/);
  fails(bytesOf("BMW is a car"), /look like text \("BMW is a car"\)/);
  fails(Uint8Array.of(1, 2, 3, 0xfe), /neither \(they begin 01 02 03 fe\)/);
  fails(whole.subarray(0, 5), /the first bytes of a PNG/);
  fails(bytesOf(whole.toString("latin1").replaceAll("\r\n", "\n")), /transfer in text mode/);
});

test("a PNG cut anywhere, or with any byte of a checked chunk changed, is refused with a reason", () => {
  for (let length = 0; length < whole.length; length++)
    fails(whole.subarray(0, length), /empty|first bytes|stops|ends|needs/);
  for (let at = 8; at < whole.length; at++) {
    const bent = Buffer.from(whole);
    bent[at]! ^= 0x10;
    fails(bent, /checksum|complete|colour type|four letters|begins with|pixels|one IHDR/);
  }
  const bent = Buffer.from(whole);
  bent[60]! ^= 1;
  fails(bent, /IDAT at byte 33 has CRC [0-9a-f]{8} where the file says [0-9a-f]{8}/);
});

test("bytes after the end of a PNG do no harm", () => {
  assert.deepEqual(decodeImage(Buffer.concat([whole, bytesOf("trailer")]), "t"), decodeImage(whole, "t"));
});

test("a PNG whose chunks are sound but whose content is not", () => {
  const plain: PngKind = { colour: 2, depth: 8, interlaced: false };
  const end = chunk("IEND", new Uint8Array());
  const pngOf = (...chunks: Buffer[]): Buffer => Buffer.concat([signature, ...chunks]);
  fails(pngOf(header(4, 4, plain), end), /no IDAT/);
  fails(pngOf(end), /begins with IEND/);
  fails(pngOf(header(0, 4, plain), end), /at least one pixel, but the header says 0 × 4/);
  fails(pngOf(header(4, 4, { ...plain, depth: 2 }), end), /no colour type 2 with 2 bits/);
  fails(pngOf(header(4, 4, plain), header(4, 4, plain), end), /one IHDR/);
  fails(pngOf(header(4, 4, plain), chunk("IDAT", bytesOf("nonsense")), end), /pixel data must decode/);
  for (const interlaced of [false, true]) {
    fails(
      pngOf(header(4, 4, { ...plain, interlaced }), chunk("IDAT", deflateSync(new Uint8Array(7))), end),
      /decode|complete/,
    );
    fails(
      pngOf(header(4, 4, { ...plain, colour: 3, interlaced }), chunk("IDAT", deflateSync(new Uint8Array(20))), end),
      /decode/,
    );
  }
});

test("sizes are judged by the header, before anything is allocated", () => {
  const plain: PngKind = { colour: 2, depth: 8, interlaced: false };
  fails(Buffer.concat([signature, header(2 ** 31 - 1, 2 ** 31 - 1, plain)]), /claims 2,147,483,647 × 2,147,483,647/);
  fails(Buffer.concat([signature, header(maxPixels + 1, 1, plain)]), /up to 67,108,864 pixels/);
  const jpeg = Buffer.from(jpegs.baseline, "base64");
  const frame = jpeg.indexOf(Buffer.from([0xff, 0xc0]));
  jpeg.fill(0xff, frame + 5, frame + 9);
  fails(jpeg, /claims 65,535 × 65,535/);
  jpeg.fill(0, frame + 5, frame + 9);
  fails(jpeg, /at least one pixel/);
  // Interlaced data that inflates to more than the header allows stops at the allowance.
  const bomb = deflateSync(new Uint8Array(50_000_000));
  const before = process.memoryUsage().arrayBuffers;
  fails(
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

test("a picture 20,000 pixels wide decodes", () => {
  const wide = decodeImage(
    writePng(20_000, 3, { colour: 0, depth: 8, interlaced: false }, (x) => x % 251),
    "wide",
  );
  assert.deepEqual([wide.width, wide.height, wide.data[3 * 19_999]], [20_000, 3, 19_999 % 251]);
  assert.equal(toPixels(wide, 8).length, 3 * 64);
});

test("unusual JPEG processes are refused by name", () => {
  const jpeg = Buffer.from(jpegs.baseline, "base64");
  const frame = jpeg.indexOf(Buffer.from([0xff, 0xc0]));
  jpeg[frame + 1] = 0xc3;
  fails(jpeg, /process SOF3/);
  jpeg[frame + 1] = 0xc1;
  jpeg[frame + 4] = 12;
  fails(jpeg, /12 bits and 3 channels/);
});

test("a JPEG cut anywhere is refused", () => {
  for (const base64 of Object.values(jpegs)) {
    const jpeg = Buffer.from(base64, "base64");
    for (let length = 0; length < jpeg.length; length++)
      fails(jpeg.subarray(0, length), /empty|first bytes|look like|stops|needs/);
  }
});

test("damaged JPEGs and PNGs decode or say why; they never hang or fail otherwise", () => {
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
  fc.assert(
    fc.property(
      fc.nat(files.length - 1),
      fc.array(fc.tuple(fc.nat(2000), fc.nat(255)), { minLength: 1, maxLength: 4 }),
      (which, edits) => {
        const bytes = Buffer.from(files[which]!);
        for (const [at, value] of edits) bytes[at % bytes.length] = value;
        if (which < pngs.length) resum(bytes);
        // A flipped bit in the size field asks for a big picture, which is honest work and only slows the test.
        const [width, height] = which < pngs.length ? [bytes.readUInt32BE(16), bytes.readUInt32BE(20)] : [1, 1];
        fc.pre(width * height < 1e6);
        try {
          const image = decodeImage(bytes, "x");
          assert.equal(image.data.length, 3 * image.width * image.height);
        } catch (error) {
          assert.ok(error instanceof ImageError, String(error));
        }
      },
    ),
    { seed, numRuns: 1500 },
  );
});

test("files: a picture, a missing one, a folder", async () => {
  const folder = await mkdtemp(join(tmpdir(), "rediff-image-"));
  try {
    await writeFile(join(folder, "a.png"), whole);
    assert.deepEqual(await readImage(join(folder, "a.png")), decodeImage(whole, "a.png"));
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

// Resizing. The goldens are Pillow 13.0.0 on 2026-11-23: three images of mode "F" with the values of `golden` below, one
// per channel, `resize((width, height), BICUBIC | BOX)`; `weighted` is Σ (i + 1) · v over the interleaved result.

const golden: Image = {
  width: 7,
  height: 5,
  data: Uint8Array.from({ length: 7 * 5 * 3 }, (_, i) => {
    const [x, y, c] = [Math.floor(i / 3) % 7, Math.floor(i / 21), i % 3];
    return (37 * x * x + 91 * y + 17 * c + 53 * x * y) % 256;
  }),
};

const resized: {
  filter: FilterName;
  width: number;
  height: number;
  data?: number[];
  sum?: number;
  weighted?: number;
}[] = [
  {
    filter: "bicubic",
    width: 3,
    height: 2,
    data: [
      93.619, 110.619, 126.024, 94.495, 111.723, 126.663, 110.505, 124.646, 141.887, 126.929, 143.929, 138.191, 109.59,
      129.837, 117.477, 147.9, 124.142, 144.575,
    ],
  },
  { filter: "bicubic", width: 11, height: 9, sum: 35629.39, weighted: 5505199.3 },
  {
    filter: "area",
    width: 3,
    height: 2,
    data: [
      93.333, 110.333, 127.333, 95.667, 112.667, 129.667, 103.0, 120.0, 137.0, 109.75, 126.75, 143.75, 123.333, 140.333,
      114.667, 163.25, 116.25, 133.25,
    ],
  },
  { filter: "area", width: 11, height: 9, sum: 36210.0, weighted: 5635828.0 },
];

for (const { filter, width, height, data, sum, weighted } of resized) {
  test(`${filter} from 7×5 to ${width}×${height} as Pillow does it`, () => {
    const out = resizeImage(golden, width, height, filter);
    assert.deepEqual([out.width, out.height, out.data.length], [width, height, 3 * width * height]);
    data?.forEach((v, i) => assert.ok(Math.abs(out.data[i]! - v) < 2e-3, `${i}: ${out.data[i]} instead of ${v}`));
    // Sums of 297 values that were rounded to a thousandth: at most 0.15 and 22 off, far less than one wrong pixel makes.
    if (sum !== undefined) assert.ok(Math.abs(out.data.reduce((a, v) => a + v, 0) - sum) < 0.2);
    if (weighted !== undefined) assert.ok(Math.abs(out.data.reduce((a, v, i) => a + (i + 1) * v, 0) - weighted) < 25);
  });
}

test("resizing keeps constants, commutes with mirroring, and is the identity at equal size", () => {
  const sizes = fc.integer({ min: 1, max: 24 });
  fc.assert(
    fc.property(
      sizes,
      sizes,
      sizes,
      sizes,
      fc.constantFrom<FilterName>("bicubic", "area"),
      fc.nat(255),
      (w, h, W, H, filter, v) => {
        const flat: Image = { width: w, height: h, data: new Uint8Array(3 * w * h).fill(v) };
        for (const x of resizeImage(flat, W, H, filter).data) assert.ok(Math.abs(x - v) < 1e-4);
        const data = Uint8Array.from({ length: 3 * w * h }, (_, i) => (i * i * 31 + v) % 256);
        const mirror = <A extends Uint8Array | Float32Array>(from: A, width: number): A => {
          const to = from.slice() as A;
          for (let i = 0; i < from.length; i++) {
            const [row, x, c] = [Math.floor(i / (3 * width)), Math.floor(i / 3) % width, i % 3];
            to[3 * (row * width + width - 1 - x) + c] = from[i]!;
          }
          return to;
        };
        // Area sampling breaks ties at pixel borders to one side, so only the smooth filter is symmetric to the bit of rounding.
        if (filter === "bicubic") {
          const a = mirror(resizeImage({ width: w, height: h, data }, W, H).data, W);
          const b = resizeImage({ width: w, height: h, data: mirror(data, w) }, W, H).data;
          a.forEach((x, i) => assert.ok(Math.abs(x - b[i]!) < 1e-3));
        }
        assert.deepEqual(toBytes(resizeImage({ width: w, height: h, data }, w, h, filter)).data, data);
      },
    ),
    { seed, numRuns: 150 },
  );
});

test("pixels are planes of red, green, blue in −1…1, clipped", () => {
  const image: Image = { width: 2, height: 1, data: Uint8Array.of(255, 0, 51, 0, 255, 204) };
  assert.deepEqual(
    [...normalise(image)].map((v) => Math.round(v * 1000) / 1000),
    [1, -1, -1, 1, -0.6, 0.6],
  );
  const edge: Image = { width: 4, height: 1, data: Uint8Array.of(0, 0, 0, 0, 0, 0, 255, 255, 255, 255, 255, 255) };
  assert.ok(
    resizeImage(edge, 16, 16).data.some((v) => v > 255 || v < 0),
    "bicubic overshoots",
  );
  assert.ok(
    toPixels(edge, 16).every((v) => v >= -1 && v <= 1),
    "the encoder does not see it",
  );
  assert.equal(toPixels(edge, 5).length, 75);
});

test("sizes that are no whole pixels are refused", () => {
  for (const bad of [0, -1, 1.5, NaN, Infinity]) {
    assert.throws(() => resizeImage(golden, bad, 2), {
      name: "ImageError",
      message: /width must be a whole number of pixels/,
    });
    assert.throws(() => resizeImage(golden, 2, bad), { name: "ImageError", message: /height must be/ });
  }
});
