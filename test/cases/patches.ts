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
    // Pixels on the right and at the bottom that make no whole patch, as a part of one.
    rest: fc.constantFrom(0, 0.3, 0.9),
  }),
  always: [
    { B: 2, C: 3, rows: 8, columns: 8, p: 8, rest: 0 },
    { B: 2, C: 3, rows: 4, columns: 4, p: 7, rest: 0.3 },
  ],
  inputs: ({ B, C, rows, columns, p, rest }) => ({
    images: { shape: [B, C, rows * p + Math.floor(rest * p), columns * p + Math.floor(rest * p)] },
  }),
  reference: ({ images }, { B, C, rows, columns, p }) => {
    const [H, W] = images!.shape.slice(2) as [number, number];
    const y = filled([B, rows * columns, C * p * p], (index) => {
      const [v, u, c] = [index % p, Math.floor(index / p) % p, Math.floor(index / (p * p)) % C];
      const square = Math.floor(index / (p * p * C));
      const [j, i, b] = [square % columns, Math.floor(square / columns) % rows, Math.floor(square / (columns * rows))];
      return images!.data[((b * C + c) * H + i * p + u) * W + j * p + v]!;
    });
    return { y };
  },
  run: ({ images }, { p }) => ({ y: patches(images!, p) }),
  differentiable: ["images"],
  tolerance: 0,
  flops: () => 0,
  bytes: ({ B, C, rows, columns, p }) => 8 * B * C * rows * columns * p * p,
  bench: [{ B: 16, C: 3, rows: 8, columns: 8, p: 8, rest: 0 }],
});
