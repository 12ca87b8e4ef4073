/** planAttention: which kernels attend, and with how many workgroups. */
export interface AttentionSizes {
  readonly B: number;
  readonly Tq: number;
  readonly Tk: number;
  readonly H: number;
  readonly D: number;
  /** The adapter's subgroup size where its minimum and maximum agree, and subgroups are enabled. */
  readonly subgroupSize: number | undefined;
}

export interface AttentionLaunch {
  readonly kernel: string;
  readonly overrides: Record<string, number>;
  readonly workgroups: readonly [number, number, number];
}

export interface AttentionPlan {
  readonly forward: AttentionLaunch;
  readonly byQuery: AttentionLaunch;
  readonly byKey: AttentionLaunch;
}

/** Head width 32 has kernels of its own, with its loops written out. */
const lanes32 = {
  forward: "attentionLanes32",
  byQuery: "attentionBackwardQueryLanes32",
  byKey: "attentionBackwardKeyLanes32",
};
const lanes = { forward: "attentionLanes", byQuery: "attentionBackwardQueryLanes", byKey: "attentionBackwardKeyLanes" };
const plain = { forward: "attention", byQuery: "attentionBackwardQuery", byKey: "attentionBackwardKey" };

/** Subgroups of 8 lanes, lavapipe: four rows a lane, keys and queries passed round by shuffles. Elsewhere one thread a row. */
export function planAttention({ B, Tq, Tk, H, D, subgroupSize }: AttentionSizes): AttentionPlan {
  const shuffles = subgroupSize === 8;
  const kernels = !shuffles ? plain : D === 32 ? lanes32 : lanes;
  const rows = shuffles ? 32 : 64;
  const launch = (kernel: string, T: number): AttentionLaunch => ({
    kernel,
    overrides: shuffles ? {} : { THREADS: rows },
    workgroups: [Math.ceil(T / rows), H, B],
  });
  return {
    forward: launch(kernels.forward, Tq),
    byQuery: launch(kernels.byQuery, Tq),
    byKey: launch(kernels.byKey, Tk),
  };
}
