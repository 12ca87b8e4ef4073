import { ShapeError } from "../errors.ts";
import { contiguous, run, spread } from "../run.ts";
import { sameShape, showShape } from "../shape.ts";
import { type Tensor } from "../tensor.ts";

export interface AdamWTensors {
  readonly parameter: Tensor;
  readonly gradient: Tensor;
  /** Running means of gradient and squared gradient; zeros before the first step. */
  readonly m: Tensor;
  readonly v: Tensor;
  /** A scalar: the gradient's factor, from `clipScale`. 0 leaves everything as it is. */
  readonly scale: Tensor;
}

export interface AdamWOptions {
  /** 1 for the first step. */
  readonly step: number;
  readonly learningRate: number;
  readonly beta1?: number;
  readonly beta2?: number;
  readonly epsilon?: number;
  readonly weightDecay?: number;
}

/**
 * adamW: one step of Adam with decoupled weight decay, in place on `parameter`, `m` and `v`.
 *
 *   ĝ = scale·g      m = β1·m + (1 − β1)·ĝ      v = β2·v + (1 − β2)·ĝ²
 *   p = (1 − η·λ)·p − η/(1 − β1ᵗ) · m / (√v/√(1 − β2ᵗ) + ε)
 *
 * The scale stays on the GPU, so a step needs no readback; where the gradients are not finite it is 0 and the step is
 * skipped. The caller finds out from the norm, which it reads for its log. No derivative.
 *
 * All tensors but the scale have one shape. Source: Loshchilov and Hutter 2019. PyTorch: torch.optim.AdamW, same defaults. */
export function adamW(
  { parameter, gradient, m, v, scale }: AdamWTensors,
  { step, learningRate, beta1 = 0.9, beta2 = 0.999, epsilon = 1e-8, weightDecay = 0.01 }: AdamWOptions,
): void {
  for (const [name, { shape }] of Object.entries({ gradient, m, v }))
    if (!sameShape(shape, parameter.shape))
      throw new ShapeError(
        `adamW: ${name} must have the parameter's shape ${showShape(parameter.shape)}; it is ${showShape(shape)}.`,
        { name, shape },
      );
  if (!Number.isInteger(step) || step < 1)
    throw new ShapeError(`adamW: steps count from 1; step is ${step}.`, { step });
  const count = Math.ceil(parameter.size / 4);
  const { workgroups, overrides, steps } = spread(parameter.device, count);
  const params = {
    count,
    steps,
    decay: 1 - learningRate * weightDecay,
    beta1,
    rest1: 1 - beta1,
    beta2,
    rest2: 1 - beta2,
    rate: learningRate / (1 - beta1 ** step),
    widen: 1 / Math.sqrt(1 - beta2 ** step),
    epsilon,
  };
  run("adamW", { g: contiguous(gradient), scale, p: parameter, m, v }, params, { workgroups, overrides });
}
