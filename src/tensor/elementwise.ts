/**
 * Elementwise operations: a table, one row per operation. A row is the WGSL expression of the result, the expression of
 * the gradient, and the same function in f64, which tests use as reference. Add a row, a name and a line at the end.
 *
 * The kernels are kernels/elementwise*.wgsl; they hold the loops and the few functions that rows call (sigmoid,
 * normalCdf, slopes). Rows are evaluated four elements at a time. Binary ones broadcast as NumPy does.
 */
import { record } from "./autograd.ts";
import { DtypeError, ShapeError } from "./errors.ts";
import { defineOp, f32, type Op } from "./op.ts";
import { contiguous, type Expressions, run, spread, spreadRows } from "./run.ts";
import { broadcastShapes, broadcastStrides, type Shape, showShape } from "./shape.ts";
import { empty, type Tensor } from "./tensor.ts";
import { sumTo } from "./ops/views.ts";

export interface UnaryRow {
  /** y, from x. */
  readonly y: string;
  /** dx, from d = dy and x or y, whichever is cheaper. */
  readonly dx: string;
  /** f64 reference. */
  readonly f: (x: number, s: number) => number;
}

export interface BinaryRow {
  /** y, from a and b. */
  readonly y: string;
  /** Gradients from d = dy, a and b; "d" alone costs nothing. */
  readonly da: string;
  readonly db: string;
  /** f64 reference. */
  readonly f: (a: number, b: number) => number;
}

type UnaryName =
  | "neg"
  | "exp"
  | "log"
  | "sqrt"
  | "rsqrt"
  | "sin"
  | "cos"
  | "tanh"
  | "sigmoid"
  | "silu"
  | "gelu"
  | "geluErf"
  | "relu"
  | "square"
  | "abs"
  | "addNumber"
  | "mulNumber";
type BinaryName = "add" | "sub" | "mul" | "div" | "maximum" | "minimum" | "siluMul";

const logistic = (x: number): number => 1 / (1 + Math.exp(-x));

/** erf by its series of positive terms, e^(-x²)·2/√π·Σ 2ⁿ x^(2n+1)/(2n+1)!!, to f64 accuracy. */
function erf(x: number): number {
  if (Math.abs(x) > 6) return Math.sign(x);
  let term = x;
  let sum = x;
  for (let n = 1; Math.abs(term) > 1e-18 * Math.abs(sum); n++) sum += term *= (2 * x * x) / (2 * n + 1);
  return (2 / Math.sqrt(Math.PI)) * Math.exp(-x * x) * sum;
}

export const unaryRows: { readonly [N in UnaryName]: UnaryRow } = {
  neg: { y: "-x", dx: "-d", f: (x) => -x },
  exp: { y: "exp(x)", dx: "d * y", f: Math.exp },
  log: { y: "log(x)", dx: "d / x", f: Math.log },
  sqrt: { y: "sqrt(x)", dx: "0.5 * d / y", f: Math.sqrt },
  rsqrt: { y: "inverseSqrt(x)", dx: "-0.5 * d * y / x", f: (x) => 1 / Math.sqrt(x) },
  sin: { y: "sin(x)", dx: "d * cos(x)", f: Math.sin },
  cos: { y: "cos(x)", dx: "-d * sin(x)", f: Math.cos },
  tanh: { y: "2.0 * sigmoid(2.0 * x) - 1.0", dx: "d * (1.0 - y * y)", f: Math.tanh },
  sigmoid: { y: "sigmoid(x)", dx: "d * y * (1.0 - y)", f: logistic },
  silu: { y: "x * sigmoid(x)", dx: "d * siluSlope(x)", f: (x) => x * logistic(x) },
  // ½·(1 + tanh u) = σ(2u), u = √(2/π)·(x + 0.044715 x³): the tanh form of Hendrycks and Gimpel 2016.
  gelu: {
    y: "x * sigmoid(1.5957691 * (x + 0.044715 * x * x * x))",
    dx: "d * geluSlope(x)",
    f: (x) => x * logistic(2 * Math.sqrt(2 / Math.PI) * (x + 0.044715 * x ** 3)),
  },
  geluErf: { y: "x * normalCdf(x)", dx: "d * geluErfSlope(x)", f: (x) => 0.5 * x * (1 + erf(x / Math.SQRT2)) },
  relu: { y: "max(x, vec4f(0.0))", dx: "select(vec4f(0.0), d, x > vec4f(0.0))", f: (x) => Math.max(x, 0) },
  square: { y: "x * x", dx: "2.0 * d * x", f: (x) => x * x },
  abs: { y: "abs(x)", dx: "d * sign(x)", f: Math.abs },
  addNumber: { y: "x + s", dx: "d", f: (x, s) => x + s },
  mulNumber: { y: "x * s", dx: "d * s", f: (x, s) => x * s },
};

