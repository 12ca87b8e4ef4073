/**
 * Pictures as plain arrays, and the way from a picture of any size to the square of numbers that the vision encoder
 * reads, to the bit as Pillow and SigLIP's image processor go it: a model sees in use what it saw in training. Nothing
 * here touches the disk or Node, so the browser playground uses it on canvas pixels unchanged.
 */

/** Eight-bit RGB, row-major: data[3·(W·y + x) + c]. */
export interface Image {
  readonly width: number;
  readonly height: number;
  readonly data: Uint8Array;
}

/** What can go wrong with a picture. The message is one sentence: the rule, the facts, the remedy. */
export class ImageError extends Error {
  override readonly name = "ImageError";
}

interface Filter {
  /** Half width of the kernel, in pixels of the smaller picture. */
  readonly radius: number;
  readonly weigh: (x: number) => number;
}

export type FilterName = "bicubic" | "area";

/**
 * `bicubic` is the cubic convolution with a = −1/2 that Pillow uses, hence what the preprocessing of SigLIP uses.
 * `area` averages the pixels that fall under each new one and never overshoots: right for making thumbnails.
 */
const filters: Record<FilterName, Filter> = {
  bicubic: {
    radius: 2,
    weigh: (x) => {
      const d = Math.abs(x);
      if (d < 1) return (1.5 * d - 2.5) * d * d + 1;
      if (d < 2) return (((d - 5) * d + 8) * d - 4) * -0.5;
      return 0;
    },
  },
  area: { radius: 0.5, weigh: (x) => (x > -0.5 && x <= 0.5 ? 1 : 0) },
};

/** Bits behind the point of a weight: 8 are left for the pixel and 2 for overshoot and sign. */
const FRACTION_BITS = 22;

interface Taps {
  /** First source index of each target index. */
  readonly first: Int32Array;
  readonly count: Int32Array;
  /** Weights of target i from i · stride on, in units of 2^-FRACTION_BITS; each row sums to 1 up to rounding. */
  readonly weights: Int32Array;
  readonly stride: number;
}

/**
 * The weights along one axis. When shrinking, the kernel is stretched by the scale so that every source pixel counts:
 * without that, thin stripes of a flag come and go with the phase of the sampling grid.
 */
function taps(from: number, to: number, filter: Filter): Taps {
  const scale = from / to;
  const stretch = Math.max(scale, 1);
  const radius = filter.radius * stretch;
  const stride = Math.ceil(radius) * 2 + 1;
  const first = new Int32Array(to);
  const count = new Int32Array(to);
  const weights = new Int32Array(to * stride);
  const row = new Float64Array(stride);
  for (let i = 0; i < to; i++) {
    const center = (i + 0.5) * scale;
    const begin = Math.max(0, Math.trunc(center - radius + 0.5));
    const n = Math.min(from, Math.trunc(center + radius + 0.5)) - begin;
    let sum = 0;
    // Times the reciprocal, as Pillow has it: a quotient may differ in the last bit.
    for (let k = 0; k < n; k++) sum += row[k] = filter.weigh((begin + k - center + 0.5) * (1 / stretch));
    for (let k = 0; k < n; k++) {
      const scaled = (row[k]! / sum) * 2 ** FRACTION_BITS;
      weights[i * stride + k] = Math.trunc(scaled < 0 ? scaled - 0.5 : scaled + 0.5);
    }
    first[i] = begin;
    count[i] = n;
  }
  return { first, count, weights, stride };
}

/** A sum of weighted pixels, with one half added, back to eight bits. */
const toByte = (sum: number): number => Math.min(255, Math.max(0, sum >> FRACTION_BITS));
const HALF = 1 << (FRACTION_BITS - 1);

function checkSize(operation: string, name: string, value: number): void {
  if (!Number.isInteger(value) || value < 1) {
    throw new ImageError(
      `${operation}: ${name} must be a whole number of pixels, at least 1, but it is ${value}; pass the size of the picture you want.`,
    );
  }
}

/**
 * Resizes with antialiasing, columns first and then rows, in fixed point and rounded to eight bits after each: the result
 * is that of Pillow's `resize((width, height), BICUBIC | BOX)` bit for bit, up to version 12. (13 takes rows first where the
 * height shrinks much more than the width, which moves some levels by a few; published models saw the old order.) An axis
 * that keeps its size is not touched.
 */
export function resizeImage(image: Image, width: number, height: number, filter: FilterName = "bicubic"): Image {
  checkSize("resizeImage", "width", width);
  checkSize("resizeImage", "height", height);
  const narrow = width === image.width ? image : resizeColumns(image, taps(image.width, width, filters[filter]));
  return height === image.height ? narrow : resizeRows(narrow, taps(image.height, height, filters[filter]));
}

