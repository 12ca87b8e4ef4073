import { cropImage, type Image, normalise, pasteOnBlack, resizeImage, toPixels } from "../data/resize.ts";
import { section } from "../nn/parameters.ts";
import { recompute, RediffError, reshape, scope, type Tensor, tensor } from "../tensor/index.ts";
import { layTiles, type TileLayout, tilePacking } from "./anyResolution.ts";
import { NEWLINE } from "./parameterSpecs.ts";
import { sumShares, type TokenShare, tokenShare } from "./packTokens.ts";
import { type AnyRediff, encodeImage } from "./rediff.ts";

export type { Image };

export interface EncodeOptions {
  /**
   * Views that the encoder sees at a time. More are faster on a GPU and take more memory: 729 tokens of SigLIP2-so400m
   * hold about 12 MB in the widest layer. Tokens do not depend on it but for rounding. Default: 4.
   */
  readonly viewsAtOnce?: number;
}

/**
 * A picture of any size to its image tokens (P, C), ready to be spliced into a prompt: as tiles at any resolution where the
 * config has `tiling`, else as one square view. Differentiable in the parameters; with the model's `recompute`, all that backward
 * keeps of a view are its pixels and its features.
 */
export function encodePicture(model: AnyRediff, image: Image, { viewsAtOnce = 4 }: EncodeOptions = {}): Tensor {
  const { device, config, parameters } = model;
  const { vision, tiling } = config;
  const side = vision.imageSize;
  if (!Number.isInteger(viewsAtOnce) || viewsAtOnce < 1)
    throw new RediffError(`encodePicture: viewsAtOnce must be a whole number from 1 on; it is ${viewsAtOnce}.`, {
      viewsAtOnce,
    });
  const encode = (views: readonly Float32Array[]): Tensor => {
    const pixels = pixelsOf(model, views);
    const features = (x: Tensor) => reshape(encodeImage(model, x), [-1, config.text.width]);
    return device.gradEnabled && model.recompute ? recompute([pixels], ([x]) => features(x!)) : features(pixels);
  };
  /** Frees what is made on the way, unless backward needs it. */
  const tidied = <R>(body: () => R): R => (device.gradEnabled ? body() : scope(device, body));
  return tidied(() => {
    if (!tiling) return encode([toPixels(image, side)]);
    const layout = layTiles([image.width, image.height], vision, tiling);
    const packing = tilePacking(layout, vision);
    const P = packing.newline / (1 + layout.rows * layout.columns);
    const shares: (TokenShare | undefined)[] = [];
    let waiting: Float32Array[] = [];
    let first = 0;
    const flush = () => {
      // Only the share leaves the scope: features of all tiles at once would not fit beside the weights.
      if (waiting.length) shares.push(tidied(() => tokenShare(encode(waiting), first, packing)));
      first += waiting.length * P;
      waiting = [];
    };
    for (const view of pictureViews(image, layout, side)) if (waiting.push(view) === viewsAtOnce) flush();
    flush();
    const newline = reshape(section(parameters, "")(NEWLINE), [1, -1]);
    shares.push(tokenShare(newline, packing.newline, packing));
    return sumShares(
      device,
      shares.filter((share) => share !== undefined),
      packing,
    );
  });
}

/** Pictures to the images of `embedSequences`: each as in `encodePicture`, or, where all are square views, in one batch (n, P, C). */
export function encodePictures(model: AnyRediff, pictures: readonly Image[]): Tensor[] {
  const { vision, tiling } = model.config;
  if (tiling) return pictures.map((picture) => encodePicture(model, picture));
  const views = pictures.map((picture) => toPixels(picture, vision.imageSize));
  return [encodeImage(model, pixelsOf(model, views))];
}

/** Pixels (3, S, S) of each view as one tensor (n, 3, S, S). */
function pixelsOf({ device, config }: AnyRediff, views: readonly Float32Array[]): Tensor {
  const { imageSize: S } = config.vision;
  const pixels = new Float32Array(views.length * 3 * S * S);
  views.forEach((view, i) => pixels.set(view, i * view.length));
  return tensor(device, pixels, [views.length, 3, S, S], "f32", "views");
}

/** Pixels (3, side, side) of each view: the whole picture squashed to a square, then the tiles row by row. */
export function* pictureViews(
  image: Image,
  { columns, rows, picture }: TileLayout,
  side: number,
): Generator<Float32Array> {
  yield toPixels(image, side);
  const resized = resizeImage(image, picture.width, picture.height);
  const canvas = pasteOnBlack(resized, columns * side, rows * side, picture.left, picture.top);
  for (let y = 0; y < rows; y++)
    for (let x = 0; x < columns; x++) yield normalise(cropImage(canvas, x * side, y * side, side, side));
}
