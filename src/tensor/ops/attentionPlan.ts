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

/** Heads of the batch, counted through, whose derivative is taken in one launch. */
export interface HeadRange {
  readonly first: number;
  readonly heads: number;
}

export interface AttentionPlan {
  readonly forward: AttentionLaunch;
  readonly byKey: (range: HeadRange) => AttentionLaunch;
  readonly byQuery: (range: HeadRange) => AttentionLaunch;
  /** The B·H heads in ranges whose ds, (heads, Tk, ⌈Tq/4⌉·4), takes little memory. */
  readonly ranges: readonly HeadRange[];
}

/** Kernels by what they do, with the queries or keys that a workgroup takes. */
interface Family {
  readonly forward: readonly [kernel: string, queries: number];
  readonly byKey: readonly [kernel: string, keys: number];
  readonly byQuery: readonly [kernel: string, queries: number];
}

/** Head width 32 has kernels of its own, with its loops written out. */
const lanes32: Family = {
  forward: ["attentionLanes32", 16],
  byKey: ["attentionBackwardKeyLanes32", 16],
  byQuery: ["attentionBackwardQueryLanes32", 32],
};
const lanes: Family = {
  forward: ["attentionLanes", 32],
  byKey: ["attentionBackwardKeyLanes", 32],
  byQuery: ["attentionBackwardQueryLanes", 32],
};
const THREADS = 64;
const plain: Family = {
  forward: ["attention", THREADS],
  byKey: ["attentionBackwardKey", THREADS],
  byQuery: ["attentionBackwardQuery", 4 * THREADS],
};

/** Bytes of ds in one launch: it stays in a cache until it is read. One head may take more. */
const MOST_BYTES = 8 * 2 ** 20;

/** Subgroups of 8 lanes, lavapipe: a few rows a lane, keys and queries passed round by shuffles. Elsewhere threads on their own. */
export function planAttention({ B, Tq, Tk, H, D, subgroupSize }: AttentionSizes): AttentionPlan {
  const family = subgroupSize !== 8 ? plain : D === 32 ? lanes32 : lanes;
  const overrides: Record<string, number> = family === plain ? { THREADS } : {};
  const launch = ([kernel, rows]: Family["forward"], T: number, heads: number, batches: number): AttentionLaunch => ({
    kernel,
    overrides,
    workgroups: [Math.ceil(T / rows), heads, batches],
  });
  const heads = Math.max(1, Math.min(B * H, 65535, Math.floor(MOST_BYTES / (16 * Tk * Math.ceil(Tq / 4)))));
  return {
    forward: launch(family.forward, Tq, H, B),
    byKey: (range) => launch(family.byKey, Tk, range.heads, 1),
    byQuery: (range) => launch(family.byQuery, Tq, range.heads, 1),
    ranges: Array.from({ length: Math.ceil((B * H) / heads) }, (_, n) => ({
      first: n * heads,
      heads: Math.min(heads, B * H - n * heads),
    })),
  };
}
