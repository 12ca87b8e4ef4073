/**
 * WebP. libwebp decodes, compiled to WebAssembly (@jsquash/webp); the header is looked at before it may run.
 * Source: RFC 9649.
 */
import decode, { init } from "@jsquash/webp/decode.js";
import { checkDecoded, checkSize, count, opaque, type Transparency, truncated } from "./imageChecks.ts";
import { type Image, ImageError } from "./resize.ts";
import { wasmDecoder } from "./wasmDecoder.ts";

const libwebp = wasmDecoder("libwebp", "@jsquash/webp/codec/dec/webp_dec.wasm", init);

/** A still WebP, lossy or lossless. */
export async function decodeWebp(bytes: Uint8Array, name: string, transparency: Transparency): Promise<Image> {
  const size = scanWebp(bytes, name);
  const decoded = await libwebp(name, () => decode(new Uint8Array(bytes).buffer));
  checkDecoded(name, "libwebp", decoded, size);
  return opaque(decoded.data, size, transparency);
}

/** The size, from whichever of three headers there is. Throws where the file is cut or holds several pictures. */
function scanWebp(bytes: Uint8Array, name: string): { width: number; height: number } {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  if (bytes.length < 30) throw truncated(name, `after ${count(bytes.length)} bytes the WebP stops inside its header`);
  const due = 8 + view.getUint32(4, true);
  if (due > bytes.length) {
    throw truncated(name, `the WebP's header promises ${count(due)} bytes and the file has ${count(bytes.length)}`);
  }
  const size = readSize(view, name);
  checkSize(name, size.width, size.height);
  return size;
}

function readSize(view: DataView, name: string): { width: number; height: number } {
  const kind = String.fromCharCode(...[12, 13, 14, 15].map((at) => view.getUint8(at)));
  if (kind === "VP8 ") return { width: view.getUint16(26, true) & 0x3fff, height: view.getUint16(28, true) & 0x3fff };
  if (kind === "VP8L") {
    const packed = view.getUint32(21, true);
    return { width: (packed & 0x3fff) + 1, height: ((packed >> 14) & 0x3fff) + 1 };
  }
  if (kind === "VP8X") {
    const isAnimated = (view.getUint8(20) & 2) !== 0;
    if (isAnimated) {
      throw new ImageError(`${name}: one still picture is read, but this WebP is animated; save one of its frames.`);
    }
    return { width: (view.getUint32(24, true) & 0xffffff) + 1, height: (view.getUint32(26, true) >>> 8) + 1 };
  }
  throw new ImageError(
    `${name}: a WebP begins with a chunk VP8, VP8L or VP8X, but this one begins with ${JSON.stringify(kind)}; the file is damaged, so fetch it again.`,
  );
}
