/**
 * Products whose right operand is read through uniform bindings: which dispatches, and where their windows lie.
 *
 * A uniform binding shows a window of 64 KiB, and a dispatch has four. NT: they hold four quarters of the rows of b whose
 * columns of c it makes; the next one makes others. TN: they hold four quarters of the rows that it sums over; the next
 * one adds to its c.
 */
import { WINDOW_ALIGNMENT } from "../buffers.ts";
import type { MatmulLaunch, MatmulSizes } from "./matmulSizes.ts";

/** What is common to all bindings of `array<vec4f, 4096>`: the least that every adapter can bind. */
const WINDOW_SCALARS = 16_384;
const WINDOW_BYTES = 4 * WINDOW_SCALARS;

/** A product is cut into dispatches only when each further one has this many operations: waking all threads costs as much. */
const FLOPS_OF_DISPATCH = 8e6;
/** Rows of a TN dispatch, at least: c is read again for each further one. */
const ROWS_OF_DISPATCH = 256;

/** Bytes where the window begins that shows b from `scalar` on, and the vec4 in it before that. b has `size` scalars. */
function windowAt(scalar: number, size: number): { offset: number; shift: number } {
  const align = (bytes: number, round: (n: number) => number) => WINDOW_ALIGNMENT * round(bytes / WINDOW_ALIGNMENT);
  // The last one may reach over the end of b, not of its buffer: the pool rounds up by more than the alignment.
  const last = align(4 * size, Math.ceil) - WINDOW_BYTES;
  const offset = Math.min(align(4 * scalar, Math.floor), last);
  return { offset, shift: (4 * scalar - offset) / 16 };
}

/** Rows in a window, of so many scalars. Where rows do not begin at aligned places a part of the window goes unused. */
function rowsOfWindow(row: number): number {
  const lost = (4 * row) % WINDOW_ALIGNMENT ? WINDOW_ALIGNMENT / 4 : 0;
  return Math.floor((WINDOW_SCALARS - lost) / row);
}

/** Rows of b (N, K) in four windows, in whole tiles: a lane has one of each quarter. */
const columnsOfWindows = (K: number): number => 32 * Math.floor(rowsOfWindow(K) / 8);

/** Rows of b (K, N) in four windows. */
const rowsOfWindows = (N: number): number => 4 * rowsOfWindow(N);

/** Whether b fills a window and not too many of them. Other conditions are the kernels' own. */
export function fitsWindows(sizes: MatmulSizes): boolean {
  const { layout, batch, M, N, K, weight } = sizes;
  if (batch !== 1 || weight !== "f32" || K * N < WINDOW_SCALARS) return false;
  const most = layout === "TN" ? rowsOfWindows(N) : columnsOfWindows(K);
  if (most === 0) return false;
  const dispatches = Math.ceil((layout === "TN" ? K : N) / most);
  if (2 * M * N * K < FLOPS_OF_DISPATCH * (dispatches - 1)) return false;
  return layout !== "TN" || dispatches === 1 || most >= ROWS_OF_DISPATCH;
}

/** What a launch says of its four windows: where each begins, and the parameters that say where in it b does. */
function launchWindows(scalars: readonly number[], size: number): Required<Pick<MatmulLaunch, "params" | "offsets">> {
  const windows = scalars.map((scalar) => windowAt(scalar, size));
  return {
    params: Object.fromEntries(windows.map(({ shift }, q) => [`shift${q}`, shift])),
    offsets: Object.fromEntries(windows.map(({ offset }, q) => [`b${q}`, offset])),
  };
}

/** The dispatches of an NT product, of about equal size. */
export function planColumns({ M, N, K }: MatmulSizes): MatmulLaunch[] {
  const dispatches = Math.ceil(N / columnsOfWindows(K));
  const most = 32 * Math.ceil(N / dispatches / 32);
  return Array.from({ length: Math.ceil(N / most) }, (_, i) => {
    const column = i * most;
    const columns = Math.min(most, N - column);
    const { params, offsets } = launchWindows(
      [0, 1, 2, 3].map((q) => (column + (q * columns) / 4) * K),
      N * K,
    );
    return {
      kernel: "matmulNTWindows",
      params: { M, N: columns, K, cRow: N, cColumn: column, ...params },
      offsets,
      workgroups: [Math.ceil(M / 32), Math.ceil(columns / 32), 1],
    };
  });
}

/** The dispatches of a TN product, of about equal size. */
export function planRows({ M, N, K }: MatmulSizes): MatmulLaunch[] {
  const dispatches = Math.ceil(K / rowsOfWindows(N));
  const most = 4 * Math.ceil(K / dispatches / 4);
  return Array.from({ length: Math.ceil(K / most) }, (_, i) => {
    const start = i * most;
    const rows = Math.min(most, K - start);
    const quarter = Math.ceil(rows / 4);
    // As the kernel has it: the last quarters begin early enough to be whole.
    const { params, offsets } = launchWindows(
      [0, 1, 2, 3].map((q) => (start + Math.min(q * quarter, rows - quarter)) * N),
      K * N,
    );
    return {
      kernel: "matmulTNWindows",
      params: { M, N, K: rows, start, ...params, accumulate: Number(i > 0) },
      offsets,
      workgroups: [Math.ceil(M / 32), Math.ceil(N / 32), 1],
    };
  });
}
