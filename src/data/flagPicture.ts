/** The picture of a procedural flag as the model sees it: worn, and of a real flag's shape squashed to a square. */
import { randomStream } from "../tensor/philox.ts";
import { renderParts, type RgbImage } from "./flagRenderer.ts";
import type { FlagSpec } from "./flagSpec.ts";

/** Width over height, about as often as real flags have it. */
const aspects = [
  [3 / 2, 45],
  [2, 33],
  [5 / 3, 12],
  [4 / 3, 8],
  [1, 2],
] as const;

export interface FlagPicture {
  readonly image: RgbImage;
  /** Width over height of the flag before it was squashed. */
  readonly aspect: number;
  /** The layer of `flagLayers(spec, aspect)` that each pixel shows. */
  readonly parts: Uint8Array;
}

/** A square picture of `size` pixels a side: a pure function of its arguments. `seed` draws shape and wear. */
export function flagPicture(spec: FlagSpec, size: number, seed: number): FlagPicture {
  const aspect = randomStream(seed, 0x61737063).weighted(aspects);
  return { aspect, ...renderParts(spec, { width: size, height: size, aspect, wear: { seed } }) };
}
