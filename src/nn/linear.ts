import { add, concat, type Tensor } from "../tensor/index.ts";
import { product, shardsOf, type Weight } from "./weight.ts";

/** y = x · weightᵀ + bias, with weight (out, in) as checkpoints store it, in any storage. PyTorch: F.linear. */
export function linear(x: Tensor, weight: Weight, bias?: Tensor): Tensor {
  const parts = shardsOf(weight).map((shard) => product(x, shard));
  const y = parts.length === 1 ? parts[0]! : concat(parts, -1);
  return bias ? add(y, bias) : y;
}
