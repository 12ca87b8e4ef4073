/** ONNX's operators in terms of ours: attributes, axes and layouts are translated, arithmetic is left to the engine. */
import {
  abs,
  add,
  concat,
  confidence,
  cos,
  crossEntropy,
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
  square,
  sub,
  sum,
  tanh,
  type Tensor,
  tensor,
  transpose,
  zeros,
} from "../../src/tensor/index.ts";
import { conv2d } from "../../src/nn/conv2d.ts";
import { rotate } from "../../src/tensor/ops/rope.ts";
import { contiguous } from "../../src/tensor/run.ts";
import { empty } from "../../src/tensor/tensor.ts";
import { attend } from "./attend.ts";
import { at, type Call, npMatmul, number } from "./call.ts";

type Operator = (call: Call) => Tensor;

const only = ({ tensors }: Call): Tensor => Object.values(tensors)[0]!;

const one = ({ device }: Tensor): Tensor => tensor(device, [1], [1]);

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

/** Axes: those of the picture are before and after its channels. */
function convolve(call: Call): Tensor {
  const { device, attributes, tensors } = call;
  const weight = tensors["W"]!;
  const [out, , k] = weight.shape as [number, number, number];
  const stride = (attributes["strides"] as number[] | undefined)?.[0] ?? 1;
  const x = permute(tensors["x"]!, [0, 2, 3, 1]);
  // As many windows as strides begin in it; of an odd number of zeros, one more before.
  const same = [1, 2].map((axis) => (Math.ceil(x.shape[axis]! / stride) - 1) * stride + k - x.shape[axis]!);
  const pads = (attributes["pads"] as number[] | undefined) ?? [
    ...same.map((n) => Math.ceil(n / 2)),
    ...same.map((n) => Math.floor(n / 2)),
  ];
  const around = [0, 1].reduce((y, i) => (pads[i]! + pads[i + 2]! ? pad(y, i + 1, pads[i]!, pads[i + 2]!) : y), x);
  const bias = tensors["B"] ?? zeros(device, [out]);
  return permute(conv2d(around, weight, bias, { stride }), [0, 3, 1, 2]);
}

/** Ids of the largest, of equal ones the first. */
function argMax(call: Call): Tensor {
  const x = only(call);
  const axis = at(number(call, "axis", 0), x.rank);
  const others = x.shape.flatMap((_, i) => (i === axis ? [] : [i]));
  const { ids } = confidence(permute(x, [...others, axis]));
  return number(call, "keepdims", 1)
    ? reshape(
        ids,
        x.shape.map((n, i) => (i === axis ? 1 : n)),
      )
    : ids;
}

/** The first part. */
function split(call: Call): Tensor {
  const x = only(call);
  const axis = at(number(call, "axis", 0), x.rank);
  const first = call.ints["split"]?.values[0] ?? Math.ceil(x.shape[axis]! / number(call, "num_outputs", 1));
  return slice(x, axis, 0, first);
}

function clip({ tensors: { x, min: least, max: most } }: Call): Tensor {
  const above = least ? maximum(x!, least) : x!;
  return most ? minimum(above, most) : above;
}

export const operators: Readonly<Record<string, Operator>> = {
  Abs: unary(abs),
  Add: binary(add),
  ArgMax: argMax,
  Attention: attend,
  Clip: clip,
  Concat: ({ tensors, attributes }) => concat(Object.values(tensors), Number(attributes["axis"])),
  Conv: convolve,
  Cos: unary(cos),
  Div: binary(div),
  Exp: unary(exp),
  Expand: expandTo,
  Flatten: (call) => {
    const x = only(call);
    const rows = sizeOf(x.shape.slice(0, at(number(call, "axis", 1), x.rank)));
    return reshape(x, [rows, x.size / rows]);
  },
  Gather: gatherAlong,
  Gelu: (call) => (call.attributes["approximate"] === "tanh" ? gelu : geluErf)(only(call)),
  Gemm: gemm,
  GlobalAveragePool: (call) => mean(only(call), [2, 3], true),
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
  Mean: (call) => mul(binary(add)(call), 1 / Object.keys(call.tensors).length),
  Min: binary(minimum),
  Mul: binary(mul),
  Neg: unary(neg),
  Pad: padAround,
  RMSNormalization: (call) => {
    const { X, W } = call.tensors as { X: Tensor; W: Tensor };
    const eps = number(call, "epsilon", 1e-5);
    return overRows(X, number(call, "axis", -1), (x, C) => rmsNorm(x, reshape(W, [C]), eps));
  },
  Reciprocal: unary((x) => div(one(x), x)),
  ReduceL1: reduction((x, axes, keep) => sum(abs(x), axes, keep)),
  ReduceL2: reduction((x, axes, keep) => sqrt(sum(square(x), axes, keep))),
  ReduceLogSum: reduction((x, axes, keep) => log(sum(x, axes, keep))),
  ReduceMax: reduction(max),
  ReduceMean: reduction(mean),
  ReduceMin: reduction((x, axes, keep) => neg(max(neg(x), axes, keep))),
  ReduceSum: reduction(sum),
  ReduceSumSquare: reduction((x, axes, keep) => sum(square(x), axes, keep)),
  Relu: unary(relu),
  Reshape: reshapeTo,
  RotaryEmbedding: rotaryEmbedding,
  Sigmoid: unary(sigmoid),
  Sin: unary(sin),
  Slice: sliceAxes,
  Softmax: (call) => along(only(call), number(call, "axis", -1), softmax),
  SoftmaxCrossEntropyLoss: classLoss,
  Split: split,
  Sqrt: unary(sqrt),
  Squeeze: ({ tensors: { x }, ints: { axes } }) => {
    const gone = axes!.values.map((axis) => at(axis, x!.rank));
    return reshape(
      x!,
      x!.shape.filter((_, i) => !gone.includes(i)),
    );
  },
  Sub: binary(sub),
  Sum: binary(add),
  Swish: unary(silu),
  Tanh: unary(tanh),
  Transpose: (call) => {
    const x = only(call);
    return permute(x, (call.attributes["perm"] as number[] | undefined) ?? x.shape.map((_, i) => x.rank - 1 - i));
  },
  Unsqueeze: ({ tensors: { x }, ints: { axes } }) => {
    const rank = x!.rank + axes!.values.length;
    const made = axes!.values.map((axis) => at(axis, rank));
    const sizes = [...x!.shape];
    return reshape(
      x!,
      Array.from({ length: rank }, (_, i) => (made.includes(i) ? 1 : sizes.shift()!)),
    );
  },
  Where: ({ device, tensors: { x, y }, ints: { condition } }) => {
    const isX = tensor(device, condition!.values, condition!.shape);
    return add(mul(isX, x!), mul(sub(one(isX), isX), y!));
  },
};
