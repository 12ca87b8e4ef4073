/** planMatmul: which kernel multiplies, with which workgroups. */
import { type AdapterTraits, choose, type Choice, type TunedVariant, type TuningState } from "../tuning.ts";
import type { MatmulLaunch, MatmulLayout, MatmulSizes } from "./matmulSizes.ts";
import type { MatmulPrecision, MatrixUnit } from "../device.ts";
import { fitsWindows, planColumns, planRows } from "./matmulWindows.ts";

export type { MatmulLayout, MatmulSizes } from "./matmulSizes.ts";

/**
 * Launches, one after the other, or what is done first before the product is planned again: "padded", the operands are
 * copied into multiples of four; "turned", b of an NN product is copied transposed.
 */
export type MatmulPlan = readonly MatmulLaunch[] | "padded" | "turned";

/**
 * Sizes that are measured together. The class is the size of c: narrow with fewer than 8 rows (few products for each element
 * of b), then up to 2^16 elements, up to 2^20, and beyond. Ragged: a stored row is no whole number of vectors. f16: operands
 * may be rounded.
 */
export type MatmulBucket = `${MatmulLayout} ${"narrow" | "small" | "medium" | "large"}${"" | " ragged"}${"" | " f16"}`;

function bucketOfMatmul(sizes: MatmulSizes): MatmulBucket {
  const { layout, batch, M, N, precision } = sizes;
  const elements = batch * M * N;
  const size = M < 8 ? "narrow" : elements <= 2 ** 16 ? "small" : elements <= 2 ** 20 ? "medium" : "large";
  return `${layout} ${size}${isInFours(sizes) ? "" : " ragged"}${precision === "f16" ? " f16" : ""}`;
}

/** The axes along which the operands are stored. */
const storedAxes = ({ layout, M, N, K }: MatmulSizes) => ({ a: layout === "TN" ? M : K, b: layout === "NT" ? K : N });

/** Whether vectors of four never reach over the end of a stored row, of a, b or c, and batches begin at one. */
function isInFours(sizes: MatmulSizes): boolean {
  const { a, b } = storedAxes(sizes);
  return [a, b, sizes.N, sizes.aStride, sizes.bStride].every((size) => size % 4 === 0);
}

const paramsOf = ({ M, N, K, aStride, bStride }: MatmulSizes) => ({ M, N, K, aStride, bStride, cStride: M * N });

type MatmulVariant = TunedVariant<MatmulSizes, MatmulPlan>;

/** One kernel per layout for subgroups of 8 lanes: the loop nests differ. */
const LANES_KERNEL: { readonly [L in MatmulLayout]: string } = { NN: "matmul", NT: "matmulNT", TN: "matmulTN" };

/** Subgroups of 8 lanes, lavapipe. Elsewhere one lane per row is uncoalesced, and the broadcasts assume 8 by number. */
const lanes8: MatmulVariant = {
  fits: (sizes, { subgroupSize }) => subgroupSize === 8 && isInFours(sizes),
  plan: (sizes) => [
    {
      kernel: LANES_KERNEL[sizes.layout],
      params: paramsOf(sizes),
      types: { Weight: sizes.weight },
      // Rows run fastest: neighbours in time then share the same columns of b, which stay in the cache.
      workgroups: [Math.ceil(sizes.M / 32), Math.ceil(sizes.N / 32), sizes.batch],
    },
  ],
};

/** Rows of a that a copy of b must serve. */
const ROWS_OF_COPY = 512;

/**
 * As `lanes8`, with b in uniform bindings. On lavapipe a fifth to a third faster on Zen 4 where b is neither small nor very large,
 * a tenth to a fifth slower on Zen 5: the adapter does not say which it is, so `rediff tune` must find out.
 */
const windows: MatmulVariant = {
  fits: (sizes, traits) =>
    lanes8.fits(sizes, traits) && fitsWindows(sizes) && (sizes.layout !== "NN" || sizes.M >= ROWS_OF_COPY),
  plan: (sizes) => (sizes.layout === "NN" ? "turned" : sizes.layout === "NT" ? planColumns(sizes) : planRows(sizes)),
};

/** For `lanes8` where sizes are ragged: the copies cost bytes, the kernels for any sizes cost products. */
const padded: MatmulVariant = {
  fits: (sizes, traits) => traits.subgroupSize === 8 && !isInFours(sizes),
  plan: () => "padded",
};

