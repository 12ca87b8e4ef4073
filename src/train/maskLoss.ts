/** The loss of mask prediction, eq. 2, from a batch to one number on the tape. */
import { canvasLogits, encodeImage, type Rediff } from "../model/rediff.ts";
import { crossEntropy, sum, type Tensor, tensor } from "../tensor/index.ts";
import type { Batch } from "./batch.ts";

/** Uploads a batch and records its forward pass. The result is one number on the tape, eq. 2. */
export function maskLoss(
  model: Rediff,
  batch: Batch,
  prompt: { before: readonly number[]; after: readonly number[] },
): Tensor {
  const { device, config } = model;
  const { B, T } = batch;
  const S = config.vision.imageSize;
  const ids = (values: ArrayLike<number>, length: number, label: string) =>
    tensor(device, values, [B, length], "u32", label);
  const repeat = (row: readonly number[]) => Array.from({ length: B }, () => row).flat();
  const pixels = tensor(device, batch.pixels, [B, 3, S, S], "f32", "pixels");
  const logits = canvasLogits(model, encodeImage(model, pixels), {
    before: ids(repeat(prompt.before), prompt.before.length, "prompt"),
    after: ids(repeat(prompt.after), prompt.after.length, "prompt"),
    canvas: ids(batch.canvas, T, "canvas"),
  });
  const losses = crossEntropy(
    logits,
    ids(batch.answer, T, "answer"),
    tensor(device, batch.weights, [B, T], "f32", "weights"),
  );
  return sum(losses);
}
