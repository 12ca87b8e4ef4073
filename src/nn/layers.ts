import { recompute, scope, type Tensor } from "../tensor/index.ts";

export interface LayersOptions {
  /** No layer keeps its activations: each is run again when backward reaches it. Default: no. */
  readonly again?: boolean;
  /** What layer i made besides its output and is needed after it, as `scope` returns it. */
  readonly outlives?: (i: number) => unknown;
}

/** x through layers 0 to n − 1. Where nothing is recorded for backward, a layer's activations are freed when it ends. */
export function layers(
  n: number,
  x: Tensor,
  layer: (x: Tensor, i: number) => Tensor,
  { again = false, outlives = () => undefined }: LayersOptions = {},
): Tensor {
  for (let i = 0; i < n; i++) {
    const before = x;
    if (x.device.gradEnabled) x = again ? recompute([x], ([input]) => layer(input!, i)) : layer(x, i);
    else {
      [x] = scope(x.device, () => [layer(before, i), outlives(i)] as const);
      if (i > 0) before.dispose();
    }
  }
  return x;
}
