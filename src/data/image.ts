/**
 * From the bytes of a PNG or JPEG file to RGB. The decoders are pngjs and jpeg-js; what stands here is everything that
 * has to be known before they may run (kind, size, completeness), because both trust the file: they would allocate what
 * a header claims, inflate without end, or fill the missing half of a cut picture with grey, and a model would then be
 * trained on that. In a browser `createImageBitmap` and a canvas take the place of this file; the rest is in resize.ts.
 */
import { readFile } from "node:fs/promises";
import { crc32, inflateSync } from "node:zlib";
import { decode as decodeJpegPixels } from "jpeg-js";
import { PNG } from "pngjs";
import { ImageError } from "./resize.ts";
import type { Image } from "./resize.ts";

/** Four bytes a pixel while decoding: 256 MiB at most. Real photographs stay below, decompression bombs do not. */
export const maxPixels: number = 64 * 1024 * 1024;

/**
 * Decodes a PNG of any kind (1 to 16 bits, grey, palette, interlaced, transparent over white) or a baseline or progressive
 * JPEG. `name` is the file name, or whatever else tells the reader of an error which picture is meant. EXIF orientation
 * and colour profiles are ignored, as by Pillow's plain `convert("RGB")`.
 */
export function decodeImage(bytes: Uint8Array, name: string): Image {
  if (bytes.length === 0) {
    throw new ImageError(
      `${name}: a picture needs bytes, but this one is empty (0 bytes); write or download the file again.`,
    );
  }
  if (startsWith(bytes, pngSignature)) return decodePng(bytes, name);
  if (startsWith(bytes, [0xff, 0xd8, 0xff])) return decodeJpeg(bytes, name);
  throw new ImageError(
    `${name}: only PNG and JPEG are read, but these ${count(bytes.length)} bytes look like ${guess(bytes)}; convert the picture to PNG first.`,
  );
}

/** Reads and decodes a file. */
export async function readImage(path: string): Promise<Image> {
  let bytes: Uint8Array;
  try {
    bytes = await readFile(path);
  } catch (cause) {
    const code = cause instanceof Error && "code" in cause ? String(cause.code) : String(cause);
    const remedies: Record<string, string> = {
      ENOENT: "there is no such file; check the path, and the folder that relative paths start from",
      ENOTDIR: "a part of the path is a file and not a folder; check the path",
      EISDIR: "this is a folder; name one picture inside it",
      EACCES: "reading it is not allowed; change its permissions",
    };
    const facts = remedies[code] ?? `it cannot be read (${code}); check the path and the disk`;
    throw new ImageError(`${path}: a picture must be a readable file, but ${facts}.`, { cause });
  }
  return decodeImage(bytes, path);
}

// Kinds

const pngSignature = [0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a];

function startsWith(bytes: Uint8Array, magic: readonly number[] | string, at = 0): boolean {
  const codes = typeof magic === "string" ? Array.from(magic, (c) => c.charCodeAt(0)) : magic;
  return codes.every((code, i) => bytes[at + i] === code);
}

