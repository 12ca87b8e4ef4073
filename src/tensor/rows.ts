/**
 * Kernels that work along the rows n of (N, C).
 *
 * A row belongs to the lanes of one workgroup. Where all subgroups have one size, that is one subgroup, and its lanes
 * exchange values in registers; else 64 lanes exchange them through workgroup memory. Rows whose length divides by four
 * are read as vec4f.
 *
 * So a row kernel declares `alias Element = f32;` (and `alias Index = u32;`, which becomes vec4u), a parameter `columns`,
 * the Elements of a row, and those of the one-line functions below that it needs, as they are for f32 and memory.
 */
import type { Device } from "./device.ts";
import type { Dtype } from "./dtype.ts";
import { run } from "./run.ts";
import type { Tensor } from "./tensor.ts";

/** What the functions become when Element is vec4f. */
const wide = {
  total: "dot(v, vec4f(1.0))",
  largest: "max(max(v.x, v.y), max(v.z, v.w))",
  component: "v[i]",
  oneHot: "select(vec4f(0.0), vec4f(1.0), 4u * column + vec4u(0u, 1u, 2u, 3u) == vec4u(id))",
  columnOf: "4.0 * vec4f(at) + vec4f(0.0, 1.0, 2.0, 3.0)",
  draw: "philox(n, column)",
  ban: "(vec4u(banned[column / 8u]) >> (vec4u(column % 8u * 4u) + vec4u(0u, 1u, 2u, 3u))) & vec4u(1u)",
};

/** What they become when a row belongs to one subgroup. */
const exchanged = { laneSum: "subgroupAdd(value)", laneMax: "subgroupMax(value)" };

interface RowOptions {
  /** Types that the kernel reads and widens, by alias. */
  readonly stored?: Readonly<Record<string, Dtype>>;
  readonly overrides?: Readonly<Record<string, number | boolean>>;
}

/** Runs a row kernel over N rows of C elements. `columns` and the variant follow from C and the device. */
export function runRows(
  name: string,
  tensors: Readonly<Record<string, Tensor>>,
  params: Readonly<Record<string, number>> & { N: number; C: number },
  { stored = {}, overrides = {} }: RowOptions = {},
): void {
  runItems(name, tensors, params.N, params.C, params, params.C % 4 === 0, { stored, overrides });
}

/** Runs a row kernel over N rows cut into `slices` of `length` columns; the last one may be shorter. */
export function runRowSlices(
  name: string,
  tensors: Readonly<Record<string, Tensor>>,
  params: Readonly<Record<string, number>> & { N: number; C: number; slices: number; length: number },
): void {
  const { N, C, slices, length } = params;
  const isWide = C % 4 === 0 && length % 4 === 0;
  runItems(
    name,
    tensors,
    N * slices,
    C,
    { ...params, count: N * slices, length: isWide ? length / 4 : length },
    isWide,
    {},
  );
}

function runItems(
  name: string,
  tensors: Readonly<Record<string, Tensor>>,
  items: number,
  C: number,
  params: Readonly<Record<string, number>>,
  isWide: boolean,
  { stored = {}, overrides = {} }: RowOptions,
): void {
  const { device } = Object.values(tensors)[0]!;
  const { text } = device.kernels.source(name);
  const functions = Object.entries({ ...(isWide && wide), ...(device.subgroupSize && exchanged) }).filter(([fn]) =>
    text.includes(`fn ${fn}(`),
  );
  const types: Record<string, string> = {};
  if (isWide && text.includes("alias Element")) types["Element"] = "vec4f";
  if (isWide && text.includes("alias Index")) types["Index"] = "vec4u";
  for (const [alias, dtype] of Object.entries(stored)) types[alias] = isWide ? `vec4<${dtype}>` : dtype;
  run(
    name,
    tensors,
    { ...params, columns: isWide ? C / 4 : C },
    {
      workgroups: rowGroups(device, items),
      overrides: { LANES: device.subgroupSize ?? 64, ...overrides },
      types,
      functions: Object.fromEntries(functions),
    },
  );
}

/** Workgroups for N rows: each loops over rows n, n + groups, … A software adapter wants few; a GPU has room for 65,535. */
const rowGroups = (device: Device, N: number): number =>
  device.isSoftware ? Math.max(Math.min(N, 64), Math.min(Math.ceil(N / 8), 65535)) : Math.min(N, 65535);
