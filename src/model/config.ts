/** Sizes of the whole model, and the presets. */
import { RediffError } from "../tensor/index.ts";

export interface VisionConfig {
  /** Side of the square picture, in pixels, and of a patch. */
  readonly imageSize: number;
  readonly patch: number;
  readonly width: number;
  readonly layers: number;
  readonly heads: number;
  readonly mlp: number;
  readonly eps: number;
}

export interface TextConfig {
  readonly vocabulary: number;
  readonly width: number;
  readonly layers: number;
  readonly heads: number;
  readonly mlp: number;
  readonly ropeBase: number;
  readonly eps: number;
  /** Tokens of an answer: the canvas that is decoded. */
  readonly canvas: number;
}

export interface RediffConfig {
  readonly name: string;
  readonly vision: VisionConfig;
  readonly text: TextConfig;
}

const nano: RediffConfig = {
  name: "nano",
  vision: { imageSize: 16, patch: 8, width: 16, layers: 1, heads: 2, mlp: 32, eps: 1e-6 },
  text: { vocabulary: 1024, width: 32, layers: 2, heads: 2, mlp: 64, ropeBase: 10_000, eps: 1e-5, canvas: 24 },
};

const small: RediffConfig = {
  name: "small",
  vision: { imageSize: 72, patch: 12, width: 128, layers: 2, heads: 4, mlp: 384, eps: 1e-6 },
  text: { vocabulary: 1024, width: 128, layers: 5, heads: 4, mlp: 384, ropeBase: 10_000, eps: 1e-5, canvas: 64 },
};

/**
 * The true sizes: SigLIP2-so400m/14-384 without its last layer, and LLaDA-8B. Its pictures are tiled at any resolution,
 * which `rediff` does not do yet; the sizes are here so that names and parameter counts can be checked against it.
 */
const llada: RediffConfig = {
  name: "llada-v-8b",
  vision: { imageSize: 384, patch: 14, width: 1152, layers: 26, heads: 16, mlp: 4304, eps: 1e-6 },
  text: {
    vocabulary: 126_464,
    width: 4096,
    layers: 32,
    heads: 32,
    mlp: 12_288,
    ropeBase: 500_000,
    eps: 1e-5,
    canvas: 128,
  },
};

export const presets: Readonly<Record<string, RediffConfig>> = { nano, small, "llada-v-8b": llada };

export function preset(name: string): RediffConfig {
  const found = presets[name];
  if (!found)
    throw new RediffError(`There is no preset ${name}; there are ${Object.keys(presets).join(", ")}.`, { name });
  return found;
}

/** Image tokens P: patches of a square picture. A rest on the right and the bottom is dropped, as a strided convolution does. */
export const imageTokens = ({ imageSize, patch }: VisionConfig): number => Math.floor(imageSize / patch) ** 2;