/** The kind of a file that is neither PNG nor JPEG, in words that fit after "look like". */
function guess(bytes: Uint8Array): string {
  if (startsWith(bytes, "GIF8")) return "a GIF";
  if (startsWith(bytes, "RIFF") && startsWith(bytes, "WEBP", 8)) return "a WebP";
  if (startsWith(bytes, "ftyp", 4))
    return startsWith(bytes, "avi", 8) ? "an AVIF" : "an HEIC or another ISO media file";
  if (startsWith(bytes, "II*\0") || startsWith(bytes, "MM\0*")) return "a TIFF";
  if (startsWith(bytes, "%PDF")) return "a PDF";
  if (startsWith(bytes, "PK\x03\x04")) return "a ZIP archive";
  if (startsWith(bytes, [0x1f, 0x8b])) return "gzip-compressed data";
  if (startsWith(bytes, pngSignature.slice(0, Math.min(8, bytes.length)))) return "the first bytes of a PNG";
  if (startsWith(bytes, [0xff, 0xd8].slice(0, Math.min(2, bytes.length)))) return "the first bytes of a JPEG";
  if (startsWith(bytes, "\x89PNG"))
    return "a PNG whose line ends were changed on the way, as by a transfer in text mode";
  const head = bytes.subarray(0, 256);
  // "BM" alone is two letters; only the reserved zeros that follow the size tell a bitmap from a word.
  if (startsWith(bytes, "BM") && startsWith(bytes, [0, 0, 0, 0], 6)) return "a BMP";
  if (head.every((b) => b === 9 || b === 10 || b === 13 || (b >= 32 && b !== 127))) {
    const text = new TextDecoder().decode(head).trimStart().toLowerCase();
    if (text.startsWith("version https://git-lfs"))
      return "a Git LFS pointer (text that stands for a file not yet fetched)";
    if (text.startsWith("<svg") || (text.startsWith("<?xml") && text.includes("<svg"))) return "an SVG";
    if (text.startsWith("<!doctype html") || text.startsWith("<html")) return "an HTML page";
    return `text (${JSON.stringify(new TextDecoder().decode(head.subarray(0, 24)))})`;
  }
  return `neither (they begin ${Array.from(bytes.subarray(0, 8), (b) => b.toString(16).padStart(2, "0")).join(" ")})`;
}

function count(n: number): string {
  return n.toLocaleString("en-US");
}

function checkSize(name: string, width: number, height: number): void {
  if (width < 1 || height < 1) {
    throw new ImageError(
      `${name}: a picture has at least one pixel, but the header says ${count(width)} × ${count(height)}; the file is damaged, so fetch it again.`,
    );
  }
  if (width * height > maxPixels) {
    throw new ImageError(
      `${name}: pictures of up to ${count(maxPixels)} pixels are read, but the header claims ${count(width)} × ${count(height)} = ${count(width * height)}; if that is its true size, shrink it first.`,
    );
  }
}

function truncated(name: string, facts: string): ImageError {
  return new ImageError(`${name}: a picture must be complete, but ${facts}; fetch or copy the file again.`);
}

function undecodable(name: string, decoder: string, cause: unknown): ImageError {
  const reason = cause instanceof Error ? cause.message : String(cause);
  return new ImageError(
    `${name}: the pixel data must decode, but ${decoder} stopped with "${reason}"; the file is damaged, so fetch or export it again.`,
    { cause },
  );
}

// PNG

interface PngHeader {
  readonly width: number;
  readonly height: number;
  readonly bitsPerPixel: number;
  readonly interlaced: boolean;
}

/** Channels and allowed bit depths by colour type: the table of the PNG specification, section 11.2.2. */
const colourTypes: Record<number, { readonly channels: number; readonly depths: readonly number[] }> = {
  0: { channels: 1, depths: [1, 2, 4, 8, 16] },
  2: { channels: 3, depths: [8, 16] },
  3: { channels: 1, depths: [1, 2, 4, 8] },
  4: { channels: 2, depths: [8, 16] },
  6: { channels: 4, depths: [8, 16] },
};

function decodePng(bytes: Uint8Array, name: string): Image {
  const { header, end, deflated } = scanPng(bytes, name);
  const { width, height } = header;
  let rgba: Uint8Array;
  try {
    // pngjs bounds the inflated size for plain pictures but not for interlaced ones, so those are measured first.
    if (header.interlaced) inflateSync(Buffer.concat(deflated), { maxOutputLength: interlacedLength(header) });
    rgba = PNG.sync.read(Buffer.from(bytes.buffer, bytes.byteOffset, end)).data;
  } catch (cause) {
    throw undecodable(name, "pngjs", cause);
  }
  if (rgba.length !== 4 * width * height) {
    throw truncated(name, `${count(4 * width * height)} bytes of pixels are due and ${count(rgba.length)} came`);
  }
  const data = new Uint8Array(3 * width * height);
  for (let from = 0, to = 0; from < rgba.length; from += 4) {
    const alpha = rgba[from + 3]!;
    for (let c = 0; c < 3; c++) {
      data[to++] = Math.round((rgba[from + c]! * alpha + 255 * (255 - alpha)) / 255);
    }
  }
  return { width, height, data };
}

