/**
 * Group-wise quantisation of the rows of a matrix: small integers, and one scale for each group of neighbours in a row.
 *
 *   w[n,k] ≈ q[n,k] · s[n,g]      g = ⌊k / group⌋,  −L <= q < L = 2^(bits−1)
 *
 * Zero stays zero, and no product needs an offset. All 2·L integers are used: s has the sign that makes −L of the largest
 * weight, and is as large as the largest of the other sign, m, needs: |s| >= max(largest / L, m / (L − 1/2)), rounded up to
 * a bf16. So |w − q·s| <= |s| / 2 everywhere. bf16 rather than f16: it has the range of f32, and unpacks with a shift.
 *
 * In memory a row is whole groups, padded with zeros: integers in two's complement, the first in the lowest bits of a u32,
 * and scales two to a u32. Pure arithmetic: the GPU does the same in kernels/quantiseRows.wgsl.
 */
import { NonFiniteError, ShapeError } from "./errors.ts";

export interface QuantisedFormat {
  readonly bits: 4 | 8;
  /** Neighbours that share a scale: a multiple of 32. */
  readonly group: number;
}

/** The formats that we recommend: 8.25 and 4.25 bits a weight. Smaller groups are nearer to the weights, and larger. */
export const int8: QuantisedFormat = { bits: 8, group: 64 };
export const int4: QuantisedFormat = { bits: 4, group: 64 };

/** How a row of K values lies in memory, in u32 words. Throws ShapeError on a format that no kernel reads. */
export function rowLayout(K: number, { bits, group }: QuantisedFormat): { words: number; scales: number } {
  if ((bits !== 4 && bits !== 8) || !Number.isInteger(group) || group < 32 || group % 32)
    throw new ShapeError(`quantise: bits are 4 or 8 and a group is a multiple of 32; they are ${bits} and ${group}.`, {
      bits,
      group,
    });
  const groups = Math.ceil(K / group);
  return { words: (groups * group * bits) / 32, scales: Math.ceil(groups / 2) };
}

/** Bytes of an (N, K) matrix, scales and padding included. */
export function quantisedBytes(N: number, K: number, format: QuantisedFormat): number {
  const { words, scales } = rowLayout(K, format);
  return 4 * N * (words + scales);
}

/** Rounded to steps, a larger magnitude could leave the range of f32. */
const LARGEST = 3e38;

/** L: the smallest integer of a format is −L, the largest L − 1. */
export const levels = ({ bits }: QuantisedFormat): number => 2 ** (bits - 1);

export interface QuantisedRows {
  /** (N, words of a row). */
  readonly words: Uint32Array<ArrayBuffer>;
  /** (N, scale words of a row). */
  readonly scales: Uint32Array<ArrayBuffer>;
}

/** Rows (N, K) in a format. Throws NonFiniteError where a value is not finite, or over 3e38. */
export function quantiseRows(values: ArrayLike<number>, N: number, K: number, format: QuantisedFormat): QuantisedRows {
  const { bits, group } = format;
  const row = rowLayout(K, format);
  const words = new Uint32Array(N * row.words);
  const scales = new Uint32Array(N * row.scales);
  const L = levels(format);
  const mask = 2 ** bits - 1;
  const perWord = 32 / bits;
  for (let n = 0; n < N; n++)
    for (let first = 0, g = 0; first < K; first += group, g++) {
      const start = n * K + first;
      const end = start + Math.min(group, K - first);
      let [below, above] = [0, 0];
      for (let i = start; i < end; i++) {
        const value = values[i]!;
        if (!(Math.abs(value) <= LARGEST)) refuse(value, n, i - n * K);
        if (value < below) below = value;
        if (value > above) above = value;
      }
      const scale = scaleOf(below, above, L);
      scales[n * row.scales + (g >> 1)]! |= scale << (16 * (g & 1));
      // In f32, as the GPU does it: both then choose the same integers.
      const inverse = Math.fround(1 / bf16(scale));
      const at = n * row.words;
      for (let i = start; i < end; i++) {
        const k = i - n * K;
        const q = Math.min(L - 1, Math.fround(values[i]! * inverse) + HALF_EVEN - HALF_EVEN);
        words[at + Math.floor(k / perWord)]! |= (q & mask) << (bits * (k % perWord));
      }
    }
  return { words, scales };
}

/** The values (N, K) that quantised rows stand for. Tests hold the GPU to it. */
export function dequantiseRows(
  { words, scales }: QuantisedRows,
  N: number,
  K: number,
  format: QuantisedFormat,
): Float32Array {
  const { bits, group } = format;
  const row = rowLayout(K, format);
  const perWord = 32 / bits;
  const values = new Float32Array(N * K);
  for (let n = 0; n < N; n++)
    for (let k = 0; k < K; k++) {
      const g = Math.floor(k / group);
      const word = words[n * row.words + Math.floor(k / perWord)]!;
      const q = (word << (32 - bits - bits * (k % perWord))) >> (32 - bits);
      values[n * K + k] = q * bf16((scales[n * row.scales + (g >> 1)]! >>> (16 * (g & 1))) & 0xffff);
    }
  return values;
}

/** Added and taken away, it rounds to the nearest integer, ties to even: a f64 has no bits left for a fraction. */
const HALF_EVEN = 1.5 * 2 ** 52;

const float = new Float32Array(1);
const floatBits = new Uint32Array(float.buffer);

/** The value of the bits of a bf16. */
export function bf16(bits: number): number {
  floatBits[0] = bits << 16;
  return float[0]!;
}

/** Bits of the smallest scale whose inverse is an f32: groups of zeros, or of less than it, have that. */
const TINY = 0x0080;

/** Bits of the scale of a group with these extremes, `below` <= 0 <= `above`. */
function scaleOf(below: number, above: number, L: number): number {
  const deep = Math.abs(below);
  const magnitude = Math.max(TINY, bf16AtLeast(Math.max(deep, above), L), bf16AtLeast(Math.min(deep, above), L - 0.5));
  return above > deep ? magnitude | 0x8000 : magnitude;
}

/** Bits of the smallest bf16 s with L·s >= largest. */
function bf16AtLeast(largest: number, L: number): number {
  float[0] = largest / L;
  const bits = floatBits[0]! >>> 16;
  return bf16(bits) * L < largest ? bits + 1 : bits;
}

function refuse(value: number, n: number, k: number): never {
  throw new NonFiniteError(
    `quantise: a weight must be finite and at most ${LARGEST}; at row ${n}, column ${k} it is ${value}. Look for damage in the checkpoint.`,
    { value, n, k },
  );
}
