/** The public surface of the engine: the only barrel. */
export { backward, noGrad, zeroGrad } from "./autograd.ts";
export type { MemoryReport } from "./buffers.ts";
export type { KernelTimes } from "./commands.ts";
export { Device, type DeviceOptions, openDevice } from "./device.ts";
export { type Dtype, f16ToF32, f32ToF16, type TensorData } from "./dtype.ts";
export * from "./errors.ts";
export { type Shape, showShape, sizeOf } from "./shape.ts";
export { empty, keep, scope, Tensor, tensor, zeros } from "./tensor.ts";
export { rmsNorm } from "./ops/rmsNorm.ts";
export { pad, slice } from "./ops/slice.ts";
export { detach, expand, permute, reshape, sumTo, transpose } from "./ops/views.ts";
