import { record } from "../autograd.ts";
import { DtypeError, ShapeError } from "../errors.ts";
import { contiguous, run } from "../run.ts";
import { isContiguous, sameShape, type Shape, showShape, sizeOf } from "../shape.ts";
import { empty, type Tensor } from "../tensor.ts";
import { planMatmul } from "./matmulPlan.ts";
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
  const { device } = a;
  const lead = a.shape.slice(0, -2);
  const [K, N] = b.shape.slice(-2) as [number, number];
  const y = empty(device, [...lead, a.shape.at(-2)!, N], "f32", "matmul");
  const right = letterOf(b);
  // Both transposed is rare and has no kernel of its own: a is copied.
  const left = right === "T" ? "N" : letterOf(a);
  const stored = (x: Tensor, letter: "N" | "T"): Tensor => (letter === "T" ? transpose(x) : contiguous(x, "matmul"));
  // One matrix for all of the batch, and rows that lie one behind the other: a single, taller product.
  const flat = b.rank === 2 && left === "N";
  const batch = flat ? 1 : sizeOf(lead);
  const M = flat ? sizeOf(lead) * a.shape.at(-2)! : a.shape.at(-2)!;
  const layout = `${left}${right}` as "NN" | "NT" | "TN";
  const strides = { aStride: flat ? 0 : M * K, bStride: b.rank === 2 ? 0 : K * N };
  const plan = planMatmul({ layout, batch, M, N, K, subgroupSize: device.subgroupSize, ...strides });
  const { kernel, params, workgroups, overrides } = plan;
  run(
    kernel,
    { a: stored(a, left), b: stored(b, right), c: y },
    params,
    { workgroups, overrides, types: { Weight: b.dtype } },
    "matmul",
  );
  return y;
}

const flatten = (x: Tensor): Tensor => reshape(x, [sizeOf(x.shape.slice(0, -1)), x.shape.at(-1)!]);

function gradientOfA(dy: Tensor, b: Tensor, a: Tensor): Tensor {
  if (letterOf(a) === "T" && b.rank === a.rank) return transpose(product(b, transpose(contiguous(dy))));
  return product(contiguous(dy), transpose(b));
}

function gradientOfB(a: Tensor, dy: Tensor, b: Tensor): Tensor {
  const shared = b.rank === 2;
  const rows: Shape = a.shape;
  const left = shared && rows.length > 2 ? flatten(a) : a;
  const grad = shared && rows.length > 2 ? flatten(dy) : contiguous(dy);
  return letterOf(b) === "T" ? transpose(product(transpose(grad), left)) : product(transpose(left), grad);
}
