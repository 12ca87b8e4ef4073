import fc from "fast-check";
import { rope } from "../../src/tensor/index.ts";
import { ropeTable } from "../../src/tensor/ops/rope.ts";
import { defineCase, filled, sizes } from "../support/opCase.ts";

export default defineCase({
  name: "rope",
  params: fc.record({
    B: fc.integer({ min: 1, max: 3 }),
    T: sizes(70),
    H: fc.integer({ min: 1, max: 5 }),
    half: fc.constantFrom(1, 2, 3, 4, 8, 12, 16),
    base: fc.constantFrom(10000, 500000),
    start: fc.constantFrom(0, 1, 300),
  }),
  always: [
    { B: 2, T: 168, H: 4, half: 16, base: 500000, start: 0 },
    { B: 1, T: 3, H: 2, half: 32, base: 500000, start: 16384 - 3 },
  ],
  constants: (device, { T, half, base, start }) => void ropeTable(device, 2 * half, base, start + T),
  inputs: ({ B, T, H, half }) => ({ x: { shape: [B, T, H, 2 * half] } }),
  reference: ({ x }, { T, H, half, base, start }) => {
    const y = filled(x!.shape, (i) => {
      const d = i % (2 * half);
      const t = Math.floor(i / (2 * half * H)) % T;
      const angle = (start + t) * base ** ((-2 * (d % half)) / (2 * half));
      const other = d < half ? -x!.data[i + half]! : x!.data[i - half]!;
      return x!.data[i]! * Math.cos(angle) + other * Math.sin(angle);
    });
    return { y };
  },
  run: ({ x }, { base, start }) => ({ y: rope(x!, { base, start }) }),
  differentiable: ["x"],
  tolerance: 1e-6,
  flops: ({ B, T, H, half }) => 6 * B * T * H * half,
  bytes: ({ B, T, H, half }) => 16 * B * T * H * half,
  bench: [
    { B: 16, T: 168, H: 4, half: 16, base: 500000, start: 0 },
    { B: 4, T: 512, H: 8, half: 32, base: 500000, start: 0 },
  ],
});

export const mutants = [
  { kernel: "rope", find: "pair / HALF", replace: "pair % HALF", why: "heads exchanged with pairs" },
  { kernel: "rope", find: "row % params.T", replace: "row", why: "positions run on through the batch" },
  { kernel: "rope", find: "params.start + ", replace: "", why: "start is ignored" },
  { kernel: "rope", find: " * params.sign", replace: "", why: "backward turns forward" },
  { kernel: "rope", find: "b * cosine + a * sine", replace: "b * cosine - a * sine", why: "not a rotation" },
];
