/**
 * From a FlagSpec to pixels. Every shape is painted over what is there by its coverage of the pixel, which is read off its
 * signed distance; so edges are smooth at every size, and the cost is one distance per pixel of the shape's box.
 */
import { randomStream } from "../tensor/philox.ts";
import { flagLayers } from "./flagGeometry.ts";
import { palette, type FlagSpec } from "./flagSpec.ts";

export interface RenderOptions {
  /** Pixels. */
  readonly width: number;
  readonly height: number;
  /** Width over height of the flag itself, which is stretched to fill the picture. Default: that of the picture. */
  readonly aspect?: number;
  /** The wear of real pictures; strength 1 (the default) is mild, 0 is none. Without it the palette's colours are exact. */
  readonly wear?: { readonly seed: number; readonly strength?: number };
}

/** RGB, 3 bytes a pixel, rows from the top. */
export interface RgbImage {
  readonly width: number;
  readonly height: number;
  readonly data: Uint8Array<ArrayBuffer>;
}

/** What wear does to one picture: a shift of shades, light across it, the part that is seen, blur and noise. */
interface Wear {
  readonly shade: () => number;
  readonly light: readonly [number, number, number];
  readonly view: { readonly x: number; readonly y: number; readonly scaleX: number; readonly scaleY: number };
  readonly blur: number;
  readonly noise: number;
  readonly noiseSeed: number;
}

/**
 * The picture of a flag: a pure function of (spec, options). At the centre of an area its colour is the palette's, without
 * wear. Throws RangeError on a size that is not a positive integer.
 */
export function renderFlag(spec: FlagSpec, options: RenderOptions): RgbImage {
  return renderParts(spec, options).image;
}

/** The picture of a flag, and which layer of `flagLayers` each pixel's centre shows (the topmost that covers it). */
export function renderParts(
  spec: FlagSpec,
  options: RenderOptions,
): { readonly image: RgbImage; readonly parts: Uint8Array } {
  const { width, height } = options;
  for (const side of [width, height]) {
    if (!Number.isInteger(side) || side < 1) {
      throw new RangeError(`renderFlag: width and height are pixels, positive integers; got ${width} x ${height}`);
    }
  }
  const aspect = options.aspect ?? width / height;
  if (!(aspect > 0 && aspect < Infinity))
    throw new RangeError(`renderFlag: aspect is width over height, a positive number; got ${aspect}`);
  const strength = options.wear === undefined ? 0 : (options.wear.strength ?? 1);
  const wear = strength > 0 ? drawWear(options.wear?.seed ?? 0, strength) : null;
  const { pixels, parts } = paint(spec, width, height, aspect, wear);
  const seen = wear !== null && wear.blur > 0 ? blur(pixels, width, height, wear.blur) : pixels;
  return { image: { width, height, data: finish(seen, width, height, wear) }, parts };
}

function drawWear(seed: number, strength: number): Wear {
  const random = randomStream(seed, 0x77656172);
  const spread = (amount: number): number => (2 * random.uniform() - 1) * amount * strength;
  // The seen part is shifted by up to 4 % and scaled by up to 5 % to either side.
  const scaleX = 1 + spread(0.05);
  const scaleY = 1 + spread(0.05);
  return {
    view: { scaleX, scaleY, x: (1 - scaleX) / 2 + spread(0.04), y: (1 - scaleY) / 2 + spread(0.04) },
    light: [spread(0.06), spread(0.08), spread(0.08)],
    blur: random.uniform() * 0.22 * strength,
    noise: random.uniform() * 9 * strength,
    noiseSeed: random.bits() | 1,
    shade: () => spread(16),
  };
}