export const binaryRows: { readonly [N in BinaryName]: BinaryRow } = {
  add: { y: "a + b", da: "d", db: "d", f: (a, b) => a + b },
  sub: { y: "a - b", da: "d", db: "-d", f: (a, b) => a - b },
  mul: { y: "a * b", da: "d * b", db: "d * a", f: (a, b) => a * b },
  div: { y: "a / b", da: "d / b", db: "-d * (a / b) / b", f: (a, b) => a / b },
  // Equal operands share the gradient, as in PyTorch.
  maximum: { y: "max(a, b)", da: "d * (0.5 + 0.5 * sign(a - b))", db: "d * (0.5 - 0.5 * sign(a - b))", f: Math.max },
  minimum: { y: "min(a, b)", da: "d * (0.5 - 0.5 * sign(a - b))", db: "d * (0.5 + 0.5 * sign(a - b))", f: Math.min },
  siluMul: {
    y: "a * sigmoid(a) * b",
    da: "d * b * siluSlope(a)",
    db: "d * a * sigmoid(a)",
    f: (a, b) => a * logistic(a) * b,
  },
};

type UnaryOp = (x: Tensor) => Tensor;
type BinaryOp = (a: Tensor, b: Tensor) => Tensor;

function defineUnary(
  name: UnaryName,
): Op<{ x: ReturnType<typeof f32<["N*"]>> }, { y: ReturnType<typeof f32<["N*"]>> }, { s: number }> {
  const { y: forward, dx: slope } = unaryRows[name];
  return defineOp(name, {
    inputs: { x: f32("N*") },
    outputs: { y: f32("N*") },
    attrs: { s: 0 },
    forward: ({ x, y, N, s }) => {
      const count = Math.ceil(N / 4);
      const { workgroups, overrides, steps } = spread(x.device, count);
      const expressions = { results: { y: forward }, operands: { x: "x" }, s, count };
      const launch = { workgroups, overrides, functions: { f: forward }, expressions };
      run("elementwiseUnary", { x, y }, { count, steps, s }, launch, name);
    },
    backward: ({ x, y, dy, dx, N, s }) => {
      const count = Math.ceil(N / 4);
      const { workgroups, overrides, steps } = spread(x.device, count);
      const expressions = { results: { dx: slope }, operands: { d: "dy", x: "x", y: "y" }, s, count };
      const launch = { workgroups, overrides, functions: { f: slope }, expressions };
      run("elementwiseUnaryBackward", { x, y, dy, dx: dx! }, { count, steps, s }, launch, `${name}Backward`);
    },
  });
}

function unary(name: UnaryName): UnaryOp {
  const op = defineUnary(name);
  return (x) => op({ x }).y;
}

function withNumber(name: UnaryName): (x: Tensor, s: number) => Tensor {
  const op = defineUnary(name);
  return (x, s) => op({ x }, { s }).y;
}

