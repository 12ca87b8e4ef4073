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

/** Subgroups of 8 lanes, lavapipe: four rows a lane, keys and queries passed round by shuffles. Elsewhere one thread a row. */
export function planAttention({ B, Tq, Tk, H, D, subgroupSize }: AttentionSizes): AttentionPlan {
  if (subgroupSize === 8) {
    // Head width 32 has kernels of its own, with its loops written out.
    const width = D === 32 ? "32" : "";
    const launch = (kernel: string, T: number): AttentionLaunch => ({ kernel: kernel + width, overrides: {}, workgroups: [Math.ceil(T / 32), H, B] });
    return {
      forward: launch("attentionLanes", Tq),
      byQuery: launch("attentionBackwardQueryLanes", Tq),
      byKey: launch("attentionBackwardKeyLanes", Tk),
    };
  }
  const THREADS = 64;
  const launch = (kernel: string, T: number): AttentionLaunch => ({ kernel, overrides: { THREADS }, workgroups: [Math.ceil(T / THREADS), H, B] });
  return { forward: launch("attention", Tq), byQuery: launch("attentionBackwardQuery", Tq), byKey: launch("attentionBackwardKey", Tk) };
}
