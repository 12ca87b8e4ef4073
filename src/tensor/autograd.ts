/**
 * The tape and backward(). Nothing else.
 *
 * Every operation on a tensor that requires a gradient leaves a node on its outputs: its inputs, and how to get their
 * gradients from its outputs' gradients. The nodes reachable from a loss are the tape; they are collected with the
 * tensors that hold them. Ids count upwards as operations run, so walking them downwards meets every node after all its
 * uses.
 */
import type { Device } from "./device.ts";
import { DisposedError, DtypeError, ShapeError } from "./errors.ts";
import { accumulate, copyStrided } from "./run.ts";
import { sameShape, showShape } from "./shape.ts";
import { empty, keep, scope, type TapeNode, Tensor, tensor as fromValues } from "./tensor.ts";

let nextId = 1;

/** Puts one operation on the tape when gradients are enabled and an input requires one. */
export function record(
  name: string,
  inputs: readonly Tensor[],
  outputs: readonly Tensor[],
  backward: TapeNode["backward"],
  saved: readonly Tensor[] = [],
): void {
  if (!inputs[0]!.device.gradEnabled || !inputs.some((input) => input.requiresGrad)) return;
  putOnTape({ id: nextId++, name, inputs, outputs, saved, released: false, backward });
}

function putOnTape(node: TapeNode): void {
  for (const output of node.outputs) {
    output.requiresGrad = true;
    output.node = node;
  }
}

/** Runs `body` without recording: for evaluation, decoding and optimiser steps. PyTorch: torch.no_grad. */
export const noGrad = <R>(device: Device, body: () => R): R => recording(device, false, body);

/** Runs `body` with recording switched on or off, and then as it was. */
function recording<R>(device: Device, enabled: boolean, body: () => R): R {
  const before = device.gradEnabled;
  device.gradEnabled = enabled;
  let result: R | undefined;
  try {
    result = body();
  } finally {
    if (!(result instanceof Promise)) device.gradEnabled = before;
  }
  return result instanceof Promise ? (result.finally(() => (device.gradEnabled = before)) as R) : result;
}

export interface BackwardOptions {
  /**
   * Frees what an operation on the tape made as soon as its gradients are known: what it saved, and its outputs, except the
   * loss and what belongs to no scope (`keep`). The tape is used up then. PyTorch: retain_graph=False. Default: all of it
   * lives until its scope ends, and `backward` may be called again.
   */
  readonly release?: boolean;
}

/**
 * Adds d(loss)/d(leaf) to `grad` of every leaf that requires it. `gradient` is d(something)/d(loss), of the loss's shape;
 * it may be left out for a scalar, where it is 1. PyTorch: loss.backward(gradient).
 *
 * Gradients between the leaves are freed as soon as they are used; leaves' gradients live until they are disposed.
 */
export function backward(loss: Tensor, gradient?: Tensor, { release = false }: BackwardOptions = {}): void {
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
  const tape = tapeOf(loss);
  const used = tape.find(({ released }) => released);
  if (used)
    throw new DisposedError(
      `backward: ${loss.label} depends on ${used.name}, whose activations an earlier backward with \`release\` has freed.`,
      { op: used.name },
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
    for (const node of tape) {
      const outputGradients = node.outputs.map((output) => gradients.get(output));
      if (outputGradients.some(Boolean)) {
        // The scope frees what the gradients needed on their way: contiguous copies, spare outputs.
        const inputGradients = scope(loss.device, () => node.backward(outputGradients));
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
      if (release) releaseNode(node, loss);
    }
  });
}

/** Later nodes have run, so nothing on the tape needs these any more. */
function releaseNode(node: TapeNode, loss: Tensor): void {
  node.released = true;
  for (const tensor of node.saved) tensor.dispose();
  for (const output of node.outputs)
    if (output !== loss && output.device.scopes.some((made) => made.has(output))) output.dispose();
}

/**
 * body(inputs), keeping nothing of what happens inside: `backward` runs it again when it needs it. A forward pass more, for
 * the memory of all activations in between. Gradients are the same to the bit, but
 * on a driver that contracts what fusion brings together (elementwiseRun.ts). PyTorch: torch.utils.checkpoint.
 *
 * `body` is a function of its inputs and of leaves (parameters). What else it takes from outside must need no gradient:
 * else `backward` throws ShapeError.
 */
export function recompute(inputs: readonly Tensor[], body: (inputs: readonly Tensor[]) => Tensor): Tensor {
  const [first] = inputs;
  if (!first) throw new ShapeError("recompute: at least one input is needed; none was given.");
  const { device } = first;
  const output = noGrad(device, () => scope(device, () => alias(body(inputs))));
  const again: TapeNode["backward"] = ([dy]) =>
    recording(device, true, () => {
      const leaves = inputs.map((input) => {
        const leaf = alias(input);
        leaf.requiresGrad = input.requiresGrad;
        return leaf;
      });
      const since = nextId;
      const y = body(leaves);
      const foreign = tapeOf(y).find(({ id }) => id < since);
      if (foreign)
        throw new ShapeError(
          `recompute: its body uses what ${foreign.name} made outside of it and gradients must reach. Make it one of the inputs.`,
          { op: foreign.name },
        );
      if (y.requiresGrad) backward(y, dy, { release: true });
      return leaves.map(({ grad }) => grad);
    });
  // Parameters inside are not known here, so the output counts as trained even if no input is.
  if (device.gradEnabled)
    putOnTape({
      id: nextId++,
      name: "recompute",
      inputs,
      outputs: [output],
      saved: [],
      released: false,
      backward: again,
    });
  return output;
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
