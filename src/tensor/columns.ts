/** Sums over rows, in two levels: slices of rows first, so that a tall and narrow matrix still fills the device. */
import { lanesOf, run } from "./run.ts";
import { empty, type Tensor } from "./tensor.ts";

/** Rows of one slice, and how many slices N rows make. One slice when the columns alone fill the device. */
export function sliceRows(x: Tensor, N: number, C: number): { rows: number; slices: number; columns: number } {
  const columns = Math.ceil(C / lanesOf(x.device));
  const wanted = Math.max(1, Math.min(Math.floor(N / 16), Math.ceil(64 / columns)));
  const rows = Math.ceil(N / wanted);
  return { rows, slices: Math.ceil(N / rows), columns };
}

/** y (C) = scale · Σ_n x (N, C), for contiguous tensors. */
export function sumColumns(x: Tensor, y: Tensor, N: number, C: number, scale = 1): void {
  const { rows, slices, columns } = sliceRows(x, N, C);
  const overrides = { LANES: lanesOf(x.device) };
  if (slices === 1) {
    run("reduceColumns", { x, y }, { N, C, rows, scale }, { workgroups: columns, overrides });
    return;
  }
  const part = empty(x.device, [slices, C], "f32", "slice sums");
  run("reduceColumns", { x, y: part }, { N, C, rows, scale: 1 }, { workgroups: [columns, slices], overrides });
  run("reduceColumns", { x: part, y }, { N: slices, C, rows: slices, scale }, { workgroups: columns, overrides });
  part.dispose();
}
