/** What all decoders of pictures need: the limit on sizes, and errors in one voice. */
import { type Image, ImageError } from "./resize.ts";

/** Four bytes a pixel while decoding: 256 MiB at most. Real photographs stay below, decompression bombs do not. */
export const maxPixels: number = 64 * 1024 * 1024;

/** Whether the bytes from `at` on are these, or the codes of these letters. */
export function startsWith(bytes: Uint8Array, magic: readonly number[] | string, at = 0): boolean {
  const codes = typeof magic === "string" ? Array.from(magic, (c) => c.charCodeAt(0)) : magic;
  return codes.every((code, i) => bytes[at + i] === code);
}

/** 1234567 as 1,234,567. */
export function count(n: number): string {
  return n.toLocaleString("en-US");
}

/** Throws ImageError where a header claims no pixel, or more than `maxPixels`. */
export function checkSize(name: string, width: number, height: number): void {
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

/** The error of a file that ends too early. */
export function truncated(name: string, facts: string): ImageError {
  return new ImageError(`${name}: a picture must be complete, but ${facts}; fetch or copy the file again.`);
}

/** The error of a file at which its decoder stopped. */
export function undecodable(name: string, decoder: string, cause: unknown): ImageError {
  const reason = cause instanceof Error ? cause.message : String(cause);
  return new ImageError(
    `${name}: the pixel data must decode, but ${decoder} stopped with "${reason}"; the file is damaged, so fetch or export it again.`,
    { cause },
  );
}

type Size = Pick<Image, "width" | "height">;

/** Throws ImageError where a decoder found a picture of another size than the header's. */
export function checkDecoded(name: string, decoder: string, decoded: Size, header: Size): void {
  if (decoded.width === header.width && decoded.height === header.height) return;
  const sizes = `a picture of ${decoded.width} × ${decoded.height} where the header says ${header.width} × ${header.height}`;
  throw undecodable(name, decoder, sizes);
}

/**
 * What becomes of transparency. `white`: the picture is laid over white. `dropped`: colours stand as they are stored, also what the
 * transparency was meant to hide; so Pillow's `convert("RGB")` has it, and with it the code of published models.
 */
export type Transparency = "white" | "dropped";

/** RGBA, row-major, as RGB. */
export function opaque(rgba: ArrayLike<number>, { width, height }: Size, transparency: Transparency = "white"): Image {
  const data = new Uint8Array(3 * width * height);
  for (let from = 0, to = 0; to < data.length; from += 4) {
    const alpha = transparency === "white" ? rgba[from + 3]! : 255;
    for (let c = 0; c < 3; c++) {
      data[to++] = Math.round((rgba[from + c]! * alpha + 255 * (255 - alpha)) / 255);
    }
  }
  return { width, height, data };
}
