import type { Device } from "../device.ts";
import { ShapeError } from "../errors.ts";
import { defineOp, f32 } from "../op.ts";
import { run, spreadRows } from "../run.ts";
import { keep, type Tensor, tensor } from "../tensor.ts";

/**
 * rope: rotary position embedding with the half-split pairing of LLaMA: channel j turns with channel j + D/2.
 *
 *   y[n,t,h,j]       = x[n,t,h,j]·cos α − x[n,t,h,j + D/2]·sin α      α = (start + t) · base^(−2j/D),  j < D/2
 *   y[n,t,h,j + D/2] = x[n,t,h,j + D/2]·cos α + x[n,t,h,j]·sin α
 *
 * Backward is the rotation by −α of dy. Nothing is kept: the angles are a table of the device.
 */
const op = defineOp("rope", {
  inputs: { x: f32("N*", "T", "H", "D") },
  outputs: { y: f32("N*", "T", "H", "D") },
  attrs: { base: 10000, start: 0 },
  derive: ({ D, base, start }) => {
    if (D! % 2) throw new ShapeError(`rope: channels turn in pairs, so D must be even; it is ${D}.`, { D });
    if (!(base > 1) || !Number.isInteger(start) || start < 0)
      throw new ShapeError(
        `rope: base is over 1 and start an integer of at least 0; base is ${base}, start is ${start}.`,
        { base, start },
      );
    return {};
  },
  forward: ({ x, y, base, ...call }) => rotate("rope", x, anglesOf(x, base, call), y, 1, call),
  backward: ({ x: _, y: __, dy, dx, base, ...call }) =>
    rotate("ropeBackward", dy, anglesOf(dy, base, call), dx!, -1, call),
});

type Call = Readonly<Record<"N" | "T" | "H" | "D" | "start", number>>;

const anglesOf = (x: Tensor, base: number, { D, start, T }: Call): Tensor => ropeTable(x.device, D, base, start + T);

/** Rotates x (N, T, H, D) by rows start … start + T of `angles` (positions, D), cosines and then sines, into y; back with sign −1. */
export function rotate(
  label: string,
  x: Tensor,
  angles: Tensor,
  y: Tensor,
  sign: number,
  { N, T, H, D, start }: Call,
): void {
  const width = D % 8 === 0 ? 4 : 1;
  const HALF = D / 2 / width;
  const { workgroups, overrides, rows, steps } = spreadRows(x.device, N * T, H * HALF);
  const launch = { workgroups, overrides: { ...overrides, HALF }, types: { Vector: width === 4 ? "vec4f" : "f32" } };
  run("rope", { x, angles, y }, { rows, steps, total: N * T, T, H, start, sign }, launch, label);
}

const tables = new WeakMap<Device, Map<string, Tensor>>();

/**
 * Cosines and sines (positions, D) for at least `length` positions. They are computed in f64: with angles in
 * f32, cosines up to position 16383 would be wrong by up to 7.7e-4. One table a device, D and base; it grows by doubling.
 */
export function ropeTable(device: Device, D: number, base: number, length: number): Tensor {
  const own = tables.get(device) ?? new Map<string, Tensor>();
  tables.set(device, own);
  const key = `${D}, ${base}`;
  const known = own.get(key);
  if (known && known.shape[0]! >= length) return known;
  known?.dispose();
  const positions = Math.max(256, 2 ** Math.ceil(Math.log2(length)));
  const half = D / 2;
  const angles = new Float32Array(positions * D);
  for (let j = 0; j < half; j++) {
    const frequency = base ** (-j / half);
    for (let t = 0; t < positions; t++) {
      angles[t * D + j] = Math.cos(t * frequency);
      angles[t * D + half + j] = Math.sin(t * frequency);
    }
  }
  const table = keep(tensor(device, angles, [positions, D], "f32", "rope angles"));
  own.set(key, table);
  return table;
}

/** x (…, T, H, D) to the same shape. `start` is the position of the first row. Source: Su et al. 2021; transformers: apply_rotary_pos_emb. */
export const rope = (x: Tensor, { base = 10000, start = 0 }: { base?: number; start?: number } = {}): Tensor =>
  op({ x }, { base, start }).y;
