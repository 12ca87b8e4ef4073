import { noGrad, record } from "../autograd.ts";
import { DtypeError, ShapeError } from "../errors.ts";
import { rowLayout } from "../quantisation.ts";
import { contiguous, run } from "../run.ts";
import { showShape, sizeOf } from "../shape.ts";
import { empty, type Tensor } from "../tensor.ts";
import { matmul } from "./matmul.ts";
import { dequantise, type Quantised } from "./quantise.ts";
import { pad } from "./slice.ts";

/**
 * matmulQuantised: rows times the transpose of a quantised matrix.
 *
 *   y[m,n] = Σ_k x[m,k] · q[n,k] · s[n,g]      dx[m,k] = Σ_n dy[m,n] · q[n,k] · s[n,g]
 *
 * w is a constant: it has no gradient. For dx it is widened to f32 for a moment, and not kept.
 *
 * x (…, M, K) and w (N, K) to (…, M, N). PyTorch: F.linear(x, dequantize(w)).
 */
export function matmulQuantised(x: Tensor, w: Quantised): Tensor {
  const { device } = x;
  const [N, K] = w.shape;
  if (x.rank < 2 || x.shape.at(-1) !== K)
    throw new ShapeError(
      `matmulQuantised: x must be (…, M, K) with K = ${K} as in w ${showShape(w.shape)}; it is ${showShape(x.shape)}.`,
      { x: x.shape, w: w.shape },
    );
  if (x.dtype !== "f32")
    throw new DtypeError(`matmulQuantised: x must be f32; it is ${x.dtype}. Use cast().`, { dtype: x.dtype });
  const rest = (4 - (K % 4)) % 4;
  const rows = rest ? noGrad(device, () => pad(x, -1, 0, rest)) : contiguous(x, "matmulQuantised.x");
  const y = empty(device, [...x.shape.slice(0, -1), N], "f32", "matmulQuantised");
  const M = sizeOf(x.shape.slice(0, -1));
  const row = rowLayout(K, w.format);
  const isInLanes = device.subgroupSize === 8 && N % 4 === 0;
  run(
    isInLanes ? "matmulInt" : "matmulIntTiled",
    { x: rows, words: w.words, scales: w.scales, y },
    { M, N, K: K + rest, rowWords: row.words, rowScales: row.scales, groupSize: w.format.group },
    {
      // Rows run fastest with lanes: neighbours in time then share columns of w, which stay in the cache.
      workgroups: isInLanes ? [Math.ceil(M / 32), Math.ceil(N / 32)] : [Math.ceil(N / 32), Math.ceil(M / 32)],
      overrides: { BITS: w.format.bits },
    },
    "matmulQuantised",
  );
  if (rows !== x) rows.dispose();
  record("matmulQuantised", [x], [y], ([dy]) => [dy && matmul(contiguous(dy), dequantise(w))]);
  return y;
}
