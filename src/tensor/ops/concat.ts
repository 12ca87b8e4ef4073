import { record } from "../autograd.ts";
import { DtypeError, ShapeError } from "../errors.ts";
import { contiguous, run, spreadRows } from "../run.ts";
import { resolveAxis, showShape, sizeOf } from "../shape.ts";
import { empty, type Tensor } from "../tensor.ts";
import { slice } from "./slice.ts";

/**
 * concat: tensors one after the other along one axis; the other axes agree.
 *
 *   y[a, before_k + j, c] = x_k[a, j, c]      dx_k[a, j, c] = dy[a, before_k + j, c]
 *
 * One dispatch an input, all into one output. Gradients are views of dy. PyTorch: torch.cat.
 */
export function concat(tensors: readonly Tensor[], axis: number): Tensor {
  const [x0] = tensors;
  if (!x0) throw new ShapeError("concat: at least one tensor is needed; none was given.");
  const { device, dtype, shape: shape0 } = x0;
  const at = resolveAxis("concat", axis, x0.rank);
  tensors.forEach((x, k) => {
    if (x.dtype !== dtype)
      throw new DtypeError(
        `concat: all tensors must be ${dtype} as the first is; number ${k} is ${x.dtype}. Use cast().`,
        { k, dtype },
      );
    if (x.rank !== x0.rank || x.shape.some((n, i) => i !== at && n !== shape0[i]))
      throw new ShapeError(
        `concat: all axes but axis ${axis} must agree. Number 0 is ${showShape(shape0)}, number ${k} is ${showShape(x.shape)}.`,
        {
          k,
          axis,
          shape: x.shape,
        },
      );
  });
  const sizes = tensors.map((x) => x.shape[at]!);
  const starts = sizes.map((_, k) => sizes.slice(0, k).reduce((sum, n) => sum + n, 0));
  const shape = shape0.map((n, i) => (i === at ? sizes.reduce((sum, size) => sum + size, 0) : n));
  const y = empty(device, shape, dtype, "concat");
  const A = sizeOf(shape.slice(0, at));
  const C = sizeOf(shape.slice(at + 1));
  const width = dtype !== "f16" && sizes.every((n) => (n * C) % 4 === 0) ? 4 : 1;
  const types: Record<string, string> = width === 4 ? { Element: "vec4u" } : dtype === "f16" ? { Element: "f16" } : {};
  tensors.forEach((x, k) => {
    const n = (sizes[k]! * C) / width;
    const { workgroups, overrides, rows, steps } = spreadRows(device, A, n);
    const params = { A, n, before: (starts[k]! * C) / width, total: (shape[at]! * C) / width, rows, steps };
    run("copyRows", { x: contiguous(x, "concat.x"), y }, params, { workgroups, overrides, types }, "concat");
  });
  record("concat", tensors, [y], ([dy]) =>
    tensors.map((x, k) => (x.requiresGrad ? slice(dy!, at, starts[k]!, starts[k]! + sizes[k]!) : undefined)),
  );
  return y;
}
