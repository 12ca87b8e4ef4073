import { pad, permute, reshape, ShapeError, showShape, type Tensor, unfold } from "../tensor/index.ts";
import { linear } from "./linear.ts";

export interface Convolution {
  /** Default: 1. */
  readonly stride?: number;
  /** Rows and columns of zeros on each side. Default: 0. */
  readonly padding?: number;
}

/**
 * Convolution with a square kernel, x (B, H, W, C) with channels innermost to (B, H', W', out): a linear layer of the windows.
 * weight (out, C, k, k) as checkpoints store it, bias (out). PyTorch: F.conv2d, of (B, C, H, W).
 */
export function conv2d(x: Tensor, weight: Tensor, bias: Tensor, options: Convolution = {}): Tensor {
  const [out, channels, window, other] = weight.shape as [number, number, number, number];
  if (x.rank !== 4 || weight.rank !== 4 || window !== other || channels !== x.shape[3])
    throw new ShapeError(
      `conv2d: x is (B, H, W, C) and weight (out, C, k, k); they are ${showShape(x.shape)} and ${showShape(weight.shape)}.`,
      { x: x.shape, weight: weight.shape },
    );
  // Channels in fours: windows are then read as vectors, and products need no copies of them (3 of a picture).
  const zeros = -channels & 3;
  const whole = (y: Tensor, axis: number) => (zeros ? pad(y, axis, 0, zeros) : y);
  // In the order of a window: rows, columns, channels.
  const rows = permute(whole(weight, 1), [0, 2, 3, 1]);
  const flat = reshape(rows, [out, window * window * (channels + zeros)]);
  return linear(unfold(whole(x, 3), { window, ...options }), flat, bias);
}