/** Everything. A 4 × 4 tile per thread, 8 × 8 threads per workgroup. */
const plain: MatmulVariant = {
  fits: () => true,
  plan: (sizes) => {
    const { layout, batch, M, N, K, weight } = sizes;
    const params = {
      ...paramsOf(sizes),
      aRow: layout === "TN" ? 1 : K,
      aColumn: layout === "TN" ? M : 1,
      bRow: layout === "NT" ? 1 : N,
      bColumn: layout === "NT" ? K : 1,
    };
    const workgroups = [Math.ceil(N / 32), Math.ceil(M / 32), batch] as const;
    return [{ kernel: "matmulPlain", types: { Weight: weight }, params, workgroups }];
  },
};

/** The overrides of kernels/matmulTiled.wgsl that tuning chooses. */
interface Tile {
  readonly THREADS_M: number;
  readonly THREADS_N: number;
  readonly ROWS: 4 | 8;
  readonly COLUMNS: 4 | 8;
  readonly STEP: number;
  readonly BUFFERS: 1 | 2;
}

/** Loads for the kernels that take any sizes: whole vectors of an operand whose rows consist of them, else scalars. */
function loadsOf(sizes: MatmulSizes): Required<Pick<MatmulLaunch, "types" | "functions">> {
  const { aStride, bStride, weight } = sizes;
  const stored = storedAxes(sizes);
  const isWideA = stored.a % 4 === 0 && aStride % 4 === 0;
  const isWideB = stored.b % 4 === 0 && bStride % 4 === 0;
  return {
    types: { Left: isWideA ? "vec4f" : "f32", Weight: isWideB ? `vec4<${weight}>` : weight },
    functions: { ...(isWideA && { loadA: "a[at / 4u]" }), ...(isWideB && { loadB: "vec4f(b[at / 4u])" }) },
  };
}

/** Through workgroup memory, for GPUs: any sizes. */
function tiled(tile: Tile): MatmulVariant {
  const { THREADS_M, THREADS_N, ROWS, COLUMNS, STEP, BUFFERS } = tile;
  const [tileM, tileN] = [THREADS_M * ROWS, THREADS_N * COLUMNS];
  return {
    fits: (_, { threads, workgroupBytes }: AdapterTraits) =>
      THREADS_M * THREADS_N <= threads && 4 * BUFFERS * (tileM + tileN) * STEP <= workgroupBytes,
    plan: (sizes) => {
      const { layout, batch, M, N } = sizes;
      const { types, functions } = loadsOf(sizes);
      return [
        {
          kernel: "matmulTiled",
          overrides: { ...tile, TURN_A: layout === "TN", TURN_B: layout === "NT" },
          types,
          functions,
          params: paramsOf(sizes),
          workgroups: [Math.ceil(N / tileN), Math.ceil(M / tileM), batch],
        },
      ];
    },
  };
}

/** Subgroups side by side and one below the other in a workgroup of kernels/matmulMatrix.wgsl. */
const SUBGROUPS = 2;
/** Columns of A that a workgroup of it takes at once: whole matrices of every adapter that is known. */
const MATRIX_STEP = 32;

/** By the adapter's matrix units: any sizes. Those with f16 operands only where rounding is allowed. */
const matrices: MatmulVariant = {
  fits: ({ precision }, { matrix: { [precision]: unit }, subgroupSize, threads, workgroupBytes }) =>
    unit !== undefined &&
    subgroupSize !== undefined &&
    MATRIX_STEP % unit.K === 0 &&
    subgroupSize * SUBGROUPS ** 2 <= threads &&
    bytesOfMatrixTiles(unit, precision) <= workgroupBytes,
  plan: (sizes, { matrix, subgroupSize }) => {
    const { layout, batch, precision } = sizes;
    const { M, N, K } = matrix[precision]!;
    const { types, functions } = loadsOf(sizes);
    return [
      {
        kernel: "matmulMatrix",
        overrides: {
          MATRIX_M: M,
          MATRIX_N: N,
          MATRIX_K: K,
          SUBGROUP: subgroupSize!,
          SUBGROUPS_M: SUBGROUPS,
          SUBGROUPS_N: SUBGROUPS,
          STEP: MATRIX_STEP,
          TURN_A: layout === "TN",
          TURN_B: layout === "NT",
        },
        types: {
          ...types,
          Component: precision,
          MatrixA: `subgroup_matrix_left<${precision}, ${K}, ${M}>`,
          MatrixB: `subgroup_matrix_right<${precision}, ${N}, ${K}>`,
          MatrixC: `subgroup_matrix_result<f32, ${N}, ${M}>`,
        },
        functions,
        params: paramsOf(sizes),
        workgroups: [Math.ceil(sizes.N / (2 * SUBGROUPS * N)), Math.ceil(sizes.M / (2 * SUBGROUPS * M)), batch],
      },
    ];
  },
};

