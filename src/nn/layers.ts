import { recompute, type Tensor } from "../tensor/index.ts";

/**
 * x through layers 0 to n − 1. With `again` no layer keeps its activations: each is run again when backward reaches it, and
 * only what lies between the layers is kept.
 */
export function layers(n: number, x: Tensor, layer: (x: Tensor, i: number) => Tensor, again = false): Tensor {
  for (let i = 0; i < n; i++) x = again ? recompute([x], ([input]) => layer(input!, i)) : layer(x, i);
  return x;
}