/** Walks the chunks: every one whole, every checksum right, the header sensible, the end present. No pixel is touched. */
function scanPng(bytes: Uint8Array, name: string): { header: PngHeader; end: number; deflated: Uint8Array[] } {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const deflated: Uint8Array[] = [];
  let header: PngHeader | undefined;
  let at = pngSignature.length;
  for (;;) {
    if (at + 12 > bytes.length) {
      throw truncated(name, `after ${count(bytes.length)} bytes the PNG stops before its IEND chunk`);
    }
    const length = view.getUint32(at);
    const type = String.fromCharCode(...bytes.subarray(at + 4, at + 8));
    if (!/^[A-Za-z]{4}$/.test(type)) {
      throw new ImageError(
        `${name}: a PNG is a row of chunks with names of four letters, but at byte ${count(at + 4)} stands ${JSON.stringify(type)}; the file is damaged, so fetch it again.`,
      );
    }
    // Checked before completeness: the size a header claims is the more useful fact about a cut bomb.
    if (header === undefined) header = readHeader(bytes, view, at, length, type, name);
    else if (type === "IHDR")
      throw new ImageError(
        `${name}: a PNG has one IHDR chunk, but another stands at byte ${count(at)}; export the picture again.`,
      );
    const next = at + 12 + length;
    if (next > bytes.length) {
      throw truncated(
        name,
        `the ${type} chunk at byte ${count(at)} needs ${count(length)} bytes and the file ends ${count(next - bytes.length)} too early`,
      );
    }
    const sum = crc32(bytes.subarray(at + 4, next - 4));
    const written = view.getUint32(next - 4);
    if (sum !== written) {
      const hex = (n: number): string => n.toString(16).padStart(8, "0");
      throw new ImageError(
        `${name}: each PNG chunk must match its checksum, but ${type} at byte ${count(at)} has CRC ${hex(sum)} where the file says ${hex(written)}; fetch or copy the file again.`,
      );
    }
    if (type === "IDAT") deflated.push(bytes.subarray(at + 8, next - 4));
    at = next;
    if (type === "IEND") break;
  }
  if (deflated.length === 0) throw truncated(name, "the PNG has no IDAT chunk, that is, no pixels");
  return { header, end: at, deflated };
}

function readHeader(
  bytes: Uint8Array,
  view: DataView,
  at: number,
  length: number,
  type: string,
  name: string,
): PngHeader {
  if (type !== "IHDR" || length !== 13) {
    throw new ImageError(
      `${name}: a PNG begins with an IHDR chunk of 13 bytes, but this one begins with ${type} of ${count(length)}; export the picture again.`,
    );
  }
  if (at + 8 + length > bytes.length)
    throw truncated(name, `after ${count(bytes.length)} bytes the PNG stops inside its header`);
  const width = view.getUint32(at + 8);
  const height = view.getUint32(at + 12);
  checkSize(name, width, height);
  const depth = bytes[at + 16]!;
  const colour = bytes[at + 17]!;
  const kind = colourTypes[colour];
  if (kind === undefined || !kind.depths.includes(depth)) {
    throw new ImageError(
      `${name}: the PNG standard allows no colour type ${colour} with ${depth} bits a sample; the file is damaged, so export it again.`,
    );
  }
  return { width, height, bitsPerPixel: kind.channels * depth, interlaced: bytes[at + 20] === 1 };
}

/** Bytes that the seven Adam7 passes inflate to; each row carries one filter byte. */
function interlacedLength({ width, height, bitsPerPixel }: PngHeader): number {
  const passes = [
    [0, 0, 8, 8],
    [4, 0, 8, 8],
    [0, 4, 4, 8],
    [2, 0, 4, 4],
    [0, 2, 2, 4],
    [1, 0, 2, 2],
    [0, 1, 1, 2],
  ] as const;
  let total = 0;
  for (const [x, y, dx, dy] of passes) {
    const columns = Math.max(0, Math.ceil((width - x) / dx));
    const rows = Math.max(0, Math.ceil((height - y) / dy));
    if (columns > 0) total += rows * (1 + Math.ceil((columns * bitsPerPixel) / 8));
  }
  return total;
}

