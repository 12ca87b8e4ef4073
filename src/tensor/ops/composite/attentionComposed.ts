import { mul } from "../../elementwise.ts";
import type { Tensor } from "../../tensor.ts";
import { matmul } from "../matmul.ts";
import { softmax } from "../softmax.ts";
import { permute, transpose } from "../views.ts";

/**
 * Attention from its parts, storing the T×T matrix: what the fused kernels must agree with, and what they are timed against.
 * Shapes as `attention`: q (B, Tq, H, D), k and v (B, Tk, H, D) to (B, Tq, H, D).
 */
export function attentionComposed(q: Tensor, k: Tensor, v: Tensor): Tensor {
  const heads = (x: Tensor): Tensor => permute(x, [0, 2, 1, 3]);
  const scores = matmul(heads(q), transpose(heads(k)));
  const weights = softmax(mul(scores, 1 / Math.sqrt(q.shape.at(-1)!)));
  return permute(matmul(weights, heads(v)), [0, 2, 1, 3]);
}
