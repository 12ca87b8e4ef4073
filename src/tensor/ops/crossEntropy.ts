import { defineOp, f32, u32 } from "../op.ts";
import { runRows } from "../rows.ts";
import type { Tensor } from "../tensor.ts";

/**
 * crossEntropy: how surprised the logits of every row are by its target, times the weight of the row.
 *
 *   m[n] = max_v x[n,v]      s[n] = Σ_v exp(x[n,v] − m[n])      loss[n] = weight[n] · (m[n] + log s[n] − x[n,target[n]])
 *
 * Backward:
 *   dx[n,v] = dloss[n] · weight[n] · (exp(x[n,v] − m[n]) / s[n] − [v = target[n]])
 *
 * m and s are kept because they are N numbers each; the softmax would be N·V, and computing it again is one exp while dx
 * is written. (The one number m + log s has too few digits for logits of 10,000.)
 *
 * Rows of weight 0 are not read at all: their loss and gradient are exactly 0 whatever stands there, NaN included. A
 * target that is no token (>= V) makes its loss NaN; ids are best validated on the CPU, where they come from.
 */
const op = defineOp("crossEntropy", {
  inputs: { logits: f32("N*", "C"), targets: u32("N*"), weights: f32("N*") },
  outputs: { loss: f32("N*") },
  saved: { m: f32("N*"), s: f32("N*") },
  forward: ({ logits, targets, weights, loss, m, s, N, C }) => {
    runRows("crossEntropy", { logits, targets, weights, loss, m, s }, { N, C });
  },
  backward: ({ logits, targets, weights, m, s, dloss, dlogits, N, C }) => {
    if (dlogits) runRows("crossEntropyBackward", { logits, targets, weights, m, s, dloss, dlogits }, { N, C });
  },
});

/**
 * logits (…, V), targets (…) of u32 and weights (…) to losses (…), not summed. Targets and weights get no gradient.
 * PyTorch: weights · F.cross_entropy(logits, targets, reduction="none").
 */
export const crossEntropy = (logits: Tensor, targets: Tensor, weights: Tensor): Tensor =>
  op({ logits, targets, weights }).loss;
