/** Numbers of stored tensors, and back: the element types that weights come in. */
import { f16ToF32, f32ToF16 } from "../tensor/index.ts";
import { CheckpointError, type StoredDtype, type StoredTensor } from "./safetensors.ts";

/** The types that weights are written in. */
export type WeightDtype = "F32" | "F16" | "BF16";

/** Whether a stored type holds weights, which `storedToF32` reads. */
export const holdsWeights = (dtype: StoredDtype): boolean => ["F32", "F16", "BF16", "F64", "I8"].includes(dtype);

/** Values widened to f32: exact for all but F64, which is rounded. Throws CheckpointError for types that are no weights. */
export function storedToF32({ name, dtype, bytes }: Pick<StoredTensor, "name" | "dtype" | "bytes">): Float32Array {
  const copy = Uint8Array.from(bytes).buffer; // Tensors begin at any byte; typed arrays do not.
  if (dtype === "F32") return new Float32Array(copy);
  if (dtype === "F16") return f16ToF32(new Uint16Array(copy));
  if (dtype === "BF16") return bf16ToF32(new Uint16Array(copy));
  if (dtype === "F64") return Float32Array.from(new Float64Array(copy));
  if (dtype === "I8") return Float32Array.from(new Int8Array(copy));
  throw new CheckpointError(
    `Tensor ${name} must hold floats (F32, F16, BF16, F64) or I8; it is ${dtype}. Convert the checkpoint first.`,
    { name, dtype },
  );
}

export function f32ToStored(
  name: string,
  shape: readonly number[],
  values: Float32Array,
  dtype: WeightDtype,
): StoredTensor {
  const typed = dtype === "F32" ? values : dtype === "F16" ? f32ToF16(values) : f32ToBf16(values);
  return { name, dtype, shape, bytes: new Uint8Array(typed.buffer, typed.byteOffset, typed.byteLength) };
}

/** bf16 is the upper half of f32. */
function bf16ToF32(halves: Uint16Array): Float32Array {
  const words = new Uint32Array(halves.length);
  for (let i = 0; i < halves.length; i++) words[i] = halves[i]! << 16;
  return new Float32Array(words.buffer);
}

/** Rounds to the nearest bf16, ties to even; a NaN stays one. */
function f32ToBf16(values: Float32Array): Uint16Array {
  const words = new Uint32Array(values.buffer, values.byteOffset, values.length);
  const halves = new Uint16Array(values.length);
  for (let i = 0; i < words.length; i++) {
    const word = words[i]!;
    const isNan = (word & 0x7fffffff) > 0x7f800000;
    halves[i] = isNan ? (word >>> 16) | 0x40 : (word + 0x7fff + ((word >>> 16) & 1)) >>> 16;
  }
  return halves;
}
