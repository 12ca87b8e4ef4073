/**
 * Any resolution: a picture of any size as a grid of square tiles beside one view of the whole, and the image tokens that
 * their features make. Pure geometry, as LLaDA-V has it (LLaVA-NeXT's "anyres" with "spatial_unpad"): the same choices, to
 * the rounding, so that token counts and places agree with published checkpoints. Sizes are (width, height) in pixels.
 */
import { RediffError } from "../tensor/index.ts";
import { imageTokens, type RediffConfig, type TilingConfig, type VisionConfig } from "./config.ts";
import type { Packing } from "./packTokens.ts";

export type Size = readonly [width: number, height: number];

/** A part of a plane: in pixels of a canvas, or in cells of a map of features. */
export interface Window {
  readonly left: number;
  readonly top: number;
  readonly width: number;
  readonly height: number;
}

export interface TileLayout {
  readonly columns: number;
  readonly rows: number;
  /** Where the resized picture lies on the canvas that is cut into tiles; the rest is black. */
  readonly picture: Window;
  /** The features, of (rows · side, columns · side) cells, that show the picture. May be empty in one direction. */
  readonly seen: Window;
  /** Cells (width, height) that `seen` is scaled down to, or undefined where there are few enough. */
  readonly scaled: Size | undefined;
}

/** Cells along a side of one view. */
export const viewCells = ({ imageSize, patch }: VisionConfig): number => Math.floor(imageSize / patch);

/**
 * The sizes of canvases that pictures may be fitted to: `"(1x1),...,(6x6)"` means all grids of tiles between the first and
 * the last; a list of sizes in pixels may also be a string. Throws RediffError where they are not whole tiles.
 */
export function parsePinpoints(pinpoints: TilingConfig["pinpoints"], side: number): Size[] {
  const sizes = typeof pinpoints === "string" ? readPinpoints(pinpoints, side) : pinpoints;
  const isWhole = (n: unknown) => typeof n === "number" && n > 0 && n % side === 0;
  const isSize = (size: unknown) => Array.isArray(size) && size.length === 2 && size.every(isWhole);
  if (!Array.isArray(sizes) || !sizes.length || !sizes.every(isSize))
    throw new RediffError(
      `Pinpoints must be sizes of whole tiles of ${side} pixels, as "(1x1),...,(6x6)" or [[${side}, ${2 * side}], …]; they are ${JSON.stringify(pinpoints)}.`,
      { pinpoints, side },
    );
  return sizes as Size[];
}

function readPinpoints(text: string, side: number): unknown {
  const grids = [...text.matchAll(/\((\d+)x(\d+)\)/g)].map(([, columns, rows]) => [Number(columns), Number(rows)]);
  const [first, last] = [grids[0], grids.at(-1)];
  if (first && last) {
    const range = (from: number, to: number) => Array.from({ length: Math.max(0, to - from + 1) }, (_, i) => from + i);
    return range(first[0]!, last[0]!).flatMap((columns) =>
      range(first[1]!, last[1]!).map((rows) => [columns * side, rows * side]),
    );
  }
  try {
    // Python writes a list of pairs with either kind of bracket.
    return JSON.parse(text.replaceAll("(", "[").replaceAll(")", "]"));
  } catch {
    return undefined;
  }
}

/** The canvas on which most of the picture's pixels survive, and of those the smallest. Source: LLaVA, select_best_resolution. */
export function selectResolution([width, height]: Size, resolutions: readonly Size[]): Size {
  const fits = resolutions.map((resolution) => {
    const [W, H] = resolution;
    const scale = Math.min(W / width, H / height);
    const kept = Math.min(Math.trunc(width * scale) * Math.trunc(height * scale), width * height);
    return { resolution, kept, wasted: W * H - kept };
  });
  const better = (a: (typeof fits)[number], b: (typeof fits)[number]) =>
    b.kept > a.kept || (b.kept === a.kept && b.wasted < a.wasted) ? b : a;
  return fits.reduce(better).resolution;
}

/** How a picture of this size is tiled, and what of its features becomes tokens. */
export function layTiles(size: Size, vision: VisionConfig, { pinpoints, maxTiles }: TilingConfig): TileLayout {
  const side = vision.imageSize;
  const [W, H] = selectResolution(size, parsePinpoints(pinpoints, side));
  const [columns, rows] = [W / side, H / side];
  const cells = viewCells(vision);
  const seen = seenCells(size, columns * cells, rows * cells);
  return { columns, rows, picture: fitted(size, W, H), seen, scaled: scaledDown(seen, cells, maxTiles) };
}

/** The picture as large as it fits, in the middle. Source: LLaVA, resize_and_pad_image. */
function fitted([width, height]: Size, W: number, H: number): Window {
  const [across, down] = [W / width, H / height];
  const fit =
    across < down
      ? { width: W, height: Math.min(Math.ceil(height * across), H) }
      : { width: Math.min(Math.ceil(width * down), W), height: H };
  return { left: Math.floor((W - fit.width) / 2), top: Math.floor((H - fit.height) / 2), ...fit };
}

