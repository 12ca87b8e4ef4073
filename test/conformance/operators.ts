/** ONNX's operators in terms of ours: attributes, axes and layouts are translated, arithmetic is left to the engine. */
import {
  abs,
  add,
  attention,
  concat,
  cos,
  crossEntropy,
  type Device,
  div,
  exp,
  expand,
  gather,
  gelu,
  geluErf,
  layerNorm,
  log,
  matmul,
  max,
  maximum,
  mean,
  minimum,
  mul,
  neg,
  pad,
  permute,
  relu,
  reshape,
  rmsNorm,
  sigmoid,
  silu,
  sin,
  sizeOf,
  slice,
  softmax,
  sqrt,
  sub,
  sum,
  tanh,
  type Tensor,
  tensor,
  transpose,
} from "../../src/tensor/index.ts";
import { rotate } from "../../src/tensor/ops/rope.ts";
import { contiguous } from "../../src/tensor/run.ts";
import { empty } from "../../src/tensor/tensor.ts";

/** One case: inputs by ONNX's names, floats on the device and integers as numbers. */
export interface Call {
  readonly device: Device;
  readonly attributes: Readonly<Record<string, string | number | readonly number[]>>;
  readonly tensors: Readonly<Record<string, Tensor>>;
  readonly ints: Readonly<Record<string, { readonly shape: readonly number[]; readonly values: readonly number[] }>>;
}

type Operator = (call: Call) => Tensor;

const number = ({ attributes }: Call, name: string, fallback: number): number => Number(attributes[name] ?? fallback);
const at = (axis: number, rank: number): number => (axis < 0 ? axis + rank : axis);
const only = ({ tensors }: Call): Tensor => Object.values(tensors)[0]!;

const unary =
  (f: (x: Tensor) => Tensor): Operator =>
  (call) =>
    f(only(call));
const binary =
  (f: (a: Tensor, b: Tensor) => Tensor): Operator =>
  ({ tensors }) =>
    Object.values(tensors).reduce((a, b) => f(a, b));

/** f along the last axis, made to work along any. */
function along(x: Tensor, axis: number, f: (x: Tensor) => Tensor): Tensor {
  const last = x.rank - 1;
  return transpose(f(transpose(x, axis, last)), axis, last);
}

/** f of rows that begin at `axis`. */
function overRows(x: Tensor, axis: number, f: (rows: Tensor, C: number) => Tensor): Tensor {
  const C = sizeOf(x.shape.slice(at(axis, x.rank)));
  return reshape(f(reshape(x, [x.size / C, C]), C), x.shape);
}

const reduction =
  (f: (x: Tensor, axes?: readonly number[], keep?: boolean) => Tensor): Operator =>
  (call) => {
    const x = only(call);
    const axes = call.ints["axes"]?.values ?? [];
    if (!axes.length && number(call, "noop_with_empty_axes", 0)) return x;
    return f(x, axes.length ? axes : undefined, number(call, "keepdims", 1) === 1);
  };

/** NumPy's matmul: vectors become matrices, leading axes are repeated. */
function npMatmul(a: Tensor, b: Tensor): Tensor {
  const left = a.rank === 1 ? reshape(a, [1, a.size]) : a;
  const right = b.rank === 1 ? reshape(b, [b.size, 1]) : b;
  const rank = Math.max(left.rank, right.rank) - 2;
  const sizesOf = (x: Tensor) => [...Array<number>(rank - (x.rank - 2)).fill(1), ...x.shape.slice(0, -2)];
  const lead = sizesOf(left).map((n, i) => Math.max(n, sizesOf(right)[i]!));
  const spread = (x: Tensor) => expand(x, [...lead, ...x.shape.slice(-2)]);
  const y = matmul(spread(left), spread(right));
  return reshape(y, [
    ...lead,
    ...(a.rank === 1 ? [] : [left.shape.at(-2)!]),
    ...(b.rank === 1 ? [] : [right.shape.at(-1)!]),
  ]);
}

function gemm(call: Call): Tensor {
  const { a, b, c } = call.tensors as { a: Tensor; b: Tensor; c?: Tensor };
  const turned = (x: Tensor, name: string) => (number(call, name, 0) ? transpose(x) : x);
  const y = mul(matmul(turned(a, "transA"), turned(b, "transB")), number(call, "alpha", 1));
  return c ? add(y, mul(c, number(call, "beta", 1))) : y;
}

/** Indices along an axis, as rows of a table. */
function gatherAlong({ tensors, ints, attributes, device }: Call): Tensor {
  const x = tensors["data"]!;
  const axis = at(Number(attributes["axis"] ?? 0), x.rank);
  const { shape, values } = ints["indices"]!;
  const n = x.shape[axis]!;
  const order = [axis, ...x.shape.map((_, i) => i).filter((i) => i !== axis)];
  const rest = order.slice(1).map((i) => x.shape[i]!);
  const ids = tensor(
    device,
    values.map((i) => at(i, n)),
    [values.length],
    "u32",
  );
  const rows = reshape(gather(reshape(permute(x, order), [n, sizeOf(rest)]), ids), [...shape, ...rest]);
  // The axes of the indices go to where the axis was.
  const before = rest.slice(0, axis).map((_, i) => shape.length + i);
  const after = rest.slice(axis).map((_, i) => shape.length + axis + i);
  return permute(rows, [...before, ...shape.map((_, i) => i), ...after]);
}

