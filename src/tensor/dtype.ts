/** Element types of tensors, and the conversion of 16-bit floats, which Node 20 has no typed array for. */

export type Dtype = "f32" | "f16" | "u32" | "i32";

/** What `read()` returns. f16 tensors are widened to f32 on the way out. */
export type TensorData = Float32Array | Uint32Array | Int32Array;

export const bytesPerElement: Readonly<Record<Dtype, number>> = { f32: 4, f16: 2, u32: 4, i32: 4 };

/** A view of `bytes` as elements of `dtype`; f16 is converted into a new Float32Array. */
export function fromBytes(dtype: Dtype, bytes: ArrayBuffer, length: number): TensorData {
  switch (dtype) {
    case "f32":
      return new Float32Array(bytes, 0, length);
    case "u32":
      return new Uint32Array(bytes, 0, length);
    case "i32":
      return new Int32Array(bytes, 0, length);
    case "f16":
      return f16ToF32(new Uint16Array(bytes, 0, length));
  }
}

/** Elements as the bytes of `dtype`. Numbers outside the type's range become infinities (f16) or wrap (u32, i32). */
export function toBytes(dtype: Dtype, values: ArrayLike<number>): Uint8Array<ArrayBuffer> {
  const typed =
    dtype === "f32"
      ? Float32Array.from(values)
      : dtype === "u32"
        ? Uint32Array.from(values)
        : dtype === "i32"
          ? Int32Array.from(values)
          : f32ToF16(values);
  return new Uint8Array(typed.buffer, 0, typed.byteLength);
}

const float = new Float32Array(1);
const floatBits = new Uint32Array(float.buffer);

/** Rounds to the nearest half-precision float, ties to even (IEEE 754 binary16), and gives its bits. */
export function f32ToF16(values: ArrayLike<number>): Uint16Array<ArrayBuffer> {
  const halves = new Uint16Array(values.length);
  for (let i = 0; i < values.length; i++) {
    float[0] = values[i]!;
    const bits = floatBits[0]!;
    const sign = (bits >>> 16) & 0x8000;
    const magnitude = bits & 0x7fffffff;
    if (magnitude > 0x7f800000) halves[i] = sign | 0x7e00;
    else if (magnitude >= 0x477ff000) halves[i] = sign | 0x7c00;
    else if (magnitude < 0x38800000) {
      // Subnormal: the value counted in units of 2^-24. The product is exact, so one rounding remains.
      const units = Math.abs(float[0]) * 2 ** 24;
      const floor = Math.floor(units);
      const rest = units - floor;
      halves[i] = sign | (rest > 0.5 || (rest === 0.5 && floor % 2 === 1) ? floor + 1 : floor);
    } else {
      const rounded = magnitude + 0xfff + ((magnitude >>> 13) & 1);
      halves[i] = sign | ((rounded - 0x38000000) >>> 13);
    }
  }
  return halves;
}

/** Widens half-precision bits; exact. */
export function f16ToF32(halves: Uint16Array): Float32Array<ArrayBuffer> {
  const values = new Float32Array(halves.length);
  const words = new Uint32Array(values.buffer);
  for (let i = 0; i < halves.length; i++) {
    const half = halves[i]!;
    const magnitude = half & 0x7fff;
    const sign = (half & 0x8000) << 16;
    if (magnitude >= 0x7c00) words[i] = sign | 0x7f800000 | ((magnitude & 0x3ff) << 13);
    else {
      // The same fraction under an exponent that is 112 too small; the product is exact, for subnormals too.
      words[i] = sign | (magnitude << 13);
      values[i]! *= 2 ** 112;
    }
  }
  return values;
}
