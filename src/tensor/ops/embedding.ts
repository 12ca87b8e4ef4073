import { DtypeError, ShapeError } from "../errors.ts";
import { defineOp, f32, f32OrF16, u32 } from "../op.ts";
import { gatherRows, sumRowsByIndex } from "../rowsByIndex.ts";
import { contiguous } from "../run.ts";
import { empty, Tensor } from "../tensor.ts";
import { gatherQuantisedRows, type Quantised } from "./quantise.ts";

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

/**
 * embeddingShards: as embedding, of a table whose rows lie in several parts, f32, f16 or quantised: (…) to (…, C).
 *
 * Each part writes the rows that it has. The table is a constant: throws DtypeError where a part requires a gradient.
 */
export function embeddingShards(shards: readonly (Tensor | Quantised)[], ids: Tensor): Tensor {
  const [first] = shards;
  const C = first?.shape[1];
  if (!first || shards.some(({ shape }) => shape.length !== 2 || shape[1] !== C))
    throw new ShapeError("embeddingShards: at least one part is needed, and all parts have as many columns.", {
      shapes: shards.map(({ shape }) => shape),
    });
  if (ids.dtype !== "u32")
    throw new DtypeError(`embeddingShards: ids must be u32; they are ${ids.dtype}.`, { dtype: ids.dtype });
  if (ids.device.gradEnabled && shards.some((shard) => shard instanceof Tensor && shard.requiresGrad))
    throw new DtypeError("embeddingShards: parts of a table have no gradient. Train a table that is one tensor.");
  const index = contiguous(ids, "embeddingShards.ids");
  const y = empty(ids.device, [...ids.shape, C!], "f32", "embedding");
  let start = 0;
  for (const shard of shards) {
    const at = { first: start, keep: start > 0 };
    const rows = shard.shape[0];
    if (shard instanceof Tensor) {
      const x = contiguous(shard, "embeddingShards.table");
      gatherRows(x, index, y, { N: ids.size, rows, C: C!, ...at });
      if (x !== shard) x.dispose();
    } else gatherQuantisedRows(shard, index, y, at);
    start += rows;
  }
  if (index !== ids) index.dispose();
  return y;
}
