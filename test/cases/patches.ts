import fc from "fast-check";
import { patches } from "../../src/tensor/index.ts";
import { defineCase, filled } from "../support/opCase.ts";

export default defineCase({
  name: "patches",
  params: fc.record({
    B: fc.integer({ min: 1, max: 3 }),
    C: fc.integer({ min: 1, max: 4 }),
    rows: fc.integer({ min: 1, max: 4 }),
    columns: fc.integer({ min: 1, max: 5 }),
    p: fc.constantFrom(1, 2, 3, 4, 8),
  }),
  always: [{ B: 2, C: 3, rows: 8, columns: 8, p: 8 }],
  inputs: ({ B, C, rows, columns, p }) => ({ images: { shape: [B, C, rows * p, columns * p] } }),
  reference: ({ images }, { B, C, rows, columns, p }) => {
    const y = filled([B, rows * columns, C * p * p], (index) => {
      const [v, u, c] = [index % p, Math.floor(index / p) % p, Math.floor(index / (p * p)) % C];
      const square = Math.floor(index / (p * p * C));
      const [j, i, b] = [square % columns, Math.floor(square / columns) % rows, Math.floor(square / (columns * rows))];
      return images!.data[((b * C + c) * rows * p + i * p + u) * columns * p + j * p + v]!;
    });
    return { y };
  },
  run: ({ images }, { p }) => ({ y: patches(images!, p) }),
  differentiable: ["images"],
  tolerance: 0,
  flops: () => 0,
  bytes: ({ B, C, rows, columns, p }) => 8 * B * C * rows * columns * p * p,
  bench: [{ B: 16, C: 3, rows: 8, columns: 8, p: 8 }],
});