function binary(name: BinaryName): BinaryOp {
  const row = binaryRows[name];
  return (a, b) => {
    requireF32(name, "a", a);
    requireF32(name, "b", b);
    const shape = broadcastShapes(name, a.shape, b.shape);
    const from = { a: contiguous(a, `${name}.a`), b: contiguous(b, `${name}.b`) };
    const y = empty(a.device, shape, "f32", `${name}.y`);
    const { params, types, overrides, workgroups, isFlat } = plan(name, shape, from.a, from.b);
    const inRun = (results: Expressions["results"], operands: Expressions["operands"]) =>
      isFlat && { expressions: { results, operands, count: params["C"]! } };
    const forward = inRun({ y: row.y }, { a: "a", b: "b" });
    const launch = { types, overrides, workgroups, functions: { f: row.y }, ...forward };
    run("elementwiseBinary", { ...from, y }, params, launch, name);
    record(name, [a, b], [y], ([gradient]) => {
      const dy = contiguous(gradient!, `${name}.dy`);
      // A gradient that is dy itself needs no kernel, and one that nothing asks for is not written.
      const needs = { a: a.requiresGrad && row.da !== "d", b: b.requiresGrad && row.db !== "d" };
      // The place of the latter must still be bound; as u32 it is left out of the checks for NaN.
      const full = (needed: boolean, label: string) =>
        empty(a.device, needed ? shape : [1], needed ? "f32" : "u32", `${name}.${label}`);
      const da = full(needs.a, "da");
      const db = full(needs.b, "db");
      if (needs.a || needs.b) {
        const results = { ...(needs.a && { da: row.da }), ...(needs.b && { db: row.db }) };
        const launch = {
          types,
          workgroups,
          overrides: { ...overrides, NEEDS_A: needs.a, NEEDS_B: needs.b },
          functions: { slopeA: row.da, slopeB: row.db },
          ...inRun(results, { d: "dy", a: "a", b: "b" }),
        };
        run("elementwiseBinaryBackward", { ...from, dy, da, db }, params, launch, `${name}Backward`);
      }
      const gradients = [
        a.requiresGrad ? sumTo(needs.a ? da : dy, a.shape) : undefined,
        b.requiresGrad ? sumTo(needs.b ? db : dy, b.shape) : undefined,
      ];
      da.dispose();
      db.dispose();
      return gradients;
    });
    return y;
  };
}

function requireF32(op: string, operand: string, { dtype }: Tensor): void {
  if (dtype !== "f32")
    throw new DtypeError(`${op}: ${operand} must be f32; it is ${dtype}. Use cast().`, { op, operand, dtype });
}

/** An axis of a result: its size, and the strides of both operands along it. */
interface Axis {
  readonly n: number;
  readonly a: number;
  readonly b: number;
}
const NO_AXIS: Axis = { n: 1, a: 0, b: 0 };

/** How to walk a result of `shape` and its two operands: merged axes, vectors or single elements, rows and columns. */
function plan(
  name: string,
  shape: Shape,
  a: Tensor,
  b: Tensor,
): {
  params: Record<string, number>;
  types: Record<string, string>;
  overrides: Record<string, number>;
  workgroups: [number, number];
  /** Both operands have the shape of the result. */
  isFlat: boolean;
} {
  const axes = mergeAxes(
    shape,
    broadcastStrides(a.shape, a.strides, shape),
    broadcastStrides(b.shape, b.strides, shape),
  );
  const last = axes.pop() ?? { n: 1, a: 1, b: 1 };
  if (axes.length > 5)
    throw new ShapeError(
      `${name}: broadcasting takes at most six axes that do not merge; the result is ${showShape(shape)}.`,
      { shape },
    );
  // Vectors of four, where the rows of each operand divide by four or repeat one number. The last vector of one unbroken
  // row may reach into the padding of its buffers, which is theirs.
  const inVectors = (operand: "a" | "b"): boolean =>
    last[operand] === 0 || axes.every((axis) => axis[operand] % 4 === 0);
  const isWide = axes.length === 0 || (last.n % 4 === 0 && inVectors("a") && inVectors("b"));
  const [widthA, widthB] = [isWide && last.a ? 4 : 1, isWide && last.b ? 4 : 1];
  const C = Math.ceil(last.n / (isWide ? 4 : 1));
  const N = axes.reduce((product, { n }) => product * n, 1);
  const { workgroups, overrides, steps, rows } = spreadRows(a.device, N, C);
  // The outermost axis has number 0 and needs no division; the others count from the innermost.
  const outermost = axes[0] ?? NO_AXIS;
  const inner = (i: number): Axis => (i < axes.length ? axes[axes.length - i]! : NO_AXIS);
  const [one, two, three, four] = [inner(1), inner(2), inner(3), inner(4)];
  return {
    params: {
      N,
      C,
      rows,
      steps,
      n1: one.n,
      n2: two.n,
      n3: three.n,
      n4: four.n,
      a0: outermost.a / widthA,
      a1: one.a / widthA,
      a2: two.a / widthA,
      a3: three.a / widthA,
      a4: four.a / widthA,
      aC: last.a,
      b0: outermost.b / widthB,
      b1: one.b / widthB,
      b2: two.b / widthB,
      b3: three.b / widthB,
      b4: four.b / widthB,
      bC: last.b,
    },
    types: {
      Vector: isWide ? "vec4f" : "f32",
      Left: widthA === 4 ? "vec4f" : "f32",
      Right: widthB === 4 ? "vec4f" : "f32",
    },
    overrides: { LANES: overrides.LANES, AXES: Math.max(1, axes.length) },
    workgroups,
    isFlat: axes.length === 0 && last.a === 1 && last.b === 1,
  };
}

