import { ShapeError } from "../errors.ts";
import { defineOp, f32, u32 } from "../op.ts";
import { lanesOf, run } from "../run.ts";
import { empty, type Tensor } from "../tensor.ts";
import { planAttention } from "./attentionPlan.ts";

/**
 * attention: softmax(scale · q kᵀ) v for every head, bidirectional, without storing the Tq×Tk matrix.
 *
 *   s[i,j] = scale · Σ_d q[i,d] · k[j,d]      l[i] = log Σ_j exp(s[i,j])      o[i,d] = Σ_j exp(s[i,j] − l[i]) · v[j,d]
 *
 * Keys may come in two parts, a prefix and the fresh ones: the second pass goes on from o and l of the first, so nothing is
 * concatenated. In the derivative l and delta belong to both, and each part has a pass of its own.
 *
 * Backward, with p = exp(s − l) made again from the scores:
 *   delta[i] = Σ_d do[i,d] · o[i,d]           ds[i,j] = p[i,j] · (Σ_d do[i,d] · v[j,d] − delta[i])
 *   dq[i,d] = scale · Σ_j ds[i,j] · k[j,d]    dk[j,d] = scale · Σ_i ds[i,j] · q[i,d]    dv[j,d] = Σ_i p[i,j] · do[i,d]
 *
 * l is kept: one number a query and head instead of Tk. The key kernel makes ds, a few heads at a time, and the query kernel
 * multiplies it with the keys: nothing is summed with atomics, so the same inputs give the same bits. Source: FlashAttention-2.
 */
interface Sizes {
  readonly B: number;
  readonly Tq: number;
  readonly H: number;
  readonly D: number;
}

/** Keys and values (B, Tk, H, D), of which each batch row has `lengths` (B), or all of them where it is not ragged. */
interface Part {
  readonly k: Tensor;
  readonly v: Tensor;
  readonly lengths: Tensor;
  readonly ragged: boolean;
}

/** Attends to one part. With `continues`, o and l already hold the result for another part. */
function attend(
  { q, o, l }: { q: Tensor; o: Tensor; l: Tensor },
  { k, v, lengths, ragged }: Part,
  { B, Tq, H, D }: Sizes,
  continues: boolean,
): void {
  const Tk = k.shape[1]!;
  const { forward } = planAttention({ B, Tq, Tk, H, D, subgroupSize: q.device.subgroupSize });
  const params = { H, Tq, Tk, D, scale: 1 / Math.sqrt(D), ragged: Number(ragged), continues: Number(continues) };
  run(forward.kernel, { q, k, v, lengths, o, l }, params, forward, "attention");
}

interface Gradients {
  readonly dq: Tensor | undefined;
  readonly dk: Tensor | undefined;
  readonly dv: Tensor | undefined;
}

/** The derivative through one part. With `continues`, its share is added to dq. A gradient that is undefined is not kept. */
function differentiate(
  { q, o, l, dy }: { q: Tensor; o: Tensor; l: Tensor; dy: Tensor },
  { k, v, lengths, ragged }: Part,
  { dq, dk, dv }: Gradients,
  { B, Tq, H, D }: Sizes,
  continues: boolean,
): void {
  if (!dq && !dk && !dv) return;
  const { device } = q;
  const Tk = k.shape[1]!;
  const plan = planAttention({ B, Tq, Tk, H, D, subgroupSize: device.subgroupSize });
  const rows = empty(device, [B, H, Tq, 4], "f32", "attention.rows");
  const LANES = lanesOf(device);
  run(
    "attentionBackwardRows",
    { o, l, dy, lengths, rows },
    { H, Tq, Tk, D, ragged: Number(ragged) },
    { workgroups: [Math.ceil(Tq / LANES), H, B], overrides: { LANES } },
    "attentionBackward rows",
  );
  const keyGradients = {
    dk: dk ?? empty(device, k.shape, "f32", "attention.unused"),
    dv: dv ?? empty(device, v.shape, "f32", "attention.unused"),
  };
  const ds = empty(device, [plan.ranges[0]!.heads, Tk, Math.ceil(Tq / 4), 4], "f32", "attention.ds");
  for (const range of plan.ranges) {
    const params = { H, Tq, Tk, D, scale: 1 / Math.sqrt(D), first: range.first };
    const byKey = plan.byKey(range);
    run(byKey.kernel, { q, k, v, rows, dy, ...keyGradients, ds }, params, byKey, "attentionBackward by key");
    if (!dq) continue;
    const byQuery = plan.byQuery(range);
    const more = { ragged: Number(ragged), continues: Number(continues) };
    run(byQuery.kernel, { k, ds, lengths, dq }, { ...params, ...more }, byQuery, "attentionBackward by query");
  }
  for (const scratch of [rows, ds]) scratch.dispose();
  if (!dk) keyGradients.dk.dispose();
  if (!dv) keyGradients.dv.dispose();
}

