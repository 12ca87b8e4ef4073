import { ShapeError } from "../../errors.ts";
import { showShape } from "../../shape.ts";
import type { Tensor } from "../../tensor.ts";
import { slice } from "../slice.ts";
import { permute, reshape } from "../views.ts";

/**
 * patches: cuts images into squares of p by p pixels, row by row, each flattened with its channels outermost. A rest on
 * the right and at the bottom is dropped, as a convolution with stride p does.
 *
 *   y[b, i·(W/p) + j, (c·p + u)·p + v] = x[b, c, i·p + u, j·p + v]
 *
 * This is the order of a Conv2d weight (out, C, p, p) flattened, so a convolution with stride p is `patches` and then a
 * linear layer. Views and one copy; so is the derivative.
 *
 * images (B, C, H, W) to (B, ⌊H/p⌋·⌊W/p⌋, C·p·p). PyTorch: F.unfold(x, p, stride=p).transpose(1, 2).
 */
export function patches(images: Tensor, patch: number): Tensor {
  const [B, C, H, W] = images.shape as [number, number, number, number];
  if (images.rank !== 4 || !Number.isInteger(patch) || patch < 1 || H < patch || W < patch)
    throw new ShapeError(
      `patches: images must be (B, C, H, W) with H and W at least the patch size ${patch}, a whole number; they are ${showShape(images.shape)}.`,
      { shape: images.shape, patch },
    );
  const [rows, columns] = [Math.floor(H / patch), Math.floor(W / patch)];
  const whole = slice(slice(images, 2, 0, rows * patch), 3, 0, columns * patch);
  const grid = reshape(whole, [B, C, rows, patch, columns, patch]);
  return reshape(permute(grid, [0, 2, 4, 1, 3, 5]), [B, rows * columns, C * patch * patch]);
}
