import { attention, reshape, rope, type Tensor } from "../tensor/index.ts";
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

/**
 * Bidirectional multi-head self-attention, x (B, T, C) to (B, T, C): project, rotate, attend, project.
 *
 * The head axis stays inside, (B, T, H, D), so nothing is transposed between projections and attention.
 */
export function selfAttention(p: Section, x: Tensor, { heads, ropeBase, output, bias }: AttentionConfig): Tensor {
  const [B, T, C] = x.shape as [number, number, number];
  const project = (name: string): Tensor =>
    reshape(linear(x, p(`${name}.weight`), bias ? p(`${name}.bias`) : undefined), [B, T, heads, C / heads]);
  const rotate = (y: Tensor): Tensor => (ropeBase === undefined ? y : rope(y, { base: ropeBase }));
  const mixed = attention(rotate(project("q_proj")), rotate(project("k_proj")), project("v_proj"));
  return linear(reshape(mixed, [B, T, C]), p(`${output}.weight`), bias ? p(`${output}.bias`) : undefined);
}
