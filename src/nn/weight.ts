/**
 * Weights as they are stored: one tensor (f32 to train, f16 to use), small integers, or parts. Layers take any of them.
 *
 * A tensor must fit one binding of the adapter, which may be as small as 128 MiB; the head of LLaDA-8B alone has 2 GB. So
 * a matrix that is larger is split by rows, its outputs, when it is made, and only layers know.
 */
import {
  cast,
  type Device,
  type Dtype,
  embedding,
  embeddingShards,
  int4,
  int8,
  keep,
  LimitError,
  matmul,
  matmulQuantised,
  quantise,
  type Quantised,
  quantisedBytes,
  type QuantisedFormat,
  type Shape,
  Tensor,
  transpose,
} from "../tensor/index.ts";

/** The parts of a matrix (out, in), by rows. */
export interface Sharded {
  readonly shape: Shape;
  readonly shards: readonly (Tensor | Quantised)[];
}

export type Weight = Tensor | Quantised | Sharded;

/** How matrices are stored. What is no matrix (norms, biases, positions) is f32 always. */
export type WeightStorage = "f32" | "f16" | "int8" | "int4";
export const weightStorages: readonly WeightStorage[] = ["f32", "f16", "int8", "int4"];

const formats: Readonly<Partial<Record<WeightStorage, QuantisedFormat>>> = { int8, int4 };

/** A stretch of rows that fits a binding, and the bytes of the largest of its buffers. */
export interface RowRange {
  readonly start: number;
  readonly end: number;
}

/** Bytes of (rows, columns) in a storage, scales and padding included. */
export function storedBytes(rows: number, columns: number, storage: WeightStorage): number {
  const format = formats[storage];
  return format ? quantisedBytes(rows, columns, format) : rows * columns * (storage === "f16" ? 2 : 4);
}

/**
 * Rows in as few parts as fit `limit` bytes each, of equal size but the last, in multiples of 32 where they are many. Throws
 * LimitError where a single row is too large.
 */
export function rowRanges(
  rows: number,
  columns: number,
  storage: WeightStorage,
  limit: number,
  label: string,
): RowRange[] {
  const most = Math.floor(limit / storedBytes(1, columns, storage));
  if (most < 1)
    throw new LimitError(`${label}: a row of ${columns} takes more than the ${limit} bytes that this adapter binds.`, {
      label,
      limit,
    });
  const parts = Math.max(1, Math.ceil(rows / most));
  const even = Math.ceil(rows / parts);
  const step = Math.min(most, Math.ceil(even / 32) * 32);
  return Array.from({ length: Math.ceil(rows / step) }, (_, i) => ({
    start: i * step,
    end: Math.min(rows, (i + 1) * step),
  }));
}

/**
 * A matrix (out, in) from its rows, which are asked for part by part as f32 and let go: each is on the device before the next
 * is made. It belongs to no scope; free it with `disposeWeight`. Throws LimitError for storage f16 on an adapter without
 * shader-f16; where a part fails, those before it are freed.
 */
export async function createWeight(
  device: Device,
  [rows, columns]: readonly [number, number],
  storage: WeightStorage,
  rowsOf: (range: RowRange) => Tensor,
  label: string,
): Promise<Weight> {
  const limit = device.maxBindingBytes;
  const shards: (Tensor | Quantised)[] = [];
  try {
    // What arrives is f32, and must fit as well.
    for (const range of rowRanges(rows, columns, "f32", limit, label)) {
      const given = rowsOf(range);
      const shard = stored(given, storage, label);
      if (shard !== given) given.dispose();
      if (!(shard instanceof Tensor)) {
        keep(shard.words);
        keep(shard.scales);
      } else keep(shard);
      shards.push(shard);
      await device.flush();
    }
  } catch (error) {
    disposeWeight({ shape: [rows, columns], shards });
    throw error;
  }
  return shards.length === 1 ? shards[0]! : { shape: [rows, columns], shards };
}

function stored(values: Tensor, storage: WeightStorage, label: string): Tensor | Quantised {
  const format = formats[storage];
  return format ? quantise(values, format, label) : cast(values, storage as Extract<Dtype, WeightStorage>);
}

/** The parts of a weight, in order. */
export const shardsOf = (weight: Weight): readonly (Tensor | Quantised)[] =>
  "shards" in weight ? weight.shards : [weight];

/** Frees all parts, and their gradients. */
export function disposeWeight(weight: Weight): void {
  for (const shard of shardsOf(weight)) {
    if (!(shard instanceof Tensor)) {
      shard.words.dispose();
      shard.scales.dispose();
    } else {
      shard.grad?.dispose();
      shard.grad = undefined;
      shard.dispose();
    }
  }
}

/** x · shardᵀ. */
export const product = (x: Tensor, shard: Tensor | Quantised): Tensor =>
  shard instanceof Tensor ? matmul(x, transpose(shard)) : matmulQuantised(x, shard);

/** The rows of a table (V, C) for ids (…): (…, C). PyTorch: F.embedding. */
export const lookUp = (table: Weight, ids: Tensor): Tensor =>
  table instanceof Tensor ? embedding(table, ids) : embeddingShards(shardsOf(table), ids);
