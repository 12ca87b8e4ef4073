import { ShapeError } from "../errors.ts";
import { defineOp, f32 } from "../op.ts";
import { run } from "../run.ts";
import { empty, type Tensor } from "../tensor.ts";
import { planAttention } from "./attentionPlan.ts";

/**
 * attention: softmax(scale · q kᵀ) v for every head, bidirectional, without storing the Tq×Tk matrix.
 *
 *   s[i,j] = scale · Σ_d q[i,d] · k[j,d]      l[i] = log Σ_j exp(s[i,j])      o[i,d] = Σ_j exp(s[i,j] − l[i]) · v[j,d]
 *
 * Backward, with p = exp(s − l) made again from the scores:
 *   delta[i] = Σ_d do[i,d] · o[i,d]           ds[i,j] = p[i,j] · (Σ_d do[i,d] · v[j,d] − delta[i])
 *   dq[i,d] = scale · Σ_j ds[i,j] · k[j,d]    dk[j,d] = scale · Σ_i ds[i,j] · q[i,d]    dv[j,d] = Σ_i p[i,j] · do[i,d]
 *
 * l is kept: one number a query and head instead of Tk. One backward kernel goes over queries, one over keys, so that
 * nothing is summed with atomics and the same inputs give the same bits. Source: FlashAttention-2.
 */
const op = defineOp("attention", {
  inputs: { q: f32("B", "Tq", "H", "D"), k: f32("B", "Tk", "H", "D"), v: f32("B", "Tk", "H", "D") },
  outputs: { o: f32("B", "Tq", "H", "D") },
  saved: { l: f32("B", "H", "Tq") },
  derive: ({ D }) => {
    if (D! % 4 || D! > 128)
      throw new ShapeError(`attention: the head width D must be a multiple of 4, and at most 128; it is ${D}.`, { D });
    return {};
  },
  forward: ({ q, k, v, o, l, B, Tq, Tk, H, D }) => {
    const { forward } = planAttention({ B, Tq, Tk, H, D, subgroupSize: q.device.subgroupSize });
    run(forward.kernel, { q, k, v, o, l }, { H, Tq, Tk, D, scale: 1 / Math.sqrt(D) }, forward, "attention");
  },
  backward: ({ q, k, v, o, l, do: dy, dq, dk, dv, B, Tq, Tk, H, D }) => {
    const { device } = q;
    const { byQuery, byKey } = planAttention({ B, Tq, Tk, H, D, subgroupSize: device.subgroupSize });
    const params = { H, Tq, Tk, D, scale: 1 / Math.sqrt(D) };
    const delta = empty(device, [B, H, Tq], "f32", "attention.delta");
    // The key kernel needs delta, which the query kernel writes; a gradient that nobody asked for goes to a spare tensor.
    const spare = (shape: Tensor): Tensor => empty(device, shape.shape, "f32", "attention.unused");
    run(
      byQuery.kernel,
      { q, k, v, o, l, dy, dq: dq ?? spare(q), delta },
      params,
      byQuery,
      "attentionBackward by query",
    );
    if (dk || dv)
      run(
        byKey.kernel,
        { q, k, v, l, delta, dy, dk: dk ?? spare(k), dv: dv ?? spare(v) },
        params,
        byKey,
        "attentionBackward by key",
      );
    delta.dispose();
  },
});

/**
 * q (B, Tq, H, D), k and v (B, Tk, H, D) to (B, Tq, H, D); the scale is 1/√D. The head axis lies inside, so projections need no
 * transposition. PyTorch: F.scaled_dot_product_attention, which has (B, H, T, D).
 */
export const attention = (q: Tensor, k: Tensor, v: Tensor): Tensor => op({ q, k, v }).o;
