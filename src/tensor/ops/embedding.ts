import { defineOp, f32, f32OrF16, u32 } from "../op.ts";
import { gatherRows, sumRowsByIndex } from "../rowsByIndex.ts";
import type { Tensor } from "../tensor.ts";

/**
 * embedding: the row of a table for every id.
 *
 *   y[n,c] = table[id[n],c]      dtable[v,c] = Σ_{n: id[n] = v} dy[n,c]
 *
 * Nothing is kept. The sum of the derivative runs along chains of positions with the same id, so it is the same in each
 * run; rows of ids that do not occur are 0. An id that the table does not have gives a row of NaN.
 */
const op = defineOp("embedding", {
  inputs: { table: f32OrF16("V", "C"), ids: u32("N*") },
  outputs: { y: f32("N*", "C") },
  forward: ({ table, ids, y, N, V, C }) => {
    gatherRows(table, ids, y, { N, rows: V, C });
  },
  backward: ({ ids, dy, dtable, N, V, C }) => {
    if (dtable) sumRowsByIndex(dy, ids, dtable, { M: N, N: V, C });
  },
});

/** table (V, C), f32 or f16, and ids (…) of u32 to (…, C). PyTorch: F.embedding(ids, table). */
export const embedding = (table: Tensor, ids: Tensor): Tensor => op({ table, ids }).y;
