/** The public surface of the engine: the only barrel. */
export { backward, type BackwardOptions, noGrad, recompute, zeroGrad } from "./autograd.ts";
export type { MemoryReport } from "./buffers.ts";
export type { KernelTimes } from "./commands.ts";
export { Device, type DeviceOptions, type MatmulPrecision, openDevice, SUBGROUP_MATRIX } from "./device.ts";
export { type Dtype, f16ToF32, f32ToF16, type TensorData } from "./dtype.ts";
export * from "./errors.ts";
export { sameShape, type Shape, showShape, sizeOf } from "./shape.ts";
export { empty, keep, readAll, scope, Tensor, tensor, zeros } from "./tensor.ts";
export { confidence, type ConfidenceOptions } from "./ops/confidence.ts";
export { crossEntropy } from "./ops/crossEntropy.ts";
export { embedding, embeddingShards } from "./ops/embedding.ts";
export { gather, scatterRows } from "./ops/gather.ts";
export { layerNorm } from "./ops/layerNorm.ts";
export { max, mean, sum } from "./ops/reduce.ts";
export { rmsNorm } from "./ops/rmsNorm.ts";
export { select, type SelectInputs, type SelectOptions } from "./ops/select.ts";
export { softmax } from "./ops/softmax.ts";
export { unfold, type UnfoldOptions } from "./ops/unfold.ts";
export { pad, slice } from "./ops/slice.ts";
export { detach, expand, permute, reshape, sumTo, transpose } from "./ops/views.ts";
export { randomStream, type RandomStream } from "./philox.ts";
export {
  abs,
  add,
  cos,
  div,
  exp,
  gelu,
  geluErf,
  log,
  maximum,
  minimum,
  mul,
  neg,
  relu,
  rsqrt,
  sigmoid,
  silu,
  siluMul,
  sin,
  sqrt,
  square,
  sub,
  tanh,
} from "./elementwise.ts";
export { rope } from "./ops/rope.ts";
export { adamW, type AdamWOptions, type AdamWTensors } from "./ops/adamW.ts";
export { clipScale, gradNorm } from "./ops/gradNorm.ts";
export { concat } from "./ops/concat.ts";
export { patches } from "./ops/composite/patches.ts";
export { matmul } from "./ops/matmul.ts";
export { matmulQuantised } from "./ops/matmulQuantised.ts";
export { dequantise, quantise, quantised, type Quantised } from "./ops/quantise.ts";
export { int4, int8, quantisedBytes, type QuantisedFormat } from "./quantisation.ts";
export { attentionComposed } from "./ops/composite/attentionComposed.ts";
export { attention, type AttentionOptions, type AttentionPrefix } from "./ops/attention.ts";
export { cast } from "./ops/cast.ts";
export { normal, randomBits, uniform } from "./random.ts";
export { isTuned } from "./tuningCache.ts";