/** Workgroup memory of that kernel, whichever way the operands lie: both tiles, and a matrix of each subgroup in f32. */
function bytesOfMatrixTiles({ M, N }: MatrixUnit, component: MatmulPrecision): number {
  const stored = (tile: number): number => Math.max(tile * (MATRIX_STEP + 8), MATRIX_STEP * (tile + 8));
  const tiles = stored(2 * SUBGROUPS * M) + stored(2 * SUBGROUPS * N);
  return (component === "f16" ? 2 : 4) * tiles + 4 * SUBGROUPS ** 2 * M * N;
}

const variants = {
  lanes8,
  windows,
  padded,
  tiled64: tiled({ THREADS_M: 8, THREADS_N: 8, ROWS: 8, COLUMNS: 8, STEP: 16, BUFFERS: 1 }),
  tiled32: tiled({ THREADS_M: 8, THREADS_N: 8, ROWS: 4, COLUMNS: 4, STEP: 32, BUFFERS: 1 }),
  tiled64by4: tiled({ THREADS_M: 16, THREADS_N: 16, ROWS: 4, COLUMNS: 4, STEP: 32, BUFFERS: 1 }),
  tiled64double: tiled({ THREADS_M: 8, THREADS_N: 8, ROWS: 8, COLUMNS: 8, STEP: 16, BUFFERS: 2 }),
  tiled128: tiled({ THREADS_M: 16, THREADS_N: 16, ROWS: 8, COLUMNS: 8, STEP: 16, BUFFERS: 1 }),
  tiled128double: tiled({ THREADS_M: 16, THREADS_N: 16, ROWS: 8, COLUMNS: 8, STEP: 16, BUFFERS: 2 }),
  matrices,
  plain,
} satisfies Readonly<Record<string, MatmulVariant>>;

/** Measured with `rediff tune` on Zen 4; what is not named and fits no windows is lanes8, or padded where sizes are ragged. */
const lavapipe = {
  rest: "windows",
  "NN narrow": "plain",
  "NT narrow": "plain",
  "TN narrow": "plain",
  "NN narrow ragged": "plain",
  "NT narrow ragged": "plain",
  "TN narrow ragged": "plain",
  "NN small ragged": "plain",
  "NT small ragged": "plain",
} as const;

/** Not measured: no such adapter was at hand. Large tiles reuse most, but it takes many of them to fill a GPU. */
const reasoned = {
  rest: "tiled64",
  "NN narrow": "tiled32",
  "NT narrow": "tiled32",
  "TN narrow": "tiled32",
  "NN small": "tiled32",
  "NT small": "tiled32",
  "TN small": "tiled32",
} as const;
const reasonedLarge = { ...reasoned, "NN large": "tiled128", "NT large": "tiled128", "TN large": "tiled128" } as const;

type VariantName = keyof typeof variants;
type ShippedTable = Readonly<Partial<Record<MatmulBucket, VariantName>>> & { readonly rest: VariantName };

/** A table with the same choices where operands may be rounded. */
const withRounding = (table: ShippedTable): ShippedTable => ({
  ...table,
  ...Object.fromEntries(
    Object.entries(table).flatMap(([bucket, variant]) => (bucket === "rest" ? [] : [[`${bucket} f16`, variant]])),
  ),
});

/** The same, but by matrix units; narrow products wait for memory in any case. */
const withMatrices = (table: ShippedTable): ShippedTable => ({
  ...withRounding(table),
  ...Object.fromEntries(
    (["NN", "NT", "TN"] as const).flatMap((layout) =>
      ["small", "medium", "large"].flatMap((size) =>
        ["", " ragged"].map((ragged): [string, VariantName] => [`${layout} ${size}${ragged} f16`, "matrices"]),
      ),
    ),
  ),
});

export const matmulChoice: Choice<MatmulSizes, MatmulPlan, MatmulBucket, VariantName> = {
  op: "matmul",
  bucketOf: bucketOfMatmul,
  variants,
  shipped: {
    lavapipe: withRounding(lavapipe),
    software: { rest: "plain" },
    nvidia: withMatrices(reasonedLarge),
    amd: withMatrices(reasonedLarge),
    apple: withMatrices(reasonedLarge),
    // Fewer registers a thread and small workgroup memory.
    intel: withMatrices(reasoned),
    other: withMatrices(reasoned),
  },
};

/** The plan of a product by the tables in force, see tuning.ts. */
export const planMatmul = (sizes: MatmulSizes, tuning: TuningState): MatmulPlan => choose(matmulChoice, sizes, tuning);
