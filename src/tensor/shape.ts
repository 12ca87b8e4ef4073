/** Shapes and strides, in elements. Pure arithmetic: nothing here knows the GPU. */
import { ShapeError } from "./errors.ts";

export type Shape = readonly number[];

/** Number of elements; 1 for a scalar (shape []). */
export const sizeOf = (shape: Shape): number => shape.reduce((product, n) => product * n, 1);

/** Row-major strides. */
export function contiguousStrides(shape: Shape): number[] {
  const strides = shape.map(() => 1);
  for (let i = shape.length - 2; i >= 0; i--) strides[i] = strides[i + 1]! * shape[i + 1]!;
  return strides;
}

/** True when elements lie in row-major order without gaps. Axes of size 1 may have any stride. */
export function isContiguous(shape: Shape, strides: Shape): boolean {
  let expected = 1;
  for (let i = shape.length - 1; i >= 0; i--) {
    if (shape[i] !== 1 && strides[i] !== expected) return false;
    expected *= shape[i]!;
  }
  return true;
}

/** The same elements in the same order with as few axes as possible, at least one. */
export function mergedAxes(shape: Shape, strides: Shape): { shape: number[]; strides: number[] } {
  const merged: { shape: number[]; strides: number[] } = { shape: [], strides: [] };
  shape.forEach((n, i) => {
    const last = merged.shape.length - 1;
    if (n === 1) return;
    if (last >= 0 && merged.strides[last] === n * strides[i]!) {
      merged.shape[last]! *= n;
      merged.strides[last] = strides[i]!;
    } else {
      merged.shape.push(n);
      merged.strides.push(strides[i]!);
    }
  });
  return merged.shape.length ? merged : { shape: [1], strides: [0] };
}

export const sameShape = (a: Shape, b: Shape): boolean => a.length === b.length && a.every((n, i) => n === b[i]);

/** (2, 3); of one axis (2,). */
export const showShape = (shape: Shape): string => `(${shape.join(", ")}${shape.length === 1 ? "," : ""})`;

/** Throws unless every size is an integer >= 1. Empty tensors are not supported: a batch of nothing is not recorded. */
export function checkShape(op: string, shape: Shape): void {
  const bad = shape.findIndex((n) => !Number.isInteger(n) || n < 1);
  if (bad >= 0)
    throw new ShapeError(
      `${op}: every size is an integer of at least 1. Axis ${bad} of ${showShape(shape)} is ${shape[bad]}.`,
      {
        op,
        shape,
        axis: bad,
      },
    );
}

/** NumPy's rule: axes are aligned at the right; sizes agree or one of them is 1. */
export function broadcastShapes(op: string, a: Shape, b: Shape): number[] {
  const [long, short] = a.length >= b.length ? [a, b] : [b, a];
  const lead = long.length - short.length;
  return long.map((n, i) => {
    const m = i < lead ? 1 : short[i - lead]!;
    if (m !== n && m !== 1 && n !== 1) {
      const axis = i - long.length;
      throw new ShapeError(
        `${op}: shapes do not broadcast. a is ${showShape(a)}, b is ${showShape(b)}: axis ${axis} is ${a.at(axis)} in a but ${b.at(axis)} in b. ` +
          `Sizes must be equal, or one of them 1.`,
        { op, a, b, axis },
      );
    }
    return Math.max(m, n);
  });
}

/** Strides that read a tensor as if it had the larger `shape`: 0 along repeated axes. */
export function broadcastStrides(from: Shape, strides: Shape, shape: Shape): number[] {
  const lead = shape.length - from.length;
  return shape.map((n, i) => (i < lead || (from[i - lead] === 1 && n !== 1) ? 0 : strides[i - lead]!));
}

/** Resolves a negative axis (-1 is the last) and checks its range. */
export function resolveAxis(op: string, axis: number, rank: number): number {
  const resolved = axis < 0 ? axis + rank : axis;
  if (!Number.isInteger(axis) || resolved < 0 || resolved >= rank)
    throw new ShapeError(
      `${op}: axis ${axis} does not exist. The tensor has ${rank} axes, so an axis is in [${-rank}, ${rank - 1}].`,
      {
        op,
        axis,
        rank,
      },
    );
  return resolved;
}
