/**
 * planMatmul: which kernel multiplies, with which workgroups.
 *
 * Layouts name how the operands are stored; c is always (batch, M, N):
 *   NN  a (batch, M, K)   b (batch, K, N)
 *   NT  a (batch, M, K)   b (batch, N, K)
 *   TN  a (batch, K, M)   b (batch, K, N)
 */
export type MatmulLayout = "NN" | "NT" | "TN";

export type MatmulSizes = {
  readonly layout: MatmulLayout;
  readonly batch: number;
  readonly M: number;
  readonly N: number;
  readonly K: number;
  /** The adapter's subgroup size where its minimum and maximum agree, and subgroups are enabled. */
  readonly subgroupSize: number | undefined;
  /** Scalars from one batch to the next. Left out: contiguous. 0 broadcasts the operand. */
  readonly aStride?: number;
  readonly bStride?: number;
};

export type MatmulPlan = {
  readonly kernel: string;
  readonly overrides: Record<string, number>;
  readonly params: Record<string, number>;
  readonly workgroups: readonly [number, number, number];
};

/** One kernel per layout for subgroups of 8 lanes: the loop nests differ. */
const SUBGROUP_KERNEL: { readonly [L in MatmulLayout]: string } = {
  NN: "matmul",
  NT: "matmulNT",
  TN: "matmulTN",
};

export function planMatmul(sizes: MatmulSizes): MatmulPlan {
  const { layout, batch, M, N, K, subgroupSize } = sizes;
  const aStride = sizes.aStride ?? M * K;
  const bStride = sizes.bStride ?? K * N;
  const params = { M, N, K, aStride, bStride, cStride: M * N };

  // The subgroup kernels read four scalars at once along the stored rows of both operands, so the axis that
  // is contiguous in memory has to be divisible by 4, and the batches have to begin on such a boundary.
  const contiguousA = layout === "TN" ? M : K;
  const contiguousB = layout === "NT" ? K : N;
  const inFours = [contiguousA, contiguousB, N, aStride, bStride].every((size) => size % 4 === 0);

  // 8 lanes: lavapipe. Elsewhere one lane per row is uncoalesced, and the broadcasts assume 8 by number.
  if (subgroupSize === 8 && inFours) {
    return {
      kernel: SUBGROUP_KERNEL[layout],
      overrides: {},
      params,
      // Rows run fastest: neighbours in time then share the same columns of b, which stay in the cache.
      workgroups: [Math.ceil(M / 32), Math.ceil(N / 32), batch],
    };
  }

  // Everything else. A 4 × 4 tile per thread, 8 × 8 threads per workgroup.
  return {
    kernel: "matmulPlain",
    overrides: {},
    params: {
      ...params,
      aRow: layout === "TN" ? 1 : K,
      aColumn: layout === "TN" ? M : 1,
      bRow: layout === "NT" ? 1 : N,
      bColumn: layout === "NT" ? K : 1,
    },
    workgroups: [Math.ceil(N / 32), Math.ceil(M / 32), batch],
  };
}
