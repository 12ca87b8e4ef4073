/**
 * Sums over rows, in two levels: slices of rows first, so that a tall and narrow matrix still fills the device. Rows whose
 * length divides by four are read as vec4f, so the kernels declare `alias Element = f32;`.
 */
import { lanesOf, run } from "./run.ts";
import { empty, type Tensor } from "./tensor.ts";

/** Rows of one slice, how many slices there are, and how the kernels are launched on them. */
export interface RowSlices {
  readonly rows: number;
  readonly slices: number;
  /** Columns as the kernel counts them: elements, or vectors of four. */
  readonly columns: number;
  readonly variant: { readonly overrides: { readonly LANES: number }; readonly types: { readonly Element: string } };
  readonly workgroups: readonly [number, number, number];
}

/** Slices for N rows of C columns: one when the columns alone fill the device. */
export function sliceRows(x: Tensor, N: number, C: number): RowSlices {
  const isWide = C % 4 === 0;
  const LANES = lanesOf(x.device);
  const columns = isWide ? C / 4 : C;
  const groups = Math.ceil(columns / LANES);
  const wanted = Math.max(1, Math.min(Math.floor(N / 16), Math.ceil(64 / groups)));
  const rows = Math.ceil(N / wanted);
  const slices = Math.ceil(N / rows);
  const across = Math.min(groups, 32768);
  const variant = { overrides: { LANES }, types: { Element: isWide ? "vec4f" : "f32" } };
  return { rows, slices, columns, variant, workgroups: [across, slices, Math.ceil(groups / across)] };
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
