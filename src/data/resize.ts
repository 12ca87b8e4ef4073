/**
 * Pictures as plain arrays, and the way from a picture of any size to the square of numbers that the vision encoder
 * reads. Nothing here touches the disk or Node, so the browser playground uses it on canvas pixels unchanged.
 */

/** Eight-bit RGB, row-major: data[3·(W·y + x) + c]. */
export interface Image {
  readonly width: number;
  readonly height: number;
  readonly data: Uint8Array;
}

/** The same layout in floats on the scale 0…255, neither rounded nor clipped. */
export interface FloatImage {
  readonly width: number;
  readonly height: number;
  readonly data: Float32Array;
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
      if (d < 2) return ((-0.5 * d + 2.5) * d - 4) * d + 2;
      return 0;
    },
  },
  area: { radius: 0.5, weigh: (x) => (x > -0.5 && x <= 0.5 ? 1 : 0) },
};

interface Taps {
  /** First source index of each target index. */
  readonly first: Int32Array;
  readonly count: Int32Array;
  /** Weights of target i from i · stride on; each row sums to 1. */
  readonly weights: Float64Array;
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
  const weights = new Float64Array(to * stride);
  for (let i = 0; i < to; i++) {
    const center = (i + 0.5) * scale;
    const begin = Math.max(0, Math.floor(center - radius + 0.5));
    const end = Math.min(from, Math.floor(center + radius + 0.5));
    let sum = 0;
    for (let j = begin; j < end; j++) {
      const w = filter.weigh((j - center + 0.5) / stretch);
      weights[i * stride + j - begin] = w;
      sum += w;
    }
    for (let k = 0; k < end - begin; k++) weights[i * stride + k]! /= sum;
    first[i] = begin;
    count[i] = end - begin;
  }
  return { first, count, weights, stride };
}

function checkSize(operation: string, name: string, value: number): void {
  if (!Number.isInteger(value) || value < 1) {
    throw new ImageError(
      `${operation}: ${name} must be a whole number of pixels, at least 1, but it is ${value}; pass the size of the picture you want.`,
    );
  }
}

/** Resizes, columns first and then rows, with antialiasing. Nothing is rounded in between, so a constant picture stays exact. */
export function resizeImage(
  image: Image | FloatImage,
  width: number,
  height: number,
  filter: FilterName = "bicubic",
): FloatImage {
  checkSize("resizeImage", "width", width);
  checkSize("resizeImage", "height", height);
  const across = taps(image.width, width, filters[filter]);
  const down = taps(image.height, height, filters[filter]);
  const wide = new Float64Array(image.height * width * 3);
  for (let y = 0; y < image.height; y++) {
    for (let x = 0; x < width; x++) {
      let r = 0;
      let g = 0;
      let b = 0;
      let at = 3 * (y * image.width + across.first[x]!);
      for (let k = 0; k < across.count[x]!; k++, at += 3) {
        const w = across.weights[x * across.stride + k]!;
        r += w * image.data[at]!;
        g += w * image.data[at + 1]!;
        b += w * image.data[at + 2]!;
      }
      const to = 3 * (y * width + x);
      wide[to] = r;
      wide[to + 1] = g;
      wide[to + 2] = b;
    }
  }
  const data = new Float32Array(height * width * 3);
  const row = 3 * width;
  const sums = new Float64Array(row);
  for (let y = 0; y < height; y++) {
    sums.fill(0);
    for (let k = 0; k < down.count[y]!; k++) {
      const w = down.weights[y * down.stride + k]!;
      const from = (down.first[y]! + k) * row;
      for (let i = 0; i < row; i++) sums[i]! += w * wide[from + i]!;
    }
    data.set(sums, y * row);
  }
  return { width, height, data };
}

/** Rounds and clips back to eight bits. */
export function toBytes(image: FloatImage): Image {
  return { width: image.width, height: image.height, data: Uint8Array.from(new Uint8ClampedArray(image.data)) };
}

/** Scales 0…255 to −1…1 (mean 0.5, deviation 0.5 of the unit range) and turns rows of RGB into planes: (3, H, W). */
export function normalise(image: Image | FloatImage): Float32Array {
  const N = image.width * image.height;
  const pixels = new Float32Array(3 * N);
  for (let i = 0; i < N; i++) {
    for (let c = 0; c < 3; c++) {
      // Bicubic overshoots at edges; a picture of eight bits could not, so the encoder must not see it.
      const value = Math.min(255, Math.max(0, image.data[3 * i + c]!));
      pixels[c * N + i] = value / 127.5 - 1;
    }
  }
  return pixels;
}

/**
 * What the vision encoder reads: (3, size, size) in −1…1. The picture is squashed to a square, not cropped, as LLaDA-V
 * does for its base view: a crop would cut the hoist and the fly off a flag.
 */
export function toPixels(image: Image | FloatImage, size: number): Float32Array {
  return normalise(resizeImage(image, size, size));
}
