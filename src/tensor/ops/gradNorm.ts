import { ShapeError } from "../errors.ts";
import { contiguous, lanesOf, run, spread } from "../run.ts";
import { empty, scope, type Tensor } from "../tensor.ts";

/**
 * gradNorm: the length of all gradients as one vector.
 *
 *   norm = (Σ_k Σ_i g_k[i]²)^(1/2)
 *
 * Each lane writes one partial sum, all tensors' in one array, and one workgroup adds those: the order of summation is
 * fixed, so the same gradients give the same bits. No derivative.
 *
 * Tensors of any shapes to a scalar. PyTorch: torch.nn.utils.get_total_norm.
 */
export function gradNorm(gradients: readonly Tensor[]): Tensor {
  const [first] = gradients;
  if (!first) throw new ShapeError("gradNorm: at least one gradient is needed; none was given.");
  const { device } = first;
  const norm = empty(device, [], "f32", "gradNorm");
  scope(device, () => {
    let count = 0;
    const places = gradients.map((gradient) => {
      const { workgroups, overrides, steps } = spread(device, Math.ceil(gradient.size / 4));
      const offset = count;
      count += workgroups[0] * workgroups[1] * overrides.LANES;
      return { workgroups, overrides, params: { size: gradient.size, steps, offset } };
    });
    const part = empty(device, [count], "f32", "gradNorm.squares");
    places.forEach(({ workgroups, overrides, params }, k) => {
      run("squares", { x: contiguous(gradients[k]!), part }, params, { workgroups, overrides }, "gradNorm squares");
    });
    run("gradNorm", { part, norm }, { count }, { workgroups: 1, overrides: { LANES: lanesOf(device) } });
  });
  return norm;
}

/**
 * The factor that brings gradients of this norm to `maxNorm` at most, as a scalar on the GPU: min(1, maxNorm/norm). It is 0
 * when the norm is not finite, and `adamW` then changes nothing. PyTorch: torch.nn.utils.clip_grad_norm_.
 */
export function clipScale(norm: Tensor, maxNorm: number): Tensor {
  if (!(maxNorm > 0 && maxNorm < 1e38))
    throw new ShapeError(`clipScale: maxNorm is a positive number below 1e38; it is ${maxNorm}.`, { maxNorm });
  const scale = empty(norm.device, [], "f32", "clipScale");
  run("clipScale", { norm, scale }, { maxNorm }, { workgroups: 1 });
  return scale;
}
