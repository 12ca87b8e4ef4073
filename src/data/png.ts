/**
 * PNG. pngjs decodes; it trusts the file, so chunks, checksums and the size are looked at before it may run.
 */
import { crc32, inflateSync } from "node:zlib";
import { PNG } from "pngjs";
import { checkSize, count, opaque, type Transparency, truncated, undecodable } from "./imageChecks.ts";
import { type Image, ImageError } from "./resize.ts";

/** The first bytes of every PNG. */
export const pngSignature: readonly number[] = [0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a];

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

/** A PNG of 1 to 16 bits: grey, palette, colour, interlaced or not. */
export function decodePng(bytes: Uint8Array, name: string, transparency: Transparency): Image {
  const { header, end, deflated, transparent } = scanPng(bytes, name);
  const due = inflatedLength(header);
  let came: number;
  let rgba: Uint8Array | undefined;
  try {
    // pngjs would inflate an interlaced bomb whole, and fill what a plain picture lacks with whatever memory holds.
    came = measureInflated(deflated, due, header.interlaced);
    if (came === due) {
      // pngjs forgets the colour that a picture declares transparent, so where that is to stay the declaration goes.
      const [from, to] = transparency === "dropped" ? transparent : [end, end];
      rgba = PNG.sync.read(Buffer.concat([bytes.subarray(0, from), bytes.subarray(to, end)])).data;
    }
  } catch (cause) {
    throw undecodable(name, "pngjs", cause);
  }
  if (!rgba) throw truncated(name, `${count(due)} bytes of pixels are due and ${count(came)} came`);
  return opaque(rgba, header, transparency);
}

interface ScannedPng {
  readonly header: PngHeader;
  readonly end: number;
  readonly deflated: readonly Uint8Array[];
  /** Where the tRNS chunk begins and ends; both `end` where there is none. */
  readonly transparent: readonly [number, number];
}

/** Walks the chunks: every one whole, every checksum right, the header sensible, the end present. No pixel is touched. */
function scanPng(bytes: Uint8Array, name: string): ScannedPng {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const deflated: Uint8Array[] = [];
  let transparent: [number, number] | undefined;
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
    if (type === "tRNS") transparent = [at, next];
    at = next;
    if (type === "IEND") break;
  }
  if (deflated.length === 0) throw truncated(name, "the PNG has no IDAT chunk, that is, no pixels");
  return { header, end: at, deflated, transparent: transparent ?? [at, at] };
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

/** Bytes that the data inflates to, at most `due`. More are an error if `exact`, and else left alone, as by Pillow. */
function measureInflated(deflated: readonly Uint8Array[], due: number, exact: boolean): number {
  try {
    return inflateSync(Buffer.concat(deflated), { maxOutputLength: due }).length;
  } catch (error) {
    const isTooLong = error instanceof RangeError && "code" in error && error.code === "ERR_BUFFER_TOO_LARGE";
    if (exact || !isTooLong) throw error;
    return due;
  }
}

const adam7 = [
  [0, 0, 8, 8],
  [4, 0, 8, 8],
  [0, 4, 4, 8],
  [2, 0, 4, 4],
  [0, 2, 2, 4],
  [1, 0, 2, 2],
  [0, 1, 1, 2],
] as const;

/** Bytes that the one pass, or the seven of Adam7, inflate to; each row carries one filter byte. */
function inflatedLength({ width, height, bitsPerPixel, interlaced }: PngHeader): number {
  let total = 0;
  for (const [x, y, dx, dy] of interlaced ? adam7 : ([[0, 0, 1, 1]] as const)) {
    const columns = Math.max(0, Math.ceil((width - x) / dx));
    const rows = Math.max(0, Math.ceil((height - y) / dy));
    if (columns > 0) total += rows * (1 + Math.ceil((columns * bitsPerPixel) / 8));
  }
  return total;
}