const checkWidth = ({ D }: Readonly<Record<string, number>>): Record<string, number> => {
  if (D! % 4 || D! > 128)
    throw new ShapeError(`attention: the head width D must be a multiple of 4, and at most 128; it is ${D}.`, { D });
  return {};
};

const fresh = {
  q: f32("B", "Tq", "H", "D"),
  k: f32("B", "Tk", "H", "D"),
  v: f32("B", "Tk", "H", "D"),
  lengths: u32("B"),
};

const plain = defineOp("attention", {
  inputs: fresh,
  outputs: { o: f32("B", "Tq", "H", "D") },
  saved: { l: f32("B", "H", "Tq") },
  attrs: { ragged: false },
  derive: checkWidth,
  forward: ({ q, k, v, lengths, o, l, ragged, ...sizes }) => {
    attend({ q, o, l }, { k, v, lengths, ragged }, sizes, false);
  },
  backward: ({ q, k, v, lengths, o, l, do: dy, dq, dk, dv, ragged, ...sizes }) => {
    differentiate({ q, o, l, dy }, { k, v, lengths, ragged }, { dq, dk, dv }, sizes, false);
  },
});

const prefixed = defineOp("attention", {
  inputs: {
    ...fresh,
    prefixK: f32("B", "P", "H", "D"),
    prefixV: f32("B", "P", "H", "D"),
    prefixLengths: u32("B"),
  },
  outputs: { o: f32("B", "Tq", "H", "D") },
  saved: { l: f32("B", "H", "Tq") },
  attrs: { ragged: false, prefixRagged: false },
  derive: checkWidth,
  forward: ({ q, k, v, lengths, prefixK, prefixV, prefixLengths, o, l, ragged, prefixRagged, ...sizes }) => {
    attend({ q, o, l }, { k: prefixK, v: prefixV, lengths: prefixLengths, ragged: prefixRagged }, sizes, false);
    attend({ q, o, l }, { k, v, lengths, ragged }, sizes, true);
  },
  backward: (context) => {
    const { q, k, v, lengths, prefixK, prefixV, prefixLengths, o, l, do: dy, ragged, prefixRagged } = context;
    const { dq, dk, dv, dprefixK, dprefixV } = context;
    const prefix = { k: prefixK, v: prefixV, lengths: prefixLengths, ragged: prefixRagged };
    differentiate({ q, o, l, dy }, prefix, { dq, dk: dprefixK, dv: dprefixV }, context, false);
    differentiate({ q, o, l, dy }, { k, v, lengths, ragged }, { dq, dk, dv }, context, true);
  },
});

/** Keys and values of earlier positions, (B, P, H, D), and how many of them each batch row has. */
export interface AttentionPrefix {
  readonly k: Tensor;
  readonly v: Tensor;
  /** (B) of u32; default: all P. */
  readonly lengths?: Tensor;
}

export interface AttentionOptions {
  /** (B) of u32: how many of the Tk keys each batch row has; the rest is padding. Default: all. */
  readonly lengths?: Tensor;
  /** Keys and values that come before k and v, such as a cache that is the same for every decoding step. */
  readonly prefix?: AttentionPrefix;
}

/**
 * q (B, Tq, H, D), k and v (B, Tk, H, D) to (B, Tq, H, D); the scale is 1/√D. The head axis lies inside, so projections need no
 * transposition. A query without any key gives 0. PyTorch: F.scaled_dot_product_attention, which has (B, H, T, D), over
 * cat([prefix.k, k]) and cat([prefix.v, v]), with a mask for the lengths.
 */
export function attention(q: Tensor, k: Tensor, v: Tensor, { lengths, prefix }: AttentionOptions = {}): Tensor {
  // The kernels have a place for lengths in any case; without them they do not read it.
  const unused =
    lengths && (!prefix || prefix.lengths) ? undefined : empty(q.device, [q.shape[0]!], "u32", "no lengths");
  const given = { q, k, v, lengths: lengths ?? unused! };
  const ragged = lengths !== undefined;
  if (!prefix) return plain(given, { ragged }).o;
  return prefixed(
    { ...given, prefixK: prefix.k, prefixV: prefix.v, prefixLengths: prefix.lengths ?? unused! },
    { ragged, prefixRagged: prefix.lengths !== undefined },
  ).o;
}
