import { sliceRows, sumColumns } from "../columns.ts";
import { defineOp, f32 } from "../op.ts";
import { runRows } from "../rows.ts";
import { run } from "../run.ts";
import { empty, type Tensor } from "../tensor.ts";

/**
 * layerNorm: shift and scale every row to mean 0 and variance 1, then apply a learned gain and bias.
 *
 *   m[n] = mean_c x[n,c]      r[n] = (mean_c (x[n,c] − m[n])² + eps)^(-1/2)
 *   y[n,c] = (x[n,c] − m[n]) · r[n] · g[c] + b[c]
 *
 * Backward, with d = dy·g and h = (x − m)·r (the normalised row):
 *   dx[n,c] = r[n] · (d[n,c] − mean_c(d) − h[n,c] · mean_c(d·h))      dg[c] = Σ_n dy[n,c] · h[n,c]      db[c] = Σ_n dy[n,c]
 *
 * m and r are kept because they are N numbers each; h would be N·C, so it is computed again.
 */
const op = defineOp("layerNorm", {
  inputs: { x: f32("N*", "C"), g: f32("C"), b: f32("C") },
  outputs: { y: f32("N*", "C") },
  saved: { m: f32("N*"), r: f32("N*") },
  attrs: { eps: 1e-6 },
  forward: ({ x, g, b, y, m, r, N, C, eps }) => {
    runRows("layerNorm", { x, g, b, y, m, r }, { N, C, eps });
  },
  backward: ({ x, g, m, r, dy, dx, dg, db, N, C }) => {
    if (dx) runRows("layerNormBackward", { x, g, m, r, dy, dx }, { N, C });
    if (dg || db) {
      const { rows, slices, columns, variant, workgroups } = sliceRows(x, N, C);
      const partG = empty(x.device, [slices, C], "f32", "layerNorm.dg slices");
      const partB = empty(x.device, [slices, C], "f32", "layerNorm.db slices");
      run("layerNormGain", { x, m, r, dy, partG, partB }, { N, columns, rows }, { workgroups, ...variant });
      if (dg) sumColumns(partG, dg, slices, C);
      if (db) sumColumns(partB, db, slices, C);
      partG.dispose();
      partB.dispose();
    }
  },
});

/** x (…, C), gain (C) and bias (C) to (…, C). Source: Ba et al. 2016. PyTorch: F.layer_norm(x, [C], gain, bias, eps). */
export const layerNorm = (x: Tensor, g: Tensor, b: Tensor, eps = 1e-6): Tensor => op({ x, g, b }, { eps }).y;
