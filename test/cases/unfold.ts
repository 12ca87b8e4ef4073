import fc from "fast-check";
import { unfold } from "../../src/tensor/index.ts";
import { defineCase, filled } from "../support/opCase.ts";

/** Windows along an axis. */
const along = (size: number, { window, stride, padding }: { window: number; stride: number; padding: number }) =>
  Math.floor((size + 2 * padding - window) / stride) + 1;

export default defineCase({
  name: "unfold",
  params: fc
    .record({
      B: fc.integer({ min: 1, max: 3 }),
      H: fc.integer({ min: 1, max: 19 }),
      W: fc.integer({ min: 1, max: 19 }),
      C: fc.constantFrom(1, 2, 3, 4, 5, 8, 12, 36),
      window: fc.integer({ min: 1, max: 5 }),
      stride: fc.integer({ min: 1, max: 4 }),
      padding: fc.integer({ min: 0, max: 3 }),
    })
    .filter((p) => along(p.H, p) > 0 && along(p.W, p) > 0),
  always: [
    { B: 2, H: 9, W: 6, C: 3, window: 3, stride: 2, padding: 1 },
    { B: 2, H: 6, W: 9, C: 8, window: 3, stride: 2, padding: 1 },
    // Rows and columns at the end that no window reaches, gaps between windows, windows of padding alone.
    { B: 1, H: 8, W: 10, C: 4, window: 2, stride: 3, padding: 0 },
    { B: 2, H: 3, W: 2, C: 4, window: 2, stride: 1, padding: 3 },
  ],
  inputs: ({ B, H, W, C }) => ({ x: { shape: [B, H, W, C] } }),
  reference: ({ x }, params) => {
    const { B, H, W, C, window, stride, padding } = params;
    const [rows, columns] = [along(H, params), along(W, params)];
    const y = filled([B, rows, columns, window * window * C], (index) => {
      const [c, v, u] = [index % C, Math.floor(index / C) % window, Math.floor(index / (C * window)) % window];
      const at = Math.floor(index / (C * window * window));
      const [j, i, b] = [at % columns, Math.floor(at / columns) % rows, Math.floor(at / (columns * rows))];
      const [h, w] = [i * stride + u - padding, j * stride + v - padding];
      return h < 0 || w < 0 || h >= H || w >= W ? 0 : x!.data[((b * H + h) * W + w) * C + c]!;
    });
    return { y };
  },
  run: ({ x }, { window, stride, padding }) => ({ y: unfold(x!, { window, stride, padding }) }),
  differentiable: ["x"],
  tolerance: 0,
  flops: () => 0,
  bytes: (params) => {
    const { B, H, W, C, window } = params;
    return 4 * B * C * (H * W + along(H, params) * along(W, params) * window * window);
  },
  bench: [
    { B: 32, H: 72, W: 72, C: 3, window: 3, stride: 2, padding: 1 },
    { B: 32, H: 36, W: 36, C: 32, window: 3, stride: 2, padding: 1 },
    { B: 32, H: 18, W: 18, C: 64, window: 3, stride: 3, padding: 0 },
  ],
});

export const mutants = [
  { kernel: "unfold", find: "i * S + u - P", replace: "i * S + u", why: "rows are not padded" },
  { kernel: "unfold", find: "&& w < params.W", replace: "", why: "the right edge runs into the next row" },
  { kernel: "unfold", find: "h < params.H &&", replace: "", why: "the bottom edge runs into the next picture" },
  { kernel: "unfold", find: "e / C % K", replace: "e / C", why: "columns of a window run on" },
  { kernel: "unfoldBackward", find: "u += S", replace: "u += 1u", why: "rows between the strides count too" },
  {
    kernel: "unfoldBackward",
    find: "if (j < params.columns)",
    replace: "if (true)",
    why: "windows beyond the last column",
  },
  { kernel: "unfoldBackward", find: "if (i < params.rows)", replace: "if (true)", why: "windows beyond the last row" },
  {
    kernel: "unfoldBackward",
    find: "u = h % S",
    replace: "u = 0u",
    why: "the stride is met from the edge, not from h",
  },
  { kernel: "unfoldBackward", find: "u * K + v", replace: "v * K + u", why: "windows are turned over" },
];
