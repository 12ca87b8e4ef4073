/** The gradient as an output of a case, for where it must be exact or differences of the reference do not exist (ties). */
import { backward, detach, type Tensor } from "../../src/tensor/index.ts";

/** d(Σ y·dy)/dx for y = f(x), as a tensor of the surrounding scope. */
export function gradientOf(f: (x: Tensor) => Tensor, x: Tensor, dy?: Tensor): Tensor {
  const leaf = detach(x);
  leaf.requiresGrad = true;
  backward(f(leaf), dy);
  const gradient = detach(leaf.grad!);
  leaf.grad!.dispose();
  leaf.grad = undefined;
  return gradient;
}
