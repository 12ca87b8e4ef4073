/** From a batch to its loss: the weighted cross-entropy of every position of the answers. */
import { encodeImage, type Rediff } from "../model/rediff.ts";
import { canvasLogits } from "../model/sequence.ts";
import { crossEntropy, matmul, noGrad, reshape, sum, type Tensor, tensor } from "../tensor/index.ts";
import type { Batch } from "./batch.ts";
import { tokenCategories } from "./corruption.ts";

/** Uploads a batch and records its forward pass: losses (B, T) on the tape, weighted, not summed. `prompt` has a place for the image. */
export function answerLosses(model: Rediff, batch: Omit<Batch, "category">, prompt: readonly number[]): Tensor {
  const { device, config } = model;
  const { B, T } = batch;
  const S = config.vision.imageSize;
  const ids = (values: ArrayLike<number>, length: number, label: string) =>
    tensor(device, values, [B, length], "u32", label);
  const pixels = tensor(device, batch.pixels, [B, 3, S, S], "f32", "pixels");
  const prompts = Array.from({ length: B }, () => prompt);
  const logits = canvasLogits(model, [encodeImage(model, pixels)], prompts, ids(batch.canvas, T, "canvas"));
  const weights = tensor(device, batch.weights, [B, T], "f32", "weights");
  return crossEntropy(logits, ids(batch.answer, T, "answer"), weights);
}

/** The loss of a batch as one number on the tape. */
export const answerLoss = (model: Rediff, batch: Omit<Batch, "category">, prompt: readonly number[]): Tensor =>
  sum(answerLosses(model, batch, prompt));

/** The loss of a batch and its terms by category, as a stage of refining reports them. */
export function judgeAnswers(model: Rediff, batch: Batch, prompt: readonly number[]): { loss: Tensor; terms: Tensor } {
  const losses = answerLosses(model, batch, prompt);
  return { loss: sum(losses), terms: noGrad(model.device, () => lossTerms(losses, batch)) };
}

/** The terms of the loss by category, (tokenCategories), from the losses (B, T) of a batch. */
export function lossTerms(losses: Tensor, { category, B, T }: Pick<Batch, "category" | "B" | "T">): Tensor {
  const C = tokenCategories.length;
  const isOf = new Float32Array(B * T * C);
  category.forEach((id, i) => {
    if (id < C) isOf[i * C + id] = 1;
  });
  const indicator = tensor(losses.device, isOf, [B * T, C], "f32", "category");
  return reshape(matmul(reshape(losses, [1, B * T]), indicator), [C]);
}
