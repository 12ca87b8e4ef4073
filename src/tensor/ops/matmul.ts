import { noGrad, record } from "../autograd.ts";
import { DtypeError, ShapeError } from "../errors.ts";
import { contiguous, copyStrided, run } from "../run.ts";
import { isContiguous, sameShape, type Shape, showShape, sizeOf } from "../shape.ts";
import { empty, scope, type Tensor } from "../tensor.ts";
import { tuningOf } from "../tuning.ts";
import { type MatmulLayout, type MatmulSizes, planMatmul } from "./matmulPlan.ts";
import { pad, slice } from "./slice.ts";
import { reshape, transpose } from "./views.ts";

/**
 * matmul: batched matrix product, either side stored transposed.
 *
 *   y[b,m,n] = Σ_k a[b,m,k] · b[b,k,n]
 *
 * Backward:
 *   da[b,m,k] = Σ_n dy[b,m,n] · b[b,k,n]      db[b,k,n] = Σ_m a[b,m,k] · dy[b,m,n]
 *
 * A transposed view is not copied: the kernel reads it as it is stored, and its gradient is made in the stored order, so
 * that the gradient of a weight (out, in) used as weightᵀ comes out contiguous.
 */

/** a (…, M, K) and b (…, K, N) to (…, M, N). Leading axes are equal, or b has none. PyTorch: torch.matmul. */
export function matmul(a: Tensor, b: Tensor): Tensor {
  check(a, b);
  const y = product(a, b);
  record("matmul", [a, b], [y], ([dy]) => {
    if (!dy) return [];
    return [a.requiresGrad ? gradientOfA(dy, b, a) : undefined, b.requiresGrad ? gradientOfB(a, dy, b) : undefined];
  });
  return y;
}

function check(a: Tensor, b: Tensor): void {
  const facts = { a: a.shape, b: b.shape };
  if (a.rank < 2 || b.rank < 2)
    throw new ShapeError(
      `matmul: both sides have at least two axes. a is ${showShape(a.shape)}, b is ${showShape(b.shape)}.`,
      facts,
    );
  const K = a.shape.at(-1)!;
  if (K !== b.shape.at(-2)) {
    const hint = K === b.shape.at(-1) ? " Did you mean matmul(a, transpose(b))?" : "";
    throw new ShapeError(
      `matmul: inner sizes differ. a is ${showShape(a.shape)}, b is ${showShape(b.shape)}: a's last axis K = ${K} but b's second last is ${b.shape.at(-2)}.${hint}`,
      facts,
    );
  }
  if (b.rank > 2 && !sameShape(a.shape.slice(0, -2), b.shape.slice(0, -2)))
    throw new ShapeError(
      `matmul: leading axes must be equal, or b must have none. a is ${showShape(a.shape)}, b is ${showShape(b.shape)}. Use expand().`,
      facts,
    );
  if (a.dtype !== "f32" || (b.dtype !== "f32" && b.dtype !== "f16"))
    throw new DtypeError(`matmul: a must be f32 and b f32 or f16; they are ${a.dtype} and ${b.dtype}. Use cast().`, {
      a: a.dtype,
      b: b.dtype,
    });
}

/** How a matrix lies in memory: as it is named (N), or with its last two axes exchanged (T). Other views are copied. */
function letterOf(x: Tensor): "N" | "T" {
  const swap = <E>(items: readonly E[]): E[] => [...items.slice(0, -2), items.at(-1)!, items.at(-2)!];
  return !x.contiguous && x.offset === 0 && isContiguous(swap(x.shape), swap(x.strides)) ? "T" : "N";
}

