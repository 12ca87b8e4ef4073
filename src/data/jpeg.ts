/**
 * JPEG. libjpeg decodes, as mozjpeg compiled to WebAssembly (@jsquash/jpeg): the same levels as Pillow's, with which published models
 * saw their pictures. It would fill the missing half of a cut file with grey, so the segments are walked before it may run.
 */
import decode, { init } from "@jsquash/jpeg/decode.js";
import { checkDecoded, checkSize, count, maxPixels, opaque, truncated, undecodable } from "./imageChecks.ts";
import { type Image, ImageError } from "./resize.ts";
import { wasmDecoder } from "./wasmDecoder.ts";

const libjpeg = wasmDecoder("libjpeg", "@jsquash/jpeg/codec/dec/mozjpeg_dec.wasm", init);

/** A baseline or progressive JPEG of 8 bits with 1, 3 or 4 channels. */
export async function decodeJpeg(bytes: Uint8Array, name: string): Promise<Image> {
  const { width, height, channels } = scanJpeg(bytes, name);
  const decoded = channels === 4 ? await decodeInks(bytes, name) : await decodeColours(bytes, name);
  checkDecoded(name, "libjpeg", decoded, { width, height });
  return decoded;
}

async function decodeColours(bytes: Uint8Array, name: string): Promise<Image> {
  const { data, width, height } = await libjpeg(name, () =>
    decode(new Uint8Array(bytes).buffer, { preserveOrientation: false }),
  );
  return opaque(data, { width, height });
}

/** Cyan, magenta, yellow and black, which that build of libjpeg does not turn into RGB; jpeg-js does. */
async function decodeInks(bytes: Uint8Array, name: string): Promise<Image> {
  const { decode: decodeSlowly } = await import("jpeg-js");
  try {
    const { data, width, height } = decodeSlowly(bytes, {
      useTArray: true,
      formatAsRGBA: false,
      tolerantDecoding: false,
      maxResolutionInMP: Math.ceil(maxPixels / 1e6),
      maxMemoryUsageInMB: 2048,
    });
    return { width, height, data };
  } catch (cause) {
    throw undecodable(name, "jpeg-js", cause);
  }
}

interface Frame {
  readonly width: number;
  readonly height: number;
  readonly channels: number;
}

/** Walks the segments up to the first scan, for the size and the kind, and looks for the end mark. */
function scanJpeg(bytes: Uint8Array, name: string): Frame {
  let size: Frame | undefined;
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
      size = { height: bytes[at + 5]! * 256 + bytes[at + 6]!, width: bytes[at + 7]! * 256 + bytes[at + 8]!, channels };
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