/** Drops axes of size 1 and joins neighbours that both operands walk as one. */
function mergeAxes(shape: Shape, a: Shape, b: Shape): Axis[] {
  const axes: Axis[] = [];
  shape.forEach((n, i) => {
    if (n === 1) return;
    const before = axes.at(-1);
    const axis = { n, a: a[i]!, b: b[i]! };
    if (before && before.a === n * axis.a && before.b === n * axis.b)
      axes[axes.length - 1] = { ...axis, n: n * before.n };
    else axes.push(axis);
  });
  return axes;
}

/** Any shape to the same shape; PyTorch has the same names in `torch` and `torch.nn.functional`. */
export const neg: UnaryOp = unary("neg");
export const exp: UnaryOp = unary("exp");
export const log: UnaryOp = unary("log");
export const sqrt: UnaryOp = unary("sqrt");
export const rsqrt: UnaryOp = unary("rsqrt");
export const sin: UnaryOp = unary("sin");
export const cos: UnaryOp = unary("cos");
export const tanh: UnaryOp = unary("tanh");
export const sigmoid: UnaryOp = unary("sigmoid");
export const silu: UnaryOp = unary("silu");
/** PyTorch: F.gelu(x, approximate="tanh"). */
export const gelu: UnaryOp = unary("gelu");
/** PyTorch: F.gelu(x). */
export const geluErf: UnaryOp = unary("geluErf");
export const relu: UnaryOp = unary("relu");
export const square: UnaryOp = unary("square");
export const abs: UnaryOp = unary("abs");

const addTensors = binary("add");
const mulTensors = binary("mul");
const addNumber = withNumber("addNumber");
const mulNumber = withNumber("mulNumber");

/** a and b broadcast to one shape; b may be a number. PyTorch: torch.add. */
export const add = (a: Tensor, b: Tensor | number): Tensor =>
  typeof b === "number" ? addNumber(a, b) : addTensors(a, b);
/** As `add`. PyTorch: torch.mul. */
export const mul = (a: Tensor, b: Tensor | number): Tensor =>
  typeof b === "number" ? mulNumber(a, b) : mulTensors(a, b);
/** a and b broadcast to one shape. PyTorch: torch.sub, div, maximum, minimum. */
export const sub: BinaryOp = binary("sub");
export const div: BinaryOp = binary("div");
export const maximum: BinaryOp = binary("maximum");
export const minimum: BinaryOp = binary("minimum");
/** silu(gate)·up, the middle of a gated MLP (SwiGLU, Shazeer 2020). PyTorch: F.silu(gate) * up. */
export const siluMul: BinaryOp = binary("siluMul");
