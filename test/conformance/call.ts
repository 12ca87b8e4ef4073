/** A case as operators are given it, and what several of them need. */
import { type Device, expand, matmul, reshape, type Tensor } from "../../src/tensor/index.ts";

/** One case: inputs by ONNX's names, floats on the device and integers as numbers. */
export interface Call {
  readonly device: Device;
  readonly attributes: Readonly<Record<string, string | number | readonly number[]>>;
  readonly tensors: Readonly<Record<string, Tensor>>;
  readonly ints: Readonly<Record<string, { readonly shape: readonly number[]; readonly values: readonly number[] }>>;
}

export const number = ({ attributes }: Call, name: string, fallback: number): number =>
  Number(attributes[name] ?? fallback);
export const at = (axis: number, rank: number): number => (axis < 0 ? axis + rank : axis);

/** NumPy's matmul: vectors become matrices, leading axes are repeated. */
export function npMatmul(a: Tensor, b: Tensor): Tensor {
  const left = a.rank === 1 ? reshape(a, [1, a.size]) : a;
  const right = b.rank === 1 ? reshape(b, [b.size, 1]) : b;
  const rank = Math.max(left.rank, right.rank) - 2;
  const sizesOf = (x: Tensor) => [...Array<number>(rank - (x.rank - 2)).fill(1), ...x.shape.slice(0, -2)];
  const lead = sizesOf(left).map((n, i) => Math.max(n, sizesOf(right)[i]!));
  const spread = (x: Tensor) => expand(x, [...lead, ...x.shape.slice(-2)]);
  const y = matmul(spread(left), spread(right));
  return reshape(y, [
    ...lead,
    ...(a.rank === 1 ? [] : [left.shape.at(-2)!]),
    ...(b.rank === 1 ? [] : [right.shape.at(-1)!]),
  ]);
}
