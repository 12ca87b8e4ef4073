/**
 * Philox4x32-10, the counter-based generator of Salmon et al., "Parallel random numbers: as easy as 1, 2, 3" (SC 2011),
 * and streams of random numbers built on it.
 *
 * A counter-based generator has no state: block n of a stream is a function of n and a key. So any worker can make any
 * part of any stream, a run can be resumed from a number, and the GPU kernel that draws dropout or noise agrees with
 * this file to the bit.
 */

export type Philox4 = readonly [number, number, number, number];
export type PhiloxKey = readonly [number, number];

const multiplier0 = 0xd2511f53;
const multiplier1 = 0xcd9e8d57;
const weyl0 = 0x9e3779b9;
const weyl1 = 0xbb67ae85;

/** The upper 32 bits of the 64-bit product of two unsigned 32-bit integers, by halves of 16 bits. */
function multiplyHigh(a: number, b: number): number {
  const aLow = a & 0xffff;
  const aHigh = a >>> 16;
  const bLow = b & 0xffff;
  const bHigh = b >>> 16;
  const middle = aHigh * bLow + ((aLow * bLow) >>> 16);
  const carry = aLow * bHigh + (middle % 0x10000);
  return (aHigh * bHigh + Math.floor(middle / 0x10000) + Math.floor(carry / 0x10000)) >>> 0;
}

/** Ten rounds over a 128-bit counter under a 64-bit key. All words, in and out, are unsigned 32-bit integers. */
export function philox(counter: Philox4, key: PhiloxKey): Philox4 {
  let [c0, c1, c2, c3] = counter;
  let [k0, k1] = key;
  for (let round = 0; round < 10; round++) {
    const high0 = multiplyHigh(multiplier0, c0);
    const high1 = multiplyHigh(multiplier1, c2);
    const low0 = Math.imul(multiplier0, c0);
    const low1 = Math.imul(multiplier1, c2);
    c0 = (high1 ^ c1 ^ k0) >>> 0;
    c1 = low1 >>> 0;
    c2 = (high0 ^ c3 ^ k1) >>> 0;
    c3 = low0 >>> 0;
    k0 = (k0 + weyl0) >>> 0;
    k1 = (k1 + weyl1) >>> 0;
  }
  return [c0, c1, c2, c3];
}

/** A stream of random numbers. Two streams with the same seed and path give the same numbers on every machine. */
export interface RandomStream {
  /** An unsigned 32-bit integer. */
  bits(): number;
  /** A number in [0, 1) with 32 random bits. */
  uniform(): number;
  /** An integer in [0, n). */
  int(n: number): number;
  /** A draw from the standard normal distribution (Box-Muller). */
  normal(): number;
  /** True with the given probability. */
  chance(probability: number): boolean;
  /** One element, each equally likely. Throws on an empty array. */
  pick<T>(from: readonly T[]): T;
  /** One element of [element, weight] pairs, in proportion to the weights. Throws when no weight is positive. */
  weighted<T>(from: readonly (readonly [T, number])[]): T;
  /** A new array in random order (Fisher-Yates). The argument is left alone. */
  shuffle<T>(from: readonly T[]): T[];
  /** The stream of a longer path. It does not depend on how much has been drawn from this one. */
  fork(...path: number[]): RandomStream;
}

/**
 * The stream of (seed, path). Each element of the path is hashed into the key by one Philox block, so streams of different
 * paths are independent; then block n of the stream is philox([n, 0, 0, 0], key).
 * Throws on a seed or path element that is not an integer within ±2^53.
 */
export function randomStream(seed: number, ...path: number[]): RandomStream {
  let key: PhiloxKey = [0, 0];
  for (const [depth, step] of [seed, ...path].entries()) key = descend(key, step, depth);
  return streamOf(key, path.length + 1);
}

function descend(key: PhiloxKey, step: number, depth: number): PhiloxKey {
  if (!Number.isSafeInteger(step)) throw new RangeError(`randomStream: seed and path must be integers, got ${step}`);
  const high = Math.floor(step / 0x100000000) >>> 0;
  const mixed = philox([step >>> 0, high, depth, 1], key);
  return [mixed[0], mixed[1]];
}

function streamOf(key: PhiloxKey, depth: number): RandomStream {
  let block = 0;
  let words: Philox4 = [0, 0, 0, 0];
  let used = 4;
  let spareNormal: number | null = null;

  const bits = (): number => {
    if (used === 4) {
      words = philox([block++, 0, 0, 0], key);
      used = 0;
    }
    return words[used++] as number;
  };
  const uniform = (): number => bits() / 0x100000000;
  const int = (n: number): number => Math.floor(uniform() * n);

  return {
    bits,
    uniform,
    int,
    normal: () => {
      if (spareNormal !== null) {
        const spare = spareNormal;
        spareNormal = null;
        return spare;
      }
      const radius = Math.sqrt(-2 * Math.log(1 - uniform()));
      const angle = 2 * Math.PI * uniform();
      spareNormal = radius * Math.sin(angle);
      return radius * Math.cos(angle);
    },
    chance: (probability) => uniform() < probability,
    pick: <T>(from: readonly T[]): T => {
      if (from.length === 0) throw new RangeError("randomStream: pick from an empty array");
      return from[int(from.length)] as T;
    },
    weighted: <T>(from: readonly (readonly [T, number])[]): T => {
      let total = 0;
      for (const [, weight] of from) total += weight;
      let left = uniform() * total;
      for (const [value, weight] of from) {
        left -= weight;
        if (left < 0) return value;
      }
      throw new RangeError(`randomStream: the weights must add up to more than 0, got ${total}`);
    },
    shuffle: <T>(from: readonly T[]): T[] => {
      const out = from.slice();
      for (let i = out.length - 1; i > 0; i--) {
        const j = int(i + 1);
        const kept = out[i] as T;
        out[i] = out[j] as T;
        out[j] = kept;
      }
      return out;
    },
    fork: (...path) => {
      let forked = key;
      for (const [i, step] of path.entries()) forked = descend(forked, step, depth + i);
      return streamOf(forked, depth + path.length);
    },
  };
}