/** The product without a place on the tape. */
function product(a: Tensor, b: Tensor): Tensor {
  const lead = a.shape.slice(0, -2);
  const [K, N] = b.shape.slice(-2) as [number, number];
  const right = letterOf(b);
  // Both transposed is rare and has no kernel of its own: a is copied.
  const left = right === "T" ? "N" : letterOf(a);
  const stored = (x: Tensor, letter: "N" | "T"): Tensor => (letter === "T" ? transpose(x) : contiguous(x, "matmul"));
  // One matrix for all of the batch, and rows that lie one behind the other: a single, taller product.
  const flat = b.rank === 2 && left === "N";
  const M = a.shape.at(-2)!;
  const sizes: MatmulSizes = {
    layout: `${left}${right}` as MatmulLayout,
    batch: flat ? 1 : sizeOf(lead),
    M: flat ? sizeOf(lead) * M : M,
    N,
    K,
    aStride: flat ? 0 : M * K,
    bStride: b.rank === 2 ? 0 : K * N,
    weight: b.dtype,
    precision: a.device.matrix.f16 ? a.device.matmulPrecision : "f32",
  };
  const y = empty(a.device, [...lead, M, N], "f32", "matmul");
  a.device.productFlops += 2 * sizeOf(y.shape) * K;
  multiply(stored(a, left), stored(b, right), y, sizes);
  return y;
}

/** Writes the product of two operands, as they are stored, to c. */
function multiply(a: Tensor, b: Tensor, c: Tensor, sizes: MatmulSizes): void {
  const { device } = a;
  const plan = planMatmul(sizes, tuningOf(device));
  if (plan === "padded") return noGrad(device, () => scope(device, () => multiplyPadded(a, b, c, sizes)));
  if (plan === "turned")
    return noGrad(device, () =>
      scope(device, () => multiply(a, contiguous(transpose(b), "matmul"), c, { ...sizes, layout: "NT" })),
    );
  for (const { kernel, params, ...launch } of plan) {
    const windows = Object.keys(launch.offsets ?? { b: 0 }).map((binding) => [binding, b]);
    run(kernel, { a, ...Object.fromEntries(windows), c }, params, launch, "matmul");
  }
}

/** Ragged rows are copied into rows of whole vectors, with zeros behind, and what that adds to c is cut off. */
function multiplyPadded(a: Tensor, b: Tensor, c: Tensor, sizes: MatmulSizes): void {
  const { layout, batch, M, N, K, aStride, bStride } = sizes;
  const inFours = (n: number): number => 4 * Math.ceil(n / 4);
  // Only stored rows must be whole: K of a TN product is none, and M of the others.
  const turned = layout === "TN";
  const to = { M: turned ? inFours(M) : M, N: inFours(N), K: turned ? K : inFours(K) };
  const grow = (x: Tensor, stride: number, rows: "M" | "N" | "K", columns: "N" | "M" | "K"): Tensor => {
    const stored = reshape(x, [stride ? batch : 1, sizes[rows], sizes[columns]]);
    const wide = to[columns] > sizes[columns] ? pad(stored, 2, 0, to[columns] - sizes[columns]) : stored;
    return to[rows] > sizes[rows] ? pad(wide, 1, 0, to[rows] - sizes[rows]) : wide;
  };
  const padded = empty(a.device, [batch, to.M, to.N], "f32", "matmul");
  multiply(
    turned ? grow(a, aStride, "K", "M") : grow(a, aStride, "M", "K"),
    layout === "NT" ? grow(b, bStride, "N", "K") : grow(b, bStride, "K", "N"),
    padded,
    { ...sizes, ...to, aStride: aStride && to.M * to.K, bStride: bStride && to.K * to.N },
  );
  copyStrided(slice(slice(padded, 1, 0, M), 2, 0, N), c);
}

const flatten = (x: Tensor): Tensor => reshape(x, [sizeOf(x.shape.slice(0, -1)), x.shape.at(-1)!]);

function gradientOfA(dy: Tensor, b: Tensor, a: Tensor): Tensor {
  // The left operand is f32, so a half-precision b stays on the right.
  if (letterOf(a) === "T" && b.rank === a.rank && b.dtype === "f32")
    return transpose(product(b, transpose(contiguous(dy))));
  return product(contiguous(dy), transpose(b));
}

function gradientOfB(a: Tensor, dy: Tensor, b: Tensor): Tensor {
  const shared = b.rank === 2;
  const rows: Shape = a.shape;
  const left = shared && rows.length > 2 ? flatten(a) : a;
  const grad = shared && rows.length > 2 ? flatten(dy) : contiguous(dy);
  return letterOf(b) === "T" ? transpose(product(transpose(grad), left)) : product(transpose(left), grad);
}
