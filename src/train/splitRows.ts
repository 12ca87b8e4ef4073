/** Cutting a batch into micro-batches. */
import { RediffError } from "../tensor/index.ts";

/** Arrays whose first axis is the batch, and the number of its rows. */
export interface Rows {
  readonly B: number;
}

/**
 * A batch of B rows as n batches of B/n, in order: each typed array in it, at any depth, is cut along its first axis; other
 * values stay. Nothing is copied. Throws RediffError unless n divides B.
 */
export function splitRows<Batch extends Rows>(batch: Batch, n: number): Batch[] {
  const { B } = batch;
  if (!Number.isSafeInteger(n) || n < 1 || B % n)
    throw new RediffError(`A batch of ${B} cannot be accumulated from ${n} equal parts: ${n} must divide it.`, {
      B,
      n,
    });
  if (n === 1) return [batch];
  return Array.from({ length: n }, (_, i) => ({ ...(cut(batch, i, n) as Batch), B: B / n }));
}

function cut(value: unknown, i: number, n: number): unknown {
  if (ArrayBuffer.isView(value)) {
    const array = value as Float32Array;
    return array.subarray((i * array.length) / n, ((i + 1) * array.length) / n);
  }
  if (typeof value !== "object" || value === null) return value;
  return Object.fromEntries(Object.entries(value).map(([name, inner]) => [name, cut(inner, i, n)]));
}