/** Cells of a map of W by H that are not all letterbox. Source: LLaVA, unpad_image. */
function seenCells([width, height]: Size, W: number, H: number): Window {
  if (width / height > W / H) {
    const top = Math.floor((H - Math.trunc(height * (W / width))) / 2);
    return { left: 0, top, width: W, height: H - 2 * top };
  }
  const left = Math.floor((W - Math.trunc(width * (H / height))) / 2);
  return { left, top: 0, width: W - 2 * left, height: H };
}

/** Above 1.21 · maxTiles views' worth of cells, the map shrinks to about maxTiles. Source: LLaVA, anyres_max_N. */
function scaledDown({ width, height }: Window, cells: number, maxTiles: number | undefined): Size | undefined {
  if (maxTiles === undefined) return undefined;
  const times = Math.sqrt((height * width) / (maxTiles * cells ** 2));
  // Python's a // b of floats: ⌊a / b⌋ may be one too many where the quotient was rounded up to a whole number.
  const wholeTimes = (a: number) => Math.round((a - (a % times)) / times);
  return times > 1.1 ? [wholeTimes(width), wholeTimes(height)] : undefined;
}

/** Image tokens P of a picture: those of the whole view, and each row of the map with its newline. */
export function tiledTokens({ seen, scaled }: TileLayout, vision: VisionConfig): number {
  const [width, height] = scaled ?? [seen.width, seen.height];
  return viewCells(vision) ** 2 + height * (width + 1);
}

/**
 * Image tokens that a picture takes: a square one of a view's size, and the shape that takes most. Strips take even fewer than
 * the square one, since what is letterbox makes no tokens. Without tiling all take the same.
 */
export function pictureTokens({ vision, tiling }: Pick<RediffConfig, "vision" | "tiling">): {
  square: number;
  most: number;
} {
  if (!tiling) return { square: imageTokens(vision), most: imageTokens(vision) };
  const side = vision.imageSize;
  const tokensOf = (...size: Size): number => tiledTokens(layTiles(size, vision, tiling), vision);
  // Every shape that fills a canvas in one direction, a row or column of cells at a time, as large as the canvas or larger.
  const step = side / viewCells(vision);
  const shapes = parsePinpoints(tiling.pinpoints, side).flatMap(([W, H]) => [
    ...Array.from({ length: Math.round(H / step) }, (_, i): Size => [W, Math.ceil((i + 1) * step)]),
    ...Array.from({ length: Math.round(W / step) }, (_, i): Size => [Math.ceil((i + 1) * step), H]),
  ]);
  const most = shapes.reduce((max, [w, h]) => Math.max(max, tokensOf(w, h), tokensOf(8 * w, 8 * h)), 0);
  return { square: tokensOf(side, side), most };
}

/** Image tokens of a picture of this size. */
export const tokensOfPicture = (size: Size, { vision, tiling }: Pick<RediffConfig, "vision" | "tiling">): number =>
  tiling ? tiledTokens(layTiles(size, vision, tiling), vision) : imageTokens(vision);

/**
 * How the tokens are made of features, whose rows are numbered view by view: the whole picture first, then the tiles row by
 * row, and last the newline. Tokens: all of the whole picture, then the map row by row, each row with a newline at its end.
 */
export function tilePacking(layout: TileLayout, vision: VisionConfig): Packing {
  const { seen, scaled, columns, rows } = layout;
  const cells = viewCells(vision);
  const P = cells ** 2;
  const newline = P * (1 + columns * rows);
  const rowOf = (x: number, y: number): number => {
    const tile = Math.floor(y / cells) * columns + Math.floor(x / cells);
    return P * (1 + tile) + (y % cells) * cells + (x % cells);
  };
  const [width, height] = scaled ?? [seen.width, seen.height];
  const across = bilinear(seen.width, width);
  const down = bilinear(seen.height, height);
  const terms = Array.from({ length: P }, (_, row) => [{ row, weight: 1 }]);
  for (const vertical of down) {
    for (const horizontal of across)
      terms.push(
        vertical.flatMap((v) =>
          horizontal.map((h) => ({ row: rowOf(seen.left + h.at, seen.top + v.at), weight: v.weight * h.weight })),
        ),
      );
    terms.push([{ row: newline, weight: 1 }]);
  }
  return { terms, newline };
}

/** For each of `to` cells, the one or two of `from` that it is made of. PyTorch: F.interpolate(mode="bilinear"). */
function bilinear(from: number, to: number): { at: number; weight: number }[][] {
  return Array.from({ length: to }, (_, i) => {
    const place = Math.max(0, (i + 0.5) * (from / to) - 0.5);
    const at = Math.floor(place);
    const far = place - at;
    return far === 0 || at + 1 >= from
      ? [{ at: Math.min(at, from - 1), weight: 1 }]
      : [
          { at, weight: 1 - far },
          { at: at + 1, weight: far },
        ];
  });
}
