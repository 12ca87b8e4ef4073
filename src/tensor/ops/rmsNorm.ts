import { sliceRows, sumColumns } from "../columns.ts";
import { defineOp, f32 } from "../op.ts";
import { runRows } from "../rows.ts";
import { run } from "../run.ts";
import { empty, type Tensor } from "../tensor.ts";

/**
 * rmsNorm: divide every row by its root mean square, then scale by a learned gain.
 *
 *   r[n] = (mean_c x[n,c]² + eps)^(-1/2)      y[n,c] = x[n,c] · r[n] · g[c]
 *
 * Backward, with d = dy·g and h = x·r (the normalised row):
 *   dx[n,c] = r[n] · (d[n,c] − h[n,c] · mean_c(d·h))      dg[c] = Σ_n dy[n,c] · h[n,c]
 *
 * r is kept because it is N numbers; h would be N·C, so it is computed again.
 */
const op = defineOp("rmsNorm", {
  inputs: { x: f32("N*", "C"), g: f32("C") },
  outputs: { y: f32("N*", "C") },
  saved: { r: f32("N*") },
  attrs: { eps: 1e-5 },
  forward: ({ x, g, y, r, N, C, eps }) => {
    runRows("rmsNorm", { x, g, y, r }, { N, C, eps });
  },
  backward: ({ x, g, r, dy, dx, dg, N, C }) => {
    if (dx) runRows("rmsNormBackward", { x, g, r, dy, dx }, { N, C });
    if (dg) {
      const { rows, slices, columns, variant, workgroups } = sliceRows(x, N, C);
      const part = empty(x.device, [slices, C], "f32", "rmsNorm.dg slices");
      run("rmsNormGain", { x, r, dy, part }, { N, columns, rows }, { workgroups, ...variant });
      sumColumns(part, dg, slices, C);
      part.dispose();
    }
  },
});

/** x (…, C) and gain (C) to (…, C). Source: Zhang and Sennrich 2019. PyTorch: F.rms_norm(x, [C], gain, eps). */
export const rmsNorm = (x: Tensor, g: Tensor, eps = 1e-5): Tensor => op({ x, g }, { eps }).y;
