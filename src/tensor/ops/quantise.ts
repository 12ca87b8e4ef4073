import type { Device } from "../device.ts";
import { DtypeError, ShapeError } from "../errors.ts";
import { levels, type QuantisedFormat, quantiseRows, rowLayout } from "../quantisation.ts";
import { contiguous, lanesOf, run } from "../run.ts";
import { showShape } from "../shape.ts";
import { empty, type Tensor, tensor } from "../tensor.ts";

/** A matrix (N, K) in small integers with a scale for each group of a row: see quantisation.ts. Plain data, two tensors. */
export interface Quantised {
  readonly shape: readonly [N: number, K: number];
  readonly format: QuantisedFormat;
  /** u32 (N, words of a row). */
  readonly words: Tensor;
  /** u32 (N, scale words of a row). */
  readonly scales: Tensor;
}

/** Values (N, K) in row-major order, quantised on the processor. Throws NonFiniteError where one is not finite. */
export function quantised(
  device: Device,
  values: ArrayLike<number>,
  [N, K]: readonly [number, number],
  format: QuantisedFormat,
  label = "quantised",
): Quantised {
  if (values.length !== N * K)
    throw new ShapeError(`${label}: shape (${N}, ${K}) takes ${N * K} values; ${values.length} were given.`, { N, K });
  const row = rowLayout(K, format);
  const { words, scales } = quantiseRows(values, N, K, format);
  return {
    shape: [N, K],
    format,
    words: tensor(device, words, [N, row.words], "u32", label),
    scales: tensor(device, scales, [N, row.scales], "u32", `${label}, scales`),
  };
}

/**
 * quantise: a matrix (N, K) of f32 on the device in small integers, as `quantiseRows` makes them. Values must be finite: a
 * group with a NaN or an infinity has no defined result (debug level `finite` finds them where they are made).
 */
export function quantise(w: Tensor, format: QuantisedFormat, label = "quantise"): Quantised {
  const { device } = w;
  if (w.rank !== 2 || w.dtype !== "f32")
    throw new DtypeError(`quantise: w must be f32 (N, K); it is ${w.dtype} ${showShape(w.shape)}.`, { shape: w.shape });
  const [N, K] = w.shape as [number, number];
  const row = rowLayout(K, format);
  const words = empty(device, [N, row.words], "u32", label);
  const scales = empty(device, [N, row.scales], "u32", `${label}, scales`);
  const lanes = lanesOf(device);
  const groups = Math.ceil((N * row.scales) / lanes);
  const columns = Math.min(groups, 32768);
  run(
    "quantiseRows",
    { w: contiguous(w), words, scales },
    { N, K, rowWords: row.words, rowScales: row.scales, groupSize: format.group },
    {
      workgroups: [columns, Math.ceil(groups / columns)],
      overrides: { LANES: lanes, BITS: format.bits, LEVELS: levels(format) },
    },
  );
  return { shape: [N, K], format, words, scales };
}

/**
 * Rows of a quantised matrix as f32, as `gatherRows` takes them of a table.
 *
 *   y[n,k] = q[index[n] − first, k] · s[index[n] − first, g]
 *
 * Where there is no such row, y is NaN, or stays as it is with `keep`.
 */
export function gatherQuantisedRows(
  w: Quantised,
  index: Tensor,
  y: Tensor,
  { first = 0, keep = false }: { first?: number; keep?: boolean } = {},
): void {
  const [rows, C] = w.shape;
  const row = rowLayout(C, w.format);
  const { device } = w.words;
  run(
    "dequantiseRows",
    { words: w.words, scales: w.scales, index, y },
    { N: index.size, C, first, rows, rowWords: row.words, rowScales: row.scales, groupSize: w.format.group },
    {
      workgroups: Math.min(index.size, 65535),
      overrides: { LANES: lanesOf(device), BITS: w.format.bits, KEEP: keep },
    },
  );
}

/** dequantise: the whole matrix as f32 (N, K). */
export function dequantise(w: Quantised): Tensor {
  const { device } = w.words;
  const [N, K] = w.shape;
  const index = tensor(
    device,
    Uint32Array.from({ length: N }, (_, n) => n),
    [N],
    "u32",
    "dequantise.index",
  );
  const y = empty(device, [N, K], "f32", "dequantise");
  gatherQuantisedRows(w, index, y);
  index.dispose();
  return y;
}
