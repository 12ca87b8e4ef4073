/** Rows by index, and the sum of rows by index, which is its transpose: what embedding and gather share. */
import { lanesOf, run } from "./run.ts";
import { runRows } from "./rows.ts";
import { empty, type Tensor, zeros } from "./tensor.ts";

/**
 * y (N, C) = rows index (N) − first of x (rows, C); x is f32 or f16. Where x has no such row, y is NaN, or stays as it is with
 * `keep`.
 */
export function gatherRows(
  x: Tensor,
  index: Tensor,
  y: Tensor,
  { keep = false, first = 0, ...sizes }: { N: number; rows: number; C: number; first?: number; keep?: boolean },
): void {
  runRows(
    "gatherRows",
    { x, index, y },
    { ...sizes, first },
    { stored: { Stored: x.dtype }, overrides: { KEEP: keep } },
  );
}

/**
 * y (N, C): row n is the sum of the rows m of x (M, C) with index[m] = n, or 0. Positions of a row are first linked into
 * a chain, then the chains are walked: the result is the same in each run, which a sum by atomics would not be.
 */
export function sumRowsByIndex(
  x: Tensor,
  index: Tensor,
  y: Tensor,
  { M, N, C }: { M: number; N: number; C: number },
): void {
  const { device } = x;
  const next = empty(device, [M], "u32", "next of a chain");
  const head = (device.isSoftware ? zeros : empty)(device, [N], "u32", "heads of chains");
  if (device.isSoftware) run("linkRowsSerial", { index, head, next }, { M, N }, { workgroups: 1 });
  else {
    const groups = Math.ceil(N / lanesOf(device));
    const columns = Math.min(groups, 32768);
    run(
      "linkRows",
      { index, head, next },
      { M, N },
      { workgroups: [columns, Math.ceil(groups / columns)], overrides: { LANES: lanesOf(device) } },
    );
  }
  runRows("sumChains", { head, next, x, y }, { N, C });
  head.dispose();
  next.dispose();
}
