/**
 * From the bytes of a PNG, JPEG or WebP file to RGB. The decoders are pngjs, libjpeg and libwebp; what stands here and in
 * png.ts, jpeg.ts and webp.ts is everything that has to be known before they may run (kind, size, completeness), because
 * all trust the file: they would allocate what a header claims, inflate without end, or fill the missing half of a cut
 * picture with grey, and a model would then be trained on that. In a browser `createImageBitmap` and a canvas take the
 * place of this file; the rest is in resize.ts.
 */
import { readFile } from "node:fs/promises";
import { count, startsWith, type Transparency } from "./imageChecks.ts";
import { decodePng, pngSignature } from "./png.ts";
import { type Image, ImageError } from "./resize.ts";

/**
 * Decodes a PNG of any kind (1 to 16 bits, grey, palette, interlaced), a baseline or progressive JPEG, or a still WebP;
 * what is transparent is laid over white unless `transparency` says otherwise. `name` is the file name, or whatever else tells the reader of an error which
 * picture is meant. Colour profiles and EXIF orientation are ignored, as by Pillow's `open` and `convert("RGB")`, through
 * which the pictures went that LLaDA-V was trained on: one that a camera marked as turned comes as it was stored.
 */
export async function decodeImage(
  bytes: Uint8Array,
  name: string,
  transparency: Transparency = "white",
): Promise<Image> {
  if (bytes.length === 0) {
    throw new ImageError(
      `${name}: a picture needs bytes, but this one is empty (0 bytes); write or download the file again.`,
    );
  }
  if (startsWith(bytes, pngSignature)) return decodePng(bytes, name, transparency);
  // Decoders in WebAssembly are loaded when the first such picture comes and not before.
  if (startsWith(bytes, [0xff, 0xd8, 0xff])) {
    const { decodeJpeg } = await import("./jpeg.ts");
    return decodeJpeg(bytes, name);
  }
  if (startsWith(bytes, "RIFF") && startsWith(bytes, "WEBP", 8)) {
    const { decodeWebp } = await import("./webp.ts");
    return decodeWebp(bytes, name, transparency);
  }
  throw new ImageError(
    `${name}: only PNG, JPEG and WebP are read, but these ${count(bytes.length)} bytes look like ${guess(bytes)}; convert the picture to PNG first.`,
  );
}

/** Reads and decodes a file, as `decodeImage`. */
export async function readImage(path: string, transparency: Transparency = "white"): Promise<Image> {
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
  return decodeImage(bytes, path, transparency);
}

/** The kind of a file that is none of ours, in words that fit after "look like". */
function guess(bytes: Uint8Array): string {
  if (startsWith(bytes, "GIF8")) return "a GIF";
  if (startsWith(bytes, "RIFF".slice(0, Math.min(4, bytes.length))))
    return "the first bytes of a WebP or another RIFF file";
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
  return `none of them (they begin ${Array.from(bytes.subarray(0, 8), (b) => b.toString(16).padStart(2, "0")).join(" ")})`;
}