function sliceAxes({ tensors, ints }: Call): Tensor {
  const { starts, ends, axes } = ints as Record<string, { values: readonly number[] }>;
  return starts!.values.reduce((x, start, i) => {
    const axis = at(axes?.values[i] ?? i, x.rank);
    const n = x.shape[axis]!;
    const within = (place: number) => Math.min(n, Math.max(0, at(place, n)));
    return slice(x, axis, within(start), within(ends!.values[i]!));
  }, tensors["x"]!);
}

/** Zeros around x − value, which is value around x. */
function padAround({ tensors, ints }: Call): Tensor {
  const x = tensors["x"]!;
  const value = reshape(tensors["value"]!, [1]);
  const pads = ints["pads"]!.values;
  const axes = ints["axes"]?.values ?? x.shape.map((_, i) => i);
  const around = axes.reduce((y, axis, i) => pad(y, at(axis, x.rank), pads[i]!, pads[i + axes.length]!), sub(x, value));
  return add(around, value);
}

function reshapeTo({ tensors, ints }: Call): Tensor {
  const x = tensors["data"]!;
  return reshape(
    x,
    ints["shape"]!.values.map((n, i) => (n === 0 ? x.shape[i]! : n)),
  );
}

function expandTo({ tensors, ints }: Call): Tensor {
  const x = tensors["data"]!;
  const wanted = ints["new_shape"]!.values;
  const sizes = x.shape;
  const rank = Math.max(wanted.length, sizes.length);
  const from = (shape: readonly number[], i: number) => shape[i - rank + shape.length] ?? 1;
  return expand(
    x,
    Array.from({ length: rank }, (_, i) => Math.max(from(wanted, i), from(sizes, i))),
  );
}

/** Classes are axis 1; weights of classes and ignored targets become weights of rows. */
function classLoss({ device, tensors, ints, attributes }: Call): Tensor {
  const x = tensors["x"]!;
  const { shape, values } = ints["y"]!;
  const ignored = attributes["ignore_index"];
  const C = x.shape[1]!;
  const kept = values.map((id) => (id === ignored ? 0 : 1));
  const ids = tensor(
    device,
    values.map((id, i) => (kept[i] ? id : 0)),
    [values.length],
    "u32",
  );
  const ofClass = tensors["w"];
  const mask = tensor(device, kept, [values.length]);
  const weights = ofClass ? mul(reshape(gather(reshape(ofClass, [C, 1]), ids), [values.length]), mask) : mask;
  const order = [0, ...x.shape.slice(2).map((_, i) => i + 2), 1];
  const losses = crossEntropy(reshape(permute(x, order), [values.length, C]), ids, weights);
  if (attributes["reduction"] === "none") return reshape(losses, shape);
  return attributes["reduction"] === "sum" ? sum(losses) : div(sum(losses), sum(weights));
}

/** Our kernel with the angles of a case: one row of the table for each token. ONNX has heads before tokens, or in one axis with D. */
function rotaryEmbedding(call: Call): Tensor {
  const { device, tensors, ints } = call;
  const input = tensors["input"]!;
  const H = input.rank === 3 ? number(call, "num_heads", 1) : input.shape[1]!;
  const x =
    input.rank === 3 ? reshape(input, [...input.shape.slice(0, 2), H, input.shape[2]! / H]) : transpose(input, 1, 2);
  const [B, T, , D] = x.shape as [number, number, number, number];
  const turned = number(call, "rotary_embedding_dim", 0) || D;
  const half = turned / 2;
  const ids = ints["position_ids"];
  const ofTokens = (cache: Tensor): Tensor =>
    ids ? gather(cache, tensor(device, ids.values, [B * T], "u32")) : reshape(cache, [B * T, half]);
  const angles = concat([ofTokens(tensors["cos_cache"]!), ofTokens(tensors["sin_cache"]!)], 1);

  // Ours turns channel j with j + D/2; interleaved, 2j turns with 2j + 1.
  const turn = (y: Tensor, rows: number, columns: number): Tensor =>
    number(call, "interleaved", 0)
      ? reshape(transpose(reshape(y, [B, T, H, rows, columns]), 3, 4), [B, T, H, turned])
      : y;
  const y = empty(device, [B, T, H, turned], "f32", "rotated");
  rotate("rope", contiguous(turn(slice(x, 3, 0, turned), half, 2)), angles, y, 1, {
    N: 1,
    T: B * T,
    H,
    D: turned,
    start: 0,
  });
  const parts = [turn(y, 2, half), ...(turned < D ? [slice(x, 3, turned, D)] : [])];
  const all = concat(parts, 3);
  return input.rank === 3 ? reshape(all, input.shape) : transpose(all, 1, 2);
}

/** Large, but no infinity: a masked score loses against any other, and sums stay finite. */
const MASKED = -1e30;

