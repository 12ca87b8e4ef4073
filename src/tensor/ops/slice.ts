import { record } from "../autograd.ts";
import { ShapeError } from "../errors.ts";
import { contiguous, run, spread } from "../run.ts";
import { resolveAxis, showShape, sizeOf } from "../shape.ts";
import { empty, type Tensor } from "../tensor.ts";
import { viewOf } from "./views.ts";

/** Elements start … end-1 along one axis. PyTorch: narrow(x, axis, start, end − start). */
export function slice(x: Tensor, axis: number, start: number, end: number): Tensor {
  const at = resolveAxis("slice", axis, x.rank);
  const size = x.shape[at]!;
  if (!Number.isInteger(start) || !Number.isInteger(end) || start < 0 || end > size || start >= end)
    throw new ShapeError(
      `slice: 0 <= start < end <= ${size} along axis ${axis} of ${showShape(x.shape)}; start is ${start}, end is ${end}.`,
      {
        shape: x.shape,
        axis,
        start,
        end,
      },
    );
  const shape = x.shape.map((n, i) => (i === at ? end - start : n));
  const y = viewOf(x, shape, x.strides, x.offset + start * x.strides[at]!, "slice");
  record("slice", [x], [y], ([dy]) => [dy && pad(dy, at, start, size - end)]);
  return y;
}

/**
 * Zeros before and after x along one axis.
 *
 *   y[a, before + j, c] = x[a, j, c]      dx[a, j, c] = dy[a, before + j, c]
 *
 * PyTorch: F.pad(x, …, value=0), one axis at a time.
 */
export function pad(x: Tensor, axis: number, before: number, after: number): Tensor {
  const at = resolveAxis("pad", axis, x.rank);
  if (before < 0 || after < 0)
    throw new ShapeError(`pad: \`before\` and \`after\` are at least 0; they are ${before} and ${after}.`, {
      before,
      after,
    });
  const n = x.shape[at]!;
  const total = before + n + after;
  const shape = x.shape.map((size, i) => (i === at ? total : size));
  const y = empty(x.device, shape, x.dtype, "pad");
  const { workgroups, overrides, steps } = spread(x.device, y.size);
  const params = { count: y.size, steps, n, before, total, C: sizeOf(shape.slice(at + 1)) };
  run("pad", { x: contiguous(x), y }, params, { workgroups, overrides, types: { Element: x.dtype } });
  record("pad", [x], [y], ([dy]) => [dy && slice(dy, at, before, before + n)]);
  return y;
}
