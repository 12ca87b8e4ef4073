import { attention, type AttentionPrefix, concat, reshape, rope, slice, type Tensor } from "../tensor/index.ts";
import { linear } from "./linear.ts";
import type { Section } from "./parameters.ts";

export interface AttentionConfig {
  readonly heads: number;
  /** Base of the rotary embedding; undefined where positions come from elsewhere (the vision encoder's table). */
  readonly ropeBase?: number;
  /** Name of the output projection: `o_proj` in LLaMA-like models, `out_proj` in SigLIP. */
  readonly output: "o_proj" | "out_proj";
  readonly bias: boolean;
}

/** What x attends to besides all of itself, and where it stands. */
export interface AttentionContext {
  /** (B) of u32: how many of the T positions of each row are no padding. Default: all. */
  readonly lengths?: Tensor | undefined;
  /** Position of the first of the T, of all rows or of each. Default: 0. */
  readonly start?: number | readonly number[];
  /** Keys, already rotated, and values that come before x. */
  readonly prefix?: AttentionPrefix | undefined;
  /** What attends, where it is not x itself: (B, Tq, C), of which the first stands at `start`. */
  readonly queries?: { readonly x: Tensor; readonly start: number | readonly number[] } | undefined;
  /** Is given the keys, rotated, and the values of x, (B, T, H, D). */
  readonly onKeys?: (k: Tensor, v: Tensor) => void;
}

/**
 * Bidirectional multi-head self-attention, x (B, T, C) to (B, T, C), or to (B, Tq, C) with `queries`: project, rotate,
 * attend, project.
 *
 * The head axis stays inside, (B, T, H, D), so nothing is transposed between projections and attention.
 */
export function selfAttention(
  p: Section,
  x: Tensor,
  { heads, ropeBase, output, bias }: AttentionConfig,
  { lengths, start = 0, prefix, queries = { x, start }, onKeys }: AttentionContext = {},
): Tensor {
  const [B, Tq, C] = queries.x.shape as [number, number, number];
  const project = (name: string, y: Tensor): Tensor =>
    reshape(linear(y, p.matrix(`${name}.weight`), bias ? p(`${name}.bias`) : undefined), [
      B,
      y.shape[1]!,
      heads,
      C / heads,
    ]);
  const rotate = (y: Tensor, from: number | readonly number[]): Tensor =>
    ropeBase === undefined ? y : rotateFrom(y, ropeBase, from);
  const q = rotate(project("q_proj", queries.x), queries.start);
  const k = rotate(project("k_proj", x), start);
  const v = project("v_proj", x);
  onKeys?.(k, v);
  const mixed = attention(q, k, v, { ...(lengths ? { lengths } : {}), ...(prefix ? { prefix } : {}) });
  return linear(reshape(mixed, [B, Tq, C]), p.matrix(`${output}.weight`), bias ? p(`${output}.bias`) : undefined);
}

/** y (B, T, H, D) turned to its positions. Rows that begin at the same one are turned together. */
function rotateFrom(y: Tensor, base: number, start: number | readonly number[]): Tensor {
  if (typeof start === "number") return rope(y, { base, start });
  const [first = 0] = start;
  if (start.every((position) => position === first)) return rope(y, { base, start: first });
  return concat(
    start.map((position, b) => rope(slice(y, 0, b, b + 1), { base, start: position })),
    0,
  );
}
