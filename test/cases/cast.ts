import fc from "fast-check";
import { cast } from "../../src/tensor/index.ts";
import { f16ToF32, f32ToF16 } from "../../src/tensor/dtype.ts";
import { defineCase, filled, sizes } from "../support/opCase.ts";

export default defineCase({
  name: "cast",
  lacks: ({ gpu }) => (gpu.features.has("shader-f16") ? undefined : "shader-f16"),
  params: fc.record({ N: sizes(), C: sizes() }),
  always: [
    { N: 1, C: 1 },
    { N: 3, C: 129 },
  ],
  inputs: ({ N, C }) => ({ x: { shape: [N, C] } }),
  reference: ({ x }) => {
    const rounded = f16ToF32(f32ToF16(x!.data));
    const y = filled(x!.shape, (i) => rounded[i]!);
    return { half: y, again: y };
  },
  run: ({ x }) => {
    const half = cast(x!, "f16");
    return { half, again: cast(half, "f32") };
  },
  tolerance: 0,
  edges: [
    {
      params: { N: 1, C: 9 },
      values: { x: [65504, -65504, 1 / 3, 2049, 2051, 0.00006103515625, 1.0009765625, 1.00048828125, 0] },
    },
  ],
  flops: () => 0,
  bytes: ({ N, C }) => 6 * N * C,
  bench: [{ N: 4096, C: 1024 }],
});

export const mutants = [
  { kernel: "cast", find: "vec4<To>(x[i])", replace: "vec4<To>(x[i] * 1.0009765)", why: "rounded away" },
  { kernel: "cast", find: "min(params.count,", replace: "min(params.count - 1u,", why: "the last vector is missing" },
];
