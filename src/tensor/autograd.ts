/**
 * The tape and backward(). Nothing else.
 *
 * Every operation on a tensor that requires a gradient leaves a node on its outputs: its inputs, and how to get their
 * gradients from its outputs' gradients. The nodes reachable from a loss are the tape; they are collected with the
 * tensors that hold them. Ids count upwards as operations run, so walking them downwards meets every node after all its
 * uses.
 */
import type { Device } from "./device.ts";
import { DtypeError, ShapeError } from "./errors.ts";
import { accumulate, copyStrided } from "./run.ts";
import { sameShape, showShape } from "./shape.ts";
import { empty, keep, type TapeNode, Tensor, tensor as fromValues } from "./tensor.ts";

let nextId = 1;

/** Puts one operation on the tape when gradients are enabled and an input requires one. */
export function record(
  name: string,
  inputs: readonly Tensor[],
  outputs: readonly Tensor[],
  backward: TapeNode["backward"],
): void {
  if (!inputs[0]!.device.gradEnabled || !inputs.some((input) => input.requiresGrad)) return;
  const node: TapeNode = { id: nextId++, name, inputs, outputs, backward };
  for (const output of outputs) {
    output.requiresGrad = true;
    output.node = node;
  }
}

/** Runs `body` without recording: for evaluation, decoding and optimiser steps. PyTorch: torch.no_grad. */
export function noGrad<R>(device: Device, body: () => R): R {
  const before = device.gradEnabled;
  device.gradEnabled = false;
  let result: R | undefined;
  try {
    result = body();
  } finally {
    if (!(result instanceof Promise)) device.gradEnabled = before;
  }
  return result instanceof Promise ? (result.finally(() => (device.gradEnabled = before)) as R) : result;
}

/**
 * Adds d(loss)/d(leaf) to `grad` of every leaf that requires it. `gradient` is d(something)/d(loss), of the loss's shape;
 * it may be left out for a scalar, where it is 1. PyTorch: loss.backward(gradient).
 *
 * Gradients between the leaves are freed as soon as they are used; leaves' gradients live until they are disposed.
 */
export function backward(loss: Tensor, gradient?: Tensor): void {
  if (!loss.requiresGrad)
    throw new ShapeError(
      `backward: ${loss.label} does not depend on a tensor that requires a gradient, or was computed under noGrad.`,
    );
  if (!gradient && loss.size !== 1)
    throw new ShapeError(
      `backward: without \`gradient\` the loss must be one number; ${loss.label} is ${showShape(loss.shape)}.`,
      { shape: loss.shape },
    );
  if (gradient && !sameShape(gradient.shape, loss.shape))
    throw new ShapeError(
      `backward: gradient ${showShape(gradient.shape)} must have the loss's shape ${showShape(loss.shape)}.`,
    );

  const gradients = new Map<Tensor, Tensor>();
  /** Adds `amount` to the gradient of `to`, and owns it from here on. */
  const add = (to: Tensor, amount: Tensor): void => {
    if (to.dtype !== "f32")
      throw new DtypeError(`backward: only f32 tensors have gradients; ${to.label} is ${to.dtype}.`);
    const leaf = !to.node;
    let sum = leaf ? to.grad : gradients.get(to);
    if (sum) {
      if (sum.shared || !sum.contiguous) sum = replace(sum);
      accumulate(sum, amount);
      amount.dispose();
    } else sum = leaf && !amount.contiguous ? replace(amount) : amount;
    if (leaf) to.grad = keep(sum);
    else gradients.set(to, sum);
  };

  noGrad(loss.device, () => {
    add(loss, gradient ? alias(gradient) : fromValues(loss.device, [1], loss.shape, "f32", "gradient of the loss"));
    for (const node of tapeOf(loss)) {
      const outputGradients = node.outputs.map((output) => gradients.get(output));
      if (outputGradients.some(Boolean)) {
        const inputGradients = node.backward(outputGradients);
        node.inputs.forEach((input, i) => {
          const amount = inputGradients[i];
          // One tensor may come back for several inputs (add gives dy to both), so each gets an owner of its own.
          if (amount && input.requiresGrad) add(input, alias(amount));
        });
        for (const amount of inputGradients) amount?.dispose();
      }
      for (const output of node.outputs) {
        gradients.get(output)?.dispose();
        gradients.delete(output);
      }
    }
  });
}

/** Another owner of the same buffer. */
function alias(x: Tensor): Tensor {
  return new Tensor(x.device, x.shape, x.dtype, x.label, { of: x, strides: x.strides, offset: x.offset });
}

/** A contiguous copy that nothing else owns, in place of `x`. */
function replace(x: Tensor): Tensor {
  const copy = empty(x.device, x.shape, x.dtype, x.label);
  copyStrided(x, copy);
  x.dispose();
  return copy;
}

/** Nodes that lead to `loss`, latest first. */
function tapeOf(loss: Tensor): TapeNode[] {
  const seen = new Set<TapeNode>();
  const stack = loss.node ? [loss.node] : [];
  for (let node = stack.pop(); node; node = stack.pop()) {
    if (seen.has(node)) continue;
    seen.add(node);
    for (const { node: before } of node.inputs) if (before) stack.push(before);
  }
  return [...seen].sort((a, b) => b.id - a.id);
}

/** Frees the gradients of these leaves. PyTorch: optimizer.zero_grad(set_to_none=True). */
export function zeroGrad(leaves: Iterable<Tensor>): void {
  for (const leaf of leaves) {
    leaf.grad?.dispose();
    leaf.grad = undefined;
  }
}
