import { add, matmul, type Tensor, transpose } from "../tensor/index.ts";

/** y = x · weightᵀ + bias, with weight (out, in) as checkpoints store it. PyTorch: F.linear. */
export function linear(x: Tensor, weight: Tensor, bias?: Tensor): Tensor {
  const y = matmul(x, transpose(weight));
  return bias ? add(y, bias) : y;
}
