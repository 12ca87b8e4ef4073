import { defineOp, f32 } from "../op.ts";
import { runRows } from "../rows.ts";
import type { Tensor } from "../tensor.ts";

/**
 * softmax over the last axis.
 *
 *   y[n,c] = exp(x[n,c] − m[n]) / Σ_c exp(x[n,c] − m[n])      m[n] = max_c x[n,c], so that no exp overflows
 *
 * Backward:
 *   dx[n,c] = y[n,c] · (dy[n,c] − Σ_c dy[n,c] · y[n,c])
 *
 * Only y is needed, which is there anyway.
 */
const op = defineOp("softmax", {
  inputs: { x: f32("N*", "C") },
  outputs: { y: f32("N*", "C") },
  forward: ({ x, y, N, C }) => {
    runRows("softmax", { x, y }, { N, C });
  },
  backward: ({ y, dy, dx, N, C }) => {
    if (dx) runRows("softmaxBackward", { y, dy, dx }, { N, C });
  },
});

/** x (…, C) to (…, C). PyTorch: softmax(x, -1). */
export const softmax = (x: Tensor): Tensor => op({ x }).y;