function paint(
  spec: FlagSpec,
  width: number,
  height: number,
  aspect: number,
  wear: Wear | null,
): { pixels: Float32Array; parts: Uint8Array } {
  const out = new Float32Array(width * height * 3);
  const parts = new Uint8Array(width * height);
  const { x: viewX, y: viewY, scaleX, scaleY } = wear?.view ?? { x: 0, y: 0, scaleX: 1, scaleY: 1 };
  // Flag coordinates of a pixel's centre: x = x0 + column · dx.
  const dx = (scaleX * aspect) / width;
  const dy = scaleY / height;
  const x0 = viewX * aspect + dx / 2;
  const y0 = viewY + dy / 2;
  // Pixels a unit of length: the mean of both ways, where the flag is stretched.
  const density = 2 / (aspect / width + 1 / height);
  const shades = new Map<string, readonly [number, number, number]>();

  for (const [part, { colour, distance, box }] of flagLayers(spec, aspect).entries()) {
    let shade = shades.get(colour);
    if (shade === undefined) {
      const [r, g, b] = palette[colour];
      shade = wear === null ? [r, g, b] : [r + wear.shade(), g + wear.shade(), b + wear.shade()];
      shades.set(colour, shade);
    }
    const [red, green, blue] = shade;
    // What touches the flag's edge goes on beyond it: a worn picture may show a little more than the flag.
    const fromX = box[0] <= 0 ? 0 : clamp(Math.floor((box[0] - x0) / dx) - 1, 0, width);
    const toX = box[2] >= aspect ? width : clamp(Math.ceil((box[2] - x0) / dx) + 2, 0, width);
    const fromY = box[1] <= 0 ? 0 : clamp(Math.floor((box[1] - y0) / dy) - 1, 0, height);
    const toY = box[3] >= 1 ? height : clamp(Math.ceil((box[3] - y0) / dy) + 2, 0, height);
    for (let row = fromY; row < toY; row++) {
      const y = y0 + row * dy;
      for (let column = fromX; column < toX; column++) {
        const coverage = 0.5 - distance(x0 + column * dx, y) * density;
        if (coverage <= 0) continue;
        if (coverage > 0.5) parts[row * width + column] = part;
        const at = (row * width + column) * 3;
        if (coverage >= 1) {
          out[at] = red;
          out[at + 1] = green;
          out[at + 2] = blue;
        } else {
          out[at] = (out[at] as number) + coverage * (red - (out[at] as number));
          out[at + 1] = (out[at + 1] as number) + coverage * (green - (out[at + 1] as number));
          out[at + 2] = (out[at + 2] as number) + coverage * (blue - (out[at + 2] as number));
        }
      }
    }
  }
  return { pixels: out, parts };
}

/** One pass of (side, 1 − 2·side, side) along rows and one along columns; pixels outside repeat the edge. */
function blur(pixels: Float32Array, width: number, height: number, side: number): Float32Array {
  const middle = 1 - 2 * side;
  const along = (
    from: Float32Array,
    stride: number,
    length: number,
    lines: number,
    lineStride: number,
  ): Float32Array => {
    const to = new Float32Array(from.length);
    for (let line = 0; line < lines; line++) {
      for (let i = 0; i < length; i++) {
        const at = line * lineStride + i * stride;
        const before = i === 0 ? at : at - stride;
        const after = i === length - 1 ? at : at + stride;
        for (let c = 0; c < 3; c++) {
          to[at + c] =
            side * ((from[before + c] as number) + (from[after + c] as number)) + middle * (from[at + c] as number);
        }
      }
    }
    return to;
  };
  return along(along(pixels, 3, width, height, 3 * width), 3 * width, height, width, 3);
}

function finish(pixels: Float32Array, width: number, height: number, wear: Wear | null): Uint8Array<ArrayBuffer> {
  const data = new Uint8Array(pixels.length);
  if (wear === null) {
    for (let i = 0; i < pixels.length; i++) data[i] = (pixels[i] as number) + 0.5;
    return data;
  }
  // Noise needs many numbers of no great quality: a 32-bit xorshift, seeded by the stream.
  let state = wear.noiseSeed;
  const [base, acrossX, acrossY] = wear.light;
  for (let row = 0, i = 0; row < height; row++) {
    for (let column = 0; column < width; column++) {
      const light = 1 + base + acrossX * (column / width - 0.5) + acrossY * (row / height - 0.5);
      for (let c = 0; c < 3; c++, i++) {
        state ^= state << 13;
        state ^= state >>> 17;
        state ^= state << 5;
        data[i] = clamp((pixels[i] as number) * light + (state / 0x80000000) * wear.noise, 0, 255) + 0.5;
      }
    }
  }
  return data;
}

const clamp = (value: number, low: number, high: number): number => Math.min(high, Math.max(low, value));
