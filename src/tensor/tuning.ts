/**
 * Tuning: which of several kernels an operation runs, by adapter and by the sizes of the call.
 *
 * An operation that has a choice declares it once, as a `Choice`: buckets of sizes, variants, and what is shipped for each
 * kind of adapter. A table maps op → bucket → variant. Of these the first that names a variant which fits is followed:
 *
 *   1. what `withTuning` forces (tests, and `rediff tune` while it measures)
 *   2. what `rediff tune` measured on this adapter, from the user's cache folder (Node only, tuningCache.ts)
 *   3. what is shipped for this kind of adapter
 *   4. the first variant that fits
 *
 * A name that nobody knows, or that does not fit, is passed over: a table can make things slow, but not wrong.
 */
import type { Device, MatrixUnits } from "./device.ts";
import { readTuning, type Tuning } from "./tuningCache.ts";

/** Kinds of adapters that we ship defaults for. `software` is every driver on the CPU but lavapipe with its 8 lanes. */
export type AdapterKind = "lavapipe" | "software" | "nvidia" | "amd" | "intel" | "apple" | "other";

/** What of the adapter decides whether a variant can run. */
export interface AdapterTraits {
  readonly kind: AdapterKind;
  /** Lanes, where they never vary and subgroups are enabled. */
  readonly subgroupSize: number | undefined;
  readonly matrix: MatrixUnits;
  /** Most threads of a workgroup, and bytes of its memory. */
  readonly threads: number;
  readonly workgroupBytes: number;
}

export interface TunedVariant<S, P> {
  /** Whether it computes these sizes, and the adapter can run it. */
  readonly fits: (sizes: S, traits: AdapterTraits) => boolean;
  readonly plan: (sizes: S, traits: AdapterTraits) => P;
}

/** One operation's choice: sizes S, plans P, names of buckets B and of variants V. */
export interface Choice<S, P, B extends string, V extends string> {
  readonly op: string;
  readonly bucketOf: (sizes: S) => B;
  /** In the order in which they are tried when no table helps. The last one fits everything. */
  readonly variants: Readonly<Record<V, TunedVariant<S, P>>>;
  /** `rest` is for the buckets that are not named. */
  readonly shipped: Readonly<Record<AdapterKind, Readonly<Partial<Record<B, V>>> & { readonly rest: V }>>;
}

/** The variant that is best as far as the tables know. */
export function variantFor<S, P, B extends string, V extends string>(
  { op, bucketOf, variants, shipped }: Choice<S, P, B, V>,
  sizes: S,
  { traits, tables }: TuningState,
): V {
  const bucket = bucketOf(sizes);
  const fits = (name: string | undefined): name is V =>
    name !== undefined && Object.hasOwn(variants, name) && variants[name as V].fits(sizes, traits);
  for (const table of tables) {
    const name = table[op]?.[bucket];
    if (fits(name)) return name;
  }
  const { [bucket]: named, rest } = shipped[traits.kind] as Partial<Record<B, V>> & { readonly rest: V };
  return [named, rest, ...Object.keys(variants)].find(fits)!;
}

/** Its plan. */
export const choose = <S, P, B extends string, V extends string>(
  choice: Choice<S, P, B, V>,
  sizes: S,
  state: TuningState,
): P => choice.variants[variantFor(choice, sizes, state)].plan(sizes, state.traits);

/** The traits of a device and its tables, strongest first. */
export interface TuningState {
  readonly traits: AdapterTraits;
  readonly tables: readonly Tuning[];
}

const states = new WeakMap<Device, TuningState>();

/** Reads the user's table when it is first asked for. */
export function tuningOf(device: Device): TuningState {
  let state = states.get(device);
  if (!state) {
    const own = readTuning(device.info);
    states.set(device, (state = { traits: traitsOf(device), tables: own ? [own] : [] }));
  }
  return state;
}

/** Runs `body` with a table that goes before all others. */
export function withTuning<R>(device: Device, table: Tuning, body: () => R): R {
  const before = tuningOf(device);
  states.set(device, { ...before, tables: [table, ...before.tables] });
  try {
    return body();
  } finally {
    states.set(device, before);
  }
}

function traitsOf({ info, isSoftware, subgroupSize, matrix, gpu }: Device): AdapterTraits {
  const { maxComputeInvocationsPerWorkgroup: threads, maxComputeWorkgroupStorageSize: workgroupBytes } = gpu.limits;
  return { kind: kindOf(info, isSoftware, subgroupSize), subgroupSize, matrix, threads, workgroupBytes };
}

/** A browser does not name the driver, so lavapipe is also known by its lanes; SwiftShader has 4. */
function kindOf(
  { vendor, description, device }: GPUAdapterInfo,
  isSoftware: boolean,
  subgroupSize: number | undefined,
): AdapterKind {
  if (isSoftware)
    return subgroupSize === 8 || /llvmpipe|lavapipe/i.test(`${description} ${device}`) ? "lavapipe" : "software";
  return (["nvidia", "amd", "intel", "apple"] as const).find((kind) => vendor.toLowerCase() === kind) ?? "other";
}
