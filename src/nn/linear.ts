import { add, concat, type Tensor } from "../tensor/index.ts";
import { product, shardsOf, type Weight } from "./weight.ts";

/** y = x · weightᵀ + bias, with weight (out, in) as checkpoints store it, in any storage. PyTorch: F.linear. */
export function linear(x: Tensor, weight: Weight, bias?: Tensor): Tensor {
  const y = joined(
    shardsOf(weight).map((shard) => product(x, shard)),
    -1,
  );
  return bias ? add(y, bias) : y;
}

/** Parts of one tensor along an axis as the whole. Where nothing is recorded for backward the parts are freed. */
export function joined(parts: readonly Tensor[], axis: number): Tensor {
  if (parts.length === 1) return parts[0]!;
  const whole = concat(parts, axis);
  if (!whole.device.gradEnabled) for (const part of parts) part.dispose();
  return whole;
}