function resizeColumns({ width: W, height, data: from }: Image, { first, count, weights, stride }: Taps): Image {
  const width = first.length;
  const data = new Uint8Array(3 * width * height);
  for (let y = 0, to = 0; y < height; y++) {
    for (let x = 0; x < width; x++, to += 3) {
      let r = HALF;
      let g = HALF;
      let b = HALF;
      let at = 3 * (y * W + first[x]!);
      const end = x * stride + count[x]!;
      for (let k = x * stride; k < end; k++, at += 3) {
        const w = weights[k]!;
        r += w * from[at]!;
        g += w * from[at + 1]!;
        b += w * from[at + 2]!;
      }
      data[to] = toByte(r);
      data[to + 1] = toByte(g);
      data[to + 2] = toByte(b);
    }
  }
  return { width, height, data };
}

function resizeRows({ width, data: from }: Image, { first, count, weights, stride }: Taps): Image {
  const height = first.length;
  const row = 3 * width;
  const data = new Uint8Array(row * height);
  const sums = new Int32Array(row);
  for (let y = 0; y < height; y++) {
    sums.fill(HALF);
    for (let k = 0; k < count[y]!; k++) {
      const w = weights[y * stride + k]!;
      const start = (first[y]! + k) * row;
      for (let i = 0; i < row; i++) sums[i]! += w * from[start + i]!;
    }
    for (let i = 0; i < row; i++) data[y * row + i] = toByte(sums[i]!);
  }
  return { width, height, data };
}

/**
 * The picture, whole, with its upper left corner at (left, top) of a black canvas. Pillow: `Image.new("RGB", (width, height))`
 * and `paste`. Throws ImageError where it does not fit.
 */
export function pasteOnBlack(image: Image, width: number, height: number, left: number, top: number): Image {
  const fits = (at: number, size: number, whole: number) => Number.isInteger(at) && at >= 0 && at + size <= whole;
  if (!fits(left, image.width, width) || !fits(top, image.height, height)) {
    throw new ImageError(
      `pasteOnBlack: the picture must lie inside the canvas, but ${image.width} × ${image.height} at (${left}, ${top}) does not fit into ${width} × ${height}; resize it first.`,
    );
  }
  const data = new Uint8Array(3 * width * height);
  for (let y = 0; y < image.height; y++) {
    const row = image.data.subarray(3 * y * image.width, 3 * (y + 1) * image.width);
    data.set(row, 3 * ((top + y) * width + left));
  }
  return { width, height, data };
}

/** The part of a picture from (left, top) on. Throws ImageError where it reaches beyond the edge. */
export function cropImage(image: Image, left: number, top: number, width: number, height: number): Image {
  const inside = (at: number, size: number, whole: number) =>
    Number.isInteger(at) && Number.isInteger(size) && at >= 0 && size > 0 && at + size <= whole;
  if (!inside(left, width, image.width) || !inside(top, height, image.height)) {
    throw new ImageError(
      `cropImage: the part must lie inside the picture, but ${width} × ${height} at (${left}, ${top}) does not lie in ${image.width} × ${image.height}; paste the picture on a larger canvas first.`,
    );
  }
  const data = new Uint8Array(3 * width * height);
  for (let y = 0; y < height; y++) {
    const from = 3 * ((top + y) * image.width + left);
    data.set(image.data.subarray(from, from + 3 * width), 3 * y * width);
  }
  return { width, height, data };
}

/**
 * v to (v/255 − 0.5) / 0.5, rounded to f32 after the product with 1/255 and again by each step that follows, as
 * SigLIP's image processor computes it.
 */
const unit = Float32Array.from({ length: 256 }, (_, v) => Math.fround(Math.fround(v * (1 / 255)) - 0.5) / 0.5);

/** Scales 0…255 to −1…1 (mean 0.5, deviation 0.5 of the unit range) and turns rows of RGB into planes: (3, H, W). */
export function normalise(image: Image): Float32Array {
  const N = image.width * image.height;
  const pixels = new Float32Array(3 * N);
  for (let i = 0; i < N; i++) for (let c = 0; c < 3; c++) pixels[c * N + i] = unit[image.data[3 * i + c]!]!;
  return pixels;
}

/**
 * What the vision encoder reads: (3, size, size) in −1…1. The picture is squashed to a square, not cropped, as LLaDA-V
 * does for its base view: a crop would cut the hoist and the fly off a flag.
 */
export function toPixels(image: Image, size: number): Float32Array {
  return normalise(resizeImage(image, size, size));
}
