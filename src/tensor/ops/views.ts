/**
 * Views: other shapes and strides over the same buffer. They cost nothing, and so do their gradients, except where
 * elements were repeated (expand).
 */
import { record } from "../autograd.ts";
import { sumColumns } from "../columns.ts";
import { ShapeError } from "../errors.ts";
import { contiguous } from "../run.ts";
import { broadcastStrides, contiguousStrides, resolveAxis, type Shape, showShape, sizeOf } from "../shape.ts";
import { empty, scope, Tensor } from "../tensor.ts";

/** Another shape over the buffer of `of`. Strides and offset count elements. */
export const viewOf = (of: Tensor, shape: Shape, strides: Shape, offset: number, label: string): Tensor =>
  new Tensor(of.device, shape, of.dtype, label, { of, strides, offset });

function tracked(name: string, x: Tensor, y: Tensor, backward: (dy: Tensor) => Tensor): Tensor {
  record(name, [x], [y], ([dy]) => [dy && backward(dy)]);
  return y;
}

/**
 * The same elements in row-major order under another shape; one size may be -1 and is then computed. Copies first when x
 * is not contiguous. PyTorch: reshape.
 */
export function reshape(x: Tensor, shape: Shape): Tensor {
  const known = shape.reduce((product, n) => (n === -1 ? product : product * n), 1);
  const full = shape.map((n) => (n === -1 ? x.size / known : n));
  if (shape.filter((n) => n === -1).length > 1 || sizeOf(full) !== x.size || !full.every(Number.isInteger))
    throw new ShapeError(
      `reshape: ${showShape(x.shape)} has ${x.size} elements; ${showShape(shape)} does not hold as many.`,
      { from: x.shape, to: shape },
    );
  if (!x.contiguous) {
    // The copy is put on the tape under x, so that the gradient reaches x and not the copy.
    const copy = contiguous(x, "reshape");
    const view = viewOf(copy, full, contiguousStrides(full), 0, "reshape");
    copy.dispose();
    return tracked("reshape", x, view, (dy) => reshape(dy, x.shape));
  }
  return tracked("reshape", x, viewOf(x, full, contiguousStrides(full), 0, "reshape"), (dy) => reshape(dy, x.shape));
}

/** Axes in another order: y's axis i is x's axis `order[i]`. PyTorch: permute. */
export function permute(x: Tensor, order: readonly number[]): Tensor {
  const axes = order.map((axis) => resolveAxis("permute", axis, x.rank));
  if (axes.length !== x.rank || new Set(axes).size !== x.rank)
    throw new ShapeError(`permute: order must name each of the ${x.rank} axes once; it is (${order.join(", ")}).`, {
      order,
      shape: x.shape,
    });
  const inverse = axes.map((_, i) => axes.indexOf(i));
  const y = viewOf(
    x,
    axes.map((axis) => x.shape[axis]!),
    axes.map((axis) => x.strides[axis]!),
    x.offset,
    "permute",
  );
  return tracked("permute", x, y, (dy) => permute(dy, inverse));
}

/** Exchanges two axes, by default the last two. PyTorch: transpose. */
export function transpose(x: Tensor, a = -2, b = -1): Tensor {
  const order = x.shape.map((_, i) => i);
  const i = resolveAxis("transpose", a, x.rank);
  const j = resolveAxis("transpose", b, x.rank);
  [order[i], order[j]] = [j, i];
  return permute(x, order);
}

/** Repeats axes of size 1, and new axes in front, to `shape` without copying. PyTorch: expand. */
export function expand(x: Tensor, shape: Shape): Tensor {
  const lead = shape.length - x.rank;
  if (lead < 0 || x.shape.some((n, i) => n !== 1 && n !== shape[lead + i]))
    throw new ShapeError(
      `expand: ${showShape(x.shape)} does not expand to ${showShape(shape)}; only axes of size 1 and new leading axes are repeated.`,
      {
        from: x.shape,
        to: shape,
      },
    );
  const y = viewOf(x, shape, broadcastStrides(x.shape, x.strides, shape), x.offset, "expand");
  return tracked("expand", x, y, (dy) => sumTo(dy, x.shape));
}

/** Sums a gradient back to the shape that was broadcast from. */
export function sumTo(x: Tensor, shape: Shape): Tensor {
  const lead = x.rank - shape.length;
  const repeated = x.shape.map((_, i) => i).filter((i) => i < lead || (shape[i - lead] === 1 && x.shape[i] !== 1));
  if (!repeated.length) return reshape(x, shape);
  const kept = x.shape.map((_, i) => i).filter((i) => !repeated.includes(i));
  // A scope of its own: its views and copies would keep x alive until the end of the training step.
  return scope(x.device, () => {
    const rows = contiguous(permute(x, [...repeated, ...kept]), "sumTo");
    const C = sizeOf(kept.map((i) => x.shape[i]!));
    const sum = empty(x.device, [C], "f32", "sumTo");
    sumColumns(rows, sum, x.size / C, C);
    return reshape(sum, shape);
  });
}

/** A view that gradients do not pass. PyTorch: detach. */
export const detach = (x: Tensor): Tensor => viewOf(x, x.shape, x.strides, x.offset, "detach");
