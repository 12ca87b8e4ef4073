import { defineOp, f32, u32 } from "../op.ts";
import { gatherRows, sumRowsByIndex } from "../rowsByIndex.ts";
import type { Tensor } from "../tensor.ts";

/**
 * gather: rows of x by index.       y[m,c] = x[index[m],c]      dx[n,c] = Σ_{m: index[m] = n} dy[m,c]
 *
 * Nothing but the index is kept. A row that x does not have is NaN.
 */
const gatherOp = defineOp("gather", {
  inputs: { x: f32("N", "C"), index: u32("M") },
  outputs: { y: f32("M", "C") },
  forward: ({ x, index, y, M, N, C }) => {
    gatherRows(x, index, y, { N: M, rows: N, C });
  },
  backward: ({ index, dy, dx, M, N, C }) => {
    if (dx) sumRowsByIndex(dy, index, dx, { M, N, C });
  },
});

/**
 * scatterRows: the transpose of gather. y[n,c] = Σ_{m: index[m] = n} x[m,c], so rows that no index names are 0 and rows
 * that share one are added.      dx[m,c] = dy[index[m],c]
 */
const scatterOp = defineOp("scatterRows", {
  inputs: { x: f32("M", "C"), index: u32("M") },
  outputs: { y: f32("N", "C") },
  attrs: { rows: 1 },
  derive: ({ rows }) => ({ N: rows }),
  forward: ({ x, index, y, M, N, C }) => {
    sumRowsByIndex(x, index, y, { M, N, C });
  },
  backward: ({ index, dy, dx, M, N, C }) => {
    if (dx) gatherRows(dy, index, dx, { N: M, rows: N, C });
  },
});

/** x (N, C) and index (M) of u32 to (M, C). PyTorch: x[index]. */
export const gather = (x: Tensor, index: Tensor): Tensor => gatherOp({ x, index }).y;

/** x (M, C) and index (M) of u32, each below N, to (N, C). PyTorch: torch.zeros(N, C).index_add(0, index, x). */
export const scatterRows = (x: Tensor, index: Tensor, N: number): Tensor => scatterOp({ x, index }, { rows: N }).y;
