/** ONNX's Attention by the fused operation, wherever it can say what a case asks for. */
import {
  add,
  attention,
  concat,
  expand,
  mul,
  pad,
  reshape,
  slice,
  softmax,
  tanh,
  type Tensor,
  tensor,
  transpose,
} from "../../src/tensor/index.ts";
import { type Call, npMatmul, number } from "./call.ts";

/** Large, but no infinity: a masked score loses against any other, and sums stay finite. */
const MASKED = -1e30;

/** Queries, keys and values (B, H, T, D) with a head of its own for each, and what came before the keys. */
interface Parts {
  readonly q: Tensor;
  readonly k: Tensor;
  readonly v: Tensor;
  readonly past: { readonly k: Tensor; readonly v: Tensor } | undefined;
}

/** Fused where no mask and no cap is asked for; else from matrix products and softmax. ONNX has heads before tokens. */
export function attend(call: Call): Tensor {
  const { tensors } = call;
  const is3d = tensors["Q"]!.rank === 3;
  const byHead = (x: Tensor, count: string): Tensor => {
    if (!is3d) return x;
    const [B, T, width] = x.shape as [number, number, number];
    const H = number(call, count, 1);
    return transpose(reshape(x, [B, T, H, width / H]), 1, 2);
  };
  const q = byHead(tensors["Q"]!, "q_num_heads");
  const [B, H, Tq] = q.shape as [number, number, number];
  const fullHeads = (x: Tensor): Tensor => {
    const [, heads, T, width] = x.shape as [number, number, number, number];
    return reshape(expand(reshape(x, [B, heads, 1, T, width]), [B, heads, H / heads, T, width]), [B, H, T, width]);
  };
  const k = fullHeads(byHead(tensors["K"]!, "kv_num_heads"));
  const v = fullHeads(byHead(tensors["V"]!, "kv_num_heads"));
  const past = tensors["past_key"] && { k: fullHeads(tensors["past_key"]), v: fullHeads(tensors["past_value"]!) };
  const mask = tensors["attn_mask"] ?? booleanMask(call);
  const parts = { q, k, v, past };
  const o = mask || number(call, "softcap", 0) ? composed(call, parts, mask) : fused(call, parts);
  return is3d ? reshape(transpose(o, 1, 2), [B, Tq, H * v.shape[3]!]) : o;
}

const scaleOf = (call: Call, q: Tensor): number => number(call, "scale", 1 / Math.sqrt(q.shape[3]!));

/**
 * Zeros fill a head's width up to a multiple of four that holds keys and values; they add nothing to scores, and what they make of
 * values is cut off. Causal: each query is a row of the batch, with as many keys as it may see; keys of the past are a prefix.
 */
function fused(call: Call, { q, k, v, past }: Parts): Tensor {
  const [B, H, Tq] = q.shape as [number, number, number];
  const [Tk, width] = v.shape.slice(2) as [number, number];
  const isCausal = number(call, "is_causal", 0) === 1;
  const D = Math.ceil(Math.max(q.shape[3]!, width) / 4) * 4;
  const inside = (x: Tensor) => transpose(x.shape[3]! < D ? pad(x, 3, 0, D - x.shape[3]!) : x, 1, 2);
  const repeats = isCausal ? Tq : 1;
  const forEach = (x: Tensor): Tensor => {
    const [, T] = x.shape as [number, number];
    return reshape(expand(reshape(x, [B, 1, T, H, D]), [B, repeats, T, H, D]), [B * repeats, T, H, D]);
  };
  const keys = (x: Tensor) => forEach(inside(x));
  const lengths = Array.from({ length: B * repeats }, (_, i) => Math.min(Tk, (i % repeats) + 1));
  // The fused operation scales by 1/√D.
  const queries = reshape(inside(mul(q, scaleOf(call, q) * Math.sqrt(D))), [B * repeats, Tq / repeats, H, D]);
  const o = attention(queries, keys(k), keys(v), {
    ...(isCausal ? { lengths: tensor(call.device, lengths, [lengths.length], "u32") } : {}),
    ...(past ? { prefix: { k: keys(past.k), v: keys(past.v) } } : {}),
  });
  return slice(transpose(reshape(o, [B, Tq, H, D]), 1, 2), 3, 0, width);
}

function composed(call: Call, { q, k: fresh, v, past }: Parts, mask: Tensor | undefined): Tensor {
  const [Tq] = q.shape.slice(2) as [number];
  const k = past ? concat([past.k, fresh], 2) : fresh;
  const Tk = k.shape[2]!;
  const softcap = number(call, "softcap", 0);
  let scores = mul(npMatmul(q, transpose(k)), scaleOf(call, q));
  if (softcap) scores = mul(tanh(mul(scores, 1 / softcap)), softcap);
  if (mask) scores = add(scores, mask);
  if (number(call, "is_causal", 0) === 1) {
    const before = Tk - fresh.shape[2]!;
    const hidden = Array.from({ length: Tq * Tk }, (_, i) => (i % Tk > Math.floor(i / Tk) + before ? MASKED : 0));
    scores = add(scores, tensor(call.device, hidden, [Tq, Tk]));
  }
  return npMatmul(softmax(scores), past ? concat([past.v, v], 2) : v);
}

/** True is seen. */
function booleanMask({ device, ints }: Call): Tensor | undefined {
  const mask = ints["attn_mask"];
  return (
    mask &&
    tensor(
      device,
      mask.values.map((seen) => (seen ? 0 : MASKED)),
      mask.shape,
    )
  );
}
