/** Sizes of the whole model, and the presets. */
import { RediffError } from "../tensor/index.ts";

export interface VisionConfig {
  /** Side of the square picture, in pixels, and of the patch that one image token stands for. */
  readonly imageSize: number;
  readonly patch: number;
  /** Convolutions before the patch embedding. Undefined: none, as in SigLIP. */
  readonly stem?: StemConfig;
  readonly width: number;
  readonly layers: number;
  readonly heads: number;
  readonly mlp: number;
  readonly eps: number;
}

/**
 * 3×3 convolutions of stride 2, each followed by a GELU, so that patches see over their edges. A patch embedding of kernel and
 * stride `patch` / 2^n cells follows. Source: Xiao et al. 2021, Early convolutions help transformers see better.
 */
export interface StemConfig {
  /** Channels of each convolution. */
  readonly widths: readonly number[];
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

/** How a picture of any size becomes several views of the vision encoder's size: see anyResolution.ts. */
export interface TilingConfig {
  /**
   * Sizes [width, height] in pixels of the canvases that are cut into tiles, or "(1x1),...,(6x6)" for all grids of tiles
   * between two. Hugging Face: image_grid_pinpoints.
   */
  readonly pinpoints: string | readonly (readonly [width: number, height: number])[];
  /** N of anyres_max_N: more features than N tiles have are scaled down to about as many. Undefined: never. */
  readonly maxTiles?: number;
}

export interface RediffConfig {
  readonly name: string;
  readonly vision: VisionConfig;
  /** Undefined: one square view of each picture. */
  readonly tiling?: TilingConfig;
  readonly text: TextConfig;
}

/** Of a language model, with a vision encoder or alone. */
export type LanguageConfig = Pick<RediffConfig, "name" | "text"> & Partial<RediffConfig>;

/** Whether a model has eyes. */
export const hasVision = (config: LanguageConfig): config is RediffConfig => config.vision !== undefined;

const nano: RediffConfig = {
  name: "nano",
  vision: { imageSize: 16, patch: 8, width: 16, layers: 1, heads: 2, mlp: 32, eps: 1e-6 },
  text: { vocabulary: 1024, width: 32, layers: 2, heads: 2, mlp: 64, ropeBase: 10_000, eps: 1e-5, canvas: 24 },
};

const small: RediffConfig = {
  name: "small",
  vision: {
    imageSize: 72,
    patch: 12,
    stem: { widths: [32, 64] },
    width: 128,
    layers: 2,
    heads: 4,
    mlp: 384,
    eps: 1e-6,
  },
  text: { vocabulary: 1024, width: 128, layers: 5, heads: 4, mlp: 384, ropeBase: 10_000, eps: 1e-5, canvas: 64 },
};

/** The true sizes: SigLIP2-so400m/14-384 without its last layer, any resolution in up to 36 tiles, and LLaDA-8B. */
const llada: RediffConfig = {
  name: "llada-v-8b",
  vision: { imageSize: 384, patch: 14, width: 1152, layers: 26, heads: 16, mlp: 4304, eps: 1e-6 },
  tiling: { pinpoints: "(1x1),...,(6x6)", maxTiles: 4 },
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

/** Channels and side, in cells, of what the patch embedding looks at: pixels, or what the stem makes of them. */
export function patchCells({ patch, stem }: VisionConfig): { channels: number; side: number } {
  return stem ? { channels: stem.widths.at(-1)!, side: patch / 2 ** stem.widths.length } : { channels: 3, side: patch };
}

/** Throws RediffError where a stem does not fit the picture. */
export function checkStem({ imageSize, patch, stem }: VisionConfig): void {
  if (stem === undefined) return;
  const widths: unknown = (stem as StemConfig | null)?.widths;
  if (!Array.isArray(widths) || !widths.length || !widths.every((width) => Number.isInteger(width) && width > 0))
    throw new RediffError(
      `vision.stem.widths must list the channels of each convolution; stem is ${JSON.stringify(stem)}. Leave \`stem\` out for none.`,
      { stem },
    );
  const halved = 2 ** widths.length;
  if (patch % halved || imageSize % patch)
    throw new RediffError(
      `A stem of ${widths.length} convolutions halves the picture as often: vision.patch must be a multiple of ${halved} and vision.imageSize of vision.patch; they are ${patch} and ${imageSize}.`,
      { imageSize, patch, stem },
    );
}
