import { DtypeError } from "../errors.ts";
import { contiguous, run, spread } from "../run.ts";
import { empty, type Tensor } from "../tensor.ts";

/**
 * cast: the same values as f32 or f16. Narrowing rounds to the nearest, ties to even; over 65504 it gives infinity.
 *
 * f16 tensors carry no gradient: they are storage of weights and images for inference, so nothing is put on the tape when
 * the result is f16. A cast to the type that x has is x itself.
 *
 * Any shape to the same shape. Throws DtypeError where the adapter has no `shader-f16`. PyTorch: x.to(dtype).
 */
export function cast(x: Tensor, dtype: "f32" | "f16"): Tensor {
  const { device } = x;
  if (x.dtype !== "f32" && x.dtype !== "f16")
    throw new DtypeError(`cast: x must be f32 or f16; it is ${x.dtype}.`, { dtype: x.dtype });
  if (x.dtype === dtype) return x;
  if (!device.gpu.features.has("shader-f16"))
    throw new DtypeError(
      `cast: ${x.dtype} to ${dtype} needs the feature shader-f16, which this adapter (${device.info.description}) does not have. Stay with f32.`,
      { from: x.dtype, to: dtype },
    );
  const y = empty(device, x.shape, dtype, "cast");
  const count = Math.ceil(x.size / 4);
  const { workgroups, overrides, steps } = spread(device, count);
  run(
    "cast",
    { x: contiguous(x), y },
    { count, steps },
    { workgroups, overrides, types: { From: x.dtype, To: dtype } },
  );
  return y;
}
