/**
 * Reductions over any axes: sum, mean, max.
 *
 *   sum:   y = Σ x           dx = dy, repeated
 *   mean:  y = Σ x / count   dx = dy / count, repeated
 *   max:   y = max x         dx = dy at the first maximum (row-major order), 0 elsewhere
 *
 * The gradients of sum and mean are views with stride 0 along the reduced axes: nothing is written. max keeps where each
 * maximum stands. Order is fixed, so results are the same in each run.
 */
import { noGrad, record } from "../autograd.ts";
import { sumColumns } from "../columns.ts";
import { DtypeError } from "../errors.ts";
import { defineOp, f32, u32 } from "../op.ts";
import { runRows, runRowSlices } from "../rows.ts";
import { contiguous } from "../run.ts";
import { resolveAxis, type Shape, sizeOf } from "../shape.ts";
import { empty, type Tensor } from "../tensor.ts";
import { expand, permute, reshape } from "./views.ts";

/** Shapes of the result without and with the reduced axes, and the axes of each kind. */
function plan(op: string, x: Tensor, axes: readonly number[] | undefined) {
  const all = x.shape.map((_, i) => i);
  const reduced = axes ? [...new Set(axes.map((axis) => resolveAxis(op, axis, x.rank)))].sort((a, b) => a - b) : all;
  const kept = all.filter((i) => !reduced.includes(i));
  const withOnes: Shape = x.shape.map((n, i) => (reduced.includes(i) ? 1 : n));
  const without: Shape = kept.map((i) => x.shape[i]!);
  return { reduced, kept, withOnes, without, count: sizeOf(reduced.map((i) => x.shape[i]!)) };
}

function scaledSum(op: "sum" | "mean", x: Tensor, axes: readonly number[] | undefined, keepAxes: boolean): Tensor {
  if (x.dtype !== "f32")
    throw new DtypeError(`${op}: x must be f32; it is ${x.dtype}. Use cast().`, { op, dtype: x.dtype });
  const { device } = x;
  const { reduced, kept, withOnes, without, count } = plan(op, x, axes);
  const scale = op === "mean" ? 1 / count : 1;
  const y = empty(device, keepAxes ? withOnes : without, "f32", op);
  noGrad(device, () => {
    const leading = kept.length > 0 && reduced.every((axis, i) => axis === i);
    const rows = leading ? x : permute(x, [...kept, ...reduced]);
    const plain = contiguous(rows, op);
    if (leading) sumColumns(plain, y, count, x.size / count, scale);
    else sumRows(plain, y, x.size / count, count, scale);
    if (rows !== x) rows.dispose();
    if (plain !== rows) plain.dispose();
  });
  record(op, [x], [y], ([dy]) => {
    let amount = dy!;
    if (scale !== 1) {
      const plain = contiguous(amount, "mean.dy");
      amount = empty(device, plain.shape, "f32", "mean.dx");
      sumColumns(plain, amount, 1, plain.size, scale);
    }
    return [expand(reshape(amount, withOnes), x.shape)];
  });
  return y;
}

/** y (N) = scale · Σ_c x (N, C); rows that are few and long are cut into slices first. */
function sumRows(x: Tensor, y: Tensor, N: number, C: number, scale: number): void {
  const length = Math.max(256, 4 * Math.ceil((N * C) / 4 / 512));
  const slices = C <= 2 * length ? 1 : Math.ceil(C / length);
  if (slices === 1) {
    runRowSlices("sumRows", { x, y }, { N, C, slices, length: C, scale });
    return;
  }
  const part = empty(x.device, [N, slices], "f32", "slice sums");
  runRowSlices("sumRows", { x, y: part }, { N, C, slices, length, scale: 1 });
  runRowSlices("sumRows", { x: part, y }, { N, C: slices, slices: 1, length: slices, scale });
  part.dispose();
}

const maxRows = defineOp("max", {
  inputs: { x: f32("N*", "C") },
  outputs: { y: f32("N*") },
  saved: { at: u32("N*") },
  forward: ({ x, y, at, N, C }) => {
    runRows("maxRows", { x, y, at }, { N, C });
  },
  backward: ({ at, dy, dx, N, C }) => {
    if (dx) runRows("maxRowsBackward", { dy, at, dx }, { N, C });
  },
});

/** Sum over `axes` (default: all, to a scalar of shape []). PyTorch: x.sum(axes, keepdim). */
export const sum = (x: Tensor, axes?: readonly number[], keepAxes = false): Tensor =>
  scaledSum("sum", x, axes, keepAxes);

/** Mean over `axes` (default: all). PyTorch: x.mean(axes, keepdim). */
export const mean = (x: Tensor, axes?: readonly number[], keepAxes = false): Tensor =>
  scaledSum("mean", x, axes, keepAxes);

/** Maximum over `axes` (default: all); its gradient goes to the first maximum. PyTorch: x.amax(axes, keepdim), there the gradient is shared. */
export function max(x: Tensor, axes?: readonly number[], keepAxes = false): Tensor {
  const { reduced, kept, withOnes, without, count } = plan("max", x, axes);
  let rows = reshape(permute(x, [...kept, ...reduced]), [x.size / count, count]);
  // A few long rows fill the device when each is cut into slices: the maximum of the slices' maxima, first ones first.
  const slices = [64, 32, 16, 8, 4, 2].find((n) => count % n === 0 && count / n >= 256);
  if (slices && x.size / count < 64) rows = maxRows({ x: reshape(rows, [x.size / count, slices, count / slices]) }).y;
  return reshape(maxRows({ x: rows }).y, keepAxes ? withOnes : without);
}
