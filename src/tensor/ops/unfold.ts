import { ShapeError } from "../errors.ts";
import { defineOp, f32 } from "../op.ts";
import { lanesOf, run, spread } from "../run.ts";
import type { Tensor } from "../tensor.ts";

/**
 * unfold (im2col): the windows that a convolution looks at, side by side, so that a convolution is a linear layer of them.
 *
 *   y[b,i,j,(u·K + v)·C + c] = x[b, i·S + u − P, j·S + v − P, c]      0 outside of x
 *
 * Backward, with i·S = h + P − u and j·S = w + P − v, where there are such i and j:
 *   dx[b,h,w,c] = Σ_{u,v} dy[b,i,j,(u·K + v)·C + c]
 *
 * Channels lie innermost: K rows of K·C neighbours are read and written, four channels at once. Nothing is kept.
 */
const op = defineOp("unfold", {
  inputs: { x: f32("B", "H", "W", "C") },
  outputs: { y: f32("B", "rows", "columns", "E") },
  attrs: { K: 1, S: 1, P: 0 },
  derive: ({ H, W, C, K, S, P }) => {
    if (![K, S, P].every(Number.isInteger) || K < 1 || S < 1 || P < 0)
      throw new ShapeError(
        `unfold: window and stride are integers of at least 1, padding of at least 0; they are ${K}, ${S} and ${P}.`,
        { K, S, P },
      );
    const along = (size: number) => Math.floor((size + 2 * P - K) / S) + 1;
    if (along(H!) < 1 || along(W!) < 1)
      throw new ShapeError(
        `unfold: a window of ${K}×${K} does not fit into ${H}×${W} with ${P} zeros on each side. Use a smaller window or more padding.`,
        { H, W, K, P },
      );
    return { rows: along(H!), columns: along(W!), E: K * K * C! };
  },
  forward: ({ x, y, ...call }) => walk("unfold", { x, y }, call.B * call.rows, call.E, call),
  backward: ({ dy, dx, ...call }) => walk("unfoldBackward", { dy, dx: dx! }, call.B * call.H, call.W * call.C, call),
});

type Call = Readonly<Record<"H" | "W" | "C" | "rows" | "columns" | "K" | "S" | "P", number>>;

/** `total` rows of `length` elements, one row a workgroup and, where rows are long, several workgroups a row. */
function walk(
  name: "unfold" | "unfoldBackward",
  tensors: Readonly<Record<string, Tensor>>,
  total: number,
  length: number,
  { H, W, C, rows, columns, K, S, P }: Call,
): void {
  const { device } = Object.values(tensors)[0]!;
  const width = C % 4 === 0 ? 4 : 1;
  const lanes = lanesOf(device);
  const blocks = Math.ceil(length / width / lanes);
  const steps = device.isSoftware ? blocks : Math.min(blocks, spread(device, total * length).steps);
  run(
    name,
    tensors,
    { total, steps, H, W, rows, columns },
    {
      workgroups: [Math.ceil(blocks / steps), Math.min(total, 65_535)],
      overrides: { LANES: lanes, C: C / width, K, S, P },
      types: { Vector: width === 4 ? "vec4f" : "f32" },
    },
  );
}

export interface UnfoldOptions {
  /** Side of the square window, and how far it moves. Default stride: 1. */
  readonly window: number;
  readonly stride?: number;
  /** Rows and columns of zeros on each side. Default: 0. */
  readonly padding?: number;
}

/**
 * x (B, H, W, C) to its windows (B, H', W', window²·C), with H' = ⌊(H + 2·padding − window)/stride⌋ + 1. PyTorch's F.unfold is
 * the same with channels outermost, (B, C·window², H'·W').
 */
export const unfold = (x: Tensor, { window, stride = 1, padding = 0 }: UnfoldOptions): Tensor =>
  op({ x }, { K: window, S: stride, P: padding }).y;