/** Fused where nothing but a scale is asked for; else from matrix products and softmax. ONNX has heads before tokens. */
function attend(call: Call): Tensor {
  const { device, tensors } = call;
  const is3d = tensors["Q"]!.rank === 3;
  const byHead = (x: Tensor, count: string): Tensor => {
    if (!is3d) return x;
    const [B, T, width] = x.shape as [number, number, number];
    const H = number(call, count, 1);
    return transpose(reshape(x, [B, T, H, width / H]), 1, 2);
  };
  const q = byHead(tensors["Q"]!, "q_num_heads");
  const [B, H, Tq, D] = q.shape as [number, number, number, number];
  const fullHeads = (x: Tensor, past: string): Tensor => {
    const earlier = tensors[past];
    const all = earlier ? concat([earlier, byHead(x, "kv_num_heads")], 2) : byHead(x, "kv_num_heads");
    const [, heads, T, width] = all.shape as [number, number, number, number];
    return reshape(expand(reshape(all, [B, heads, 1, T, width]), [B, heads, H / heads, T, width]), [B, H, T, width]);
  };
  const k = fullHeads(tensors["K"]!, "past_key");
  const v = fullHeads(tensors["V"]!, "past_value");
  const scale = number(call, "scale", 1 / Math.sqrt(D));
  const softcap = number(call, "softcap", 0);
  const isCausal = number(call, "is_causal", 0) === 1;
  const mask = tensors["attn_mask"] ?? booleanMask(call);
  const isPlain = !mask && !isCausal && !softcap && v.shape[3] === D;
  let o: Tensor;
  if (isPlain) {
    const inside = (x: Tensor) => transpose(x, 1, 2);
    // The fused operation scales by 1/√D.
    o = transpose(attention(inside(mul(q, scale * Math.sqrt(D))), inside(k), inside(v)), 1, 2);
  } else {
    const Tk = k.shape[2]!;
    let scores = mul(npMatmul(q, transpose(k)), scale);
    if (softcap) scores = mul(tanh(mul(scores, 1 / softcap)), softcap);
    if (mask) scores = add(scores, mask);
    if (isCausal) {
      const past = tensors["past_key"]?.shape[2] ?? 0;
      const hidden = Array.from({ length: Tq * Tk }, (_, i) => (i % Tk > Math.floor(i / Tk) + past ? MASKED : 0));
      scores = add(scores, tensor(device, hidden, [Tq, Tk]));
    }
    o = npMatmul(softmax(scores), v);
  }
  if (!is3d) return o;
  return reshape(transpose(o, 1, 2), [B, Tq, H * v.shape[3]!]);
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

export const operators: Readonly<Record<string, Operator>> = {
  Abs: unary(abs),
  Add: binary(add),
  Attention: attend,
  Concat: ({ tensors, attributes }) => concat(Object.values(tensors), Number(attributes["axis"])),
  Cos: unary(cos),
  Div: binary(div),
  Exp: unary(exp),
  Expand: expandTo,
  Gather: gatherAlong,
  Gelu: (call) => (call.attributes["approximate"] === "tanh" ? gelu : geluErf)(only(call)),
  Gemm: gemm,
  LayerNormalization: (call) => {
    const { X, W, B } = call.tensors as { X: Tensor; W: Tensor; B: Tensor };
    const eps = number(call, "epsilon", 1e-5);
    const flat = (x: Tensor, C: number) => reshape(x, [C]);
    return overRows(X, number(call, "axis", -1), (x, C) => layerNorm(x, flat(W, C), flat(B, C), eps));
  },
  Log: unary(log),
  LogSoftmax: (call) =>
    along(only(call), number(call, "axis", -1), (x) => {
      const below = sub(x, max(x, [-1], true));
      return sub(below, log(sum(exp(below), [-1], true)));
    }),
  MatMul: ({ tensors }) => npMatmul(tensors["a"]!, tensors["b"]!),
  Max: binary(maximum),
  Min: binary(minimum),
  Mul: binary(mul),
  Neg: unary(neg),
  Pad: padAround,
  RMSNormalization: (call) => {
    const { X, W } = call.tensors as { X: Tensor; W: Tensor };
    const eps = number(call, "epsilon", 1e-5);
    return overRows(X, number(call, "axis", -1), (x, C) => rmsNorm(x, reshape(W, [C]), eps));
  },
  ReduceMax: reduction(max),
  ReduceMean: reduction(mean),
  ReduceSum: reduction(sum),
  Relu: unary(relu),
  Reshape: reshapeTo,
  RotaryEmbedding: rotaryEmbedding,
  Sigmoid: unary(sigmoid),
  Sin: unary(sin),
  Slice: sliceAxes,
  Softmax: (call) => along(only(call), number(call, "axis", -1), softmax),
  SoftmaxCrossEntropyLoss: classLoss,
  Sqrt: unary(sqrt),
  Sub: binary(sub),
  Swish: unary(silu),
  Tanh: unary(tanh),
  Transpose: (call) => {
    const x = only(call);
    return permute(x, (call.attributes["perm"] as number[] | undefined) ?? x.shape.map((_, i) => x.rank - 1 - i));
  },
};