// JPEG

function decodeJpeg(bytes: Uint8Array, name: string): Image {
  const { width, height } = scanJpeg(bytes, name);
  let decoded: { width: number; height: number; data: Uint8Array };
  try {
    decoded = decodeJpegPixels(bytes, {
      useTArray: true,
      formatAsRGBA: false,
      tolerantDecoding: false,
      maxResolutionInMP: Math.ceil(maxPixels / 1e6),
      maxMemoryUsageInMB: 2048,
    });
  } catch (cause) {
    throw undecodable(name, "jpeg-js", cause);
  }
  if (decoded.width !== width || decoded.height !== height || decoded.data.length !== 3 * width * height) {
    throw undecodable(
      name,
      "jpeg-js",
      `a picture of ${decoded.width} × ${decoded.height} where the header says ${width} × ${height}`,
    );
  }
  return { width, height, data: decoded.data };
}

/** Walks the segments up to the first scan, for the size and the kind, and looks for the end mark. */
function scanJpeg(bytes: Uint8Array, name: string): { width: number; height: number } {
  let size: { width: number; height: number } | undefined;
  let at = 2;
  for (;;) {
    // Any number of 0xff may stand before a marker.
    while (bytes[at] === 0xff && bytes[at + 1] === 0xff) at++;
    if (at + 4 > bytes.length) {
      throw truncated(name, `after ${count(bytes.length)} bytes the JPEG stops inside its headers`);
    }
    const marker = bytes[at + 1]!;
    const length = bytes[at + 2]! * 256 + bytes[at + 3]!;
    if (bytes[at] !== 0xff || marker < 0xc0 || length < 2) {
      throw new ImageError(
        `${name}: a JPEG is a row of segments that begin with the byte ff, but at byte ${count(at)} there is none; the file is damaged, so fetch it again.`,
      );
    }
    const frame = marker >= 0xc0 && marker <= 0xcf && marker !== 0xc4 && marker !== 0xc8 && marker !== 0xcc;
    if (frame) {
      if (at + 10 > bytes.length)
        throw truncated(name, `after ${count(bytes.length)} bytes the JPEG stops inside its headers`);
      const bits = bytes[at + 4]!;
      const channels = bytes[at + 9]!;
      size = { height: bytes[at + 5]! * 256 + bytes[at + 6]!, width: bytes[at + 7]! * 256 + bytes[at + 8]! };
      checkSize(name, size.width, size.height);
      if (marker > 0xc2 || bits !== 8 || ![1, 3, 4].includes(channels)) {
        const process = marker > 0xc2 ? `process SOF${marker - 0xc0}` : `${bits} bits and ${channels} channels`;
        throw new ImageError(
          `${name}: baseline and progressive JPEGs of 8 bits with 1, 3 or 4 channels are read, but this one uses ${process}; save it as an ordinary JPEG or PNG.`,
        );
      }
    }
    if (at + 2 + length > bytes.length) {
      throw truncated(
        name,
        `the JPEG segment at byte ${count(at)} needs ${count(length)} bytes and the file ends after ${count(bytes.length)}`,
      );
    }
    at += 2 + length;
    if (marker === 0xda) break;
  }
  if (size === undefined) {
    throw new ImageError(
      `${name}: a JPEG states its size before its first scan, but this one does not; the file is damaged, so fetch it again.`,
    );
  }
  // Cameras append all sorts of things, so the end mark is searched for and not expected last.
  for (let i = at; i + 1 < bytes.length; i++) if (bytes[i] === 0xff && bytes[i + 1] === 0xd9) return size;
  throw truncated(name, `after ${count(bytes.length)} bytes the JPEG stops before its end mark (ff d9)`);
}
