/**
 * Sums over rows, in two levels: slices of rows first, so that a tall and narrow matrix still fills the device. Rows whose
 * length divides by four are read as vec4f, so the kernels declare `alias Element = f32;`.
 */
import { lanesOf, run } from "./run.ts";
import { empty, type Tensor } from "./tensor.ts";

/** Rows of one slice, and how many slices N rows make: one when the columns alone fill the device. And how to launch them. */
export function sliceRows(x: Tensor, N: number, C: number) {
  const isWide = C % 4 === 0;
  const LANES = lanesOf(x.device);
  const columns = isWide ? C / 4 : C;
  const groups = Math.ceil(columns / LANES);
  const wanted = Math.max(1, Math.min(Math.floor(N / 16), Math.ceil(64 / groups)));
  const rows = Math.ceil(N / wanted);
  const slices = Math.ceil(N / rows);
  const across = Math.min(groups, 32768);
  const variant = { overrides: { LANES }, types: { Element: isWide ? "vec4f" : "f32" } };
  return { rows, slices, columns, variant, workgroups: [across, slices, Math.ceil(groups / across)] as const };
}

/** y (C) = scale · Σ_n x (N, C), for contiguous tensors. */
export function sumColumns(x: Tensor, y: Tensor, N: number, C: number, scale = 1): void {
  const { rows, slices, columns, variant, workgroups } = sliceRows(x, N, C);
  const [across, , deep] = workgroups;
  if (slices === 1) {
    run("reduceColumns", { x, y }, { N, columns, rows, scale }, { workgroups, ...variant });
    return;
  }
  const part = empty(x.device, [slices, C], "f32", "slice sums");
  run("reduceColumns", { x, y: part }, { N, columns, rows, scale: 1 }, { workgroups, ...variant });
  run(
    "reduceColumns",
    { x: part, y },
    { N: slices, columns, rows: slices, scale },
    { workgroups: [across, 1, deep], ...variant },
  );
  part.dispose();
}
