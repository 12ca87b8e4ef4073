/**
 * The user's own tuning tables: one JSON file for each adapter and driver, in the cache folder. Written by `rediff tune`.
 * Node only; a browser has none.
 */

/** op → bucket → variant: see tuning.ts. */
export type Tuning = Readonly<Record<string, Readonly<Record<string, string>>>>;

/** What was measured in one bucket: milliseconds of every variant that was tried to the end, and the fastest. */
export interface TunedBucket {
  readonly variant: string;
  readonly ms: Readonly<Record<string, number>>;
}

export interface TuningFile {
  readonly version: 1;
  readonly adapter: string;
  readonly ops: Readonly<Record<string, Readonly<Record<string, TunedBucket>>>>;
}

/** What names an adapter. */
export type AdapterNames = Pick<GPUAdapterInfo, "vendor" | "architecture" | "device" | "description">;

/** Adapter and driver in one line; Dawn's description holds the driver's version. */
export const adapterKey = ({ vendor, architecture, device, description }: AdapterNames): string =>
  [vendor, architecture, device, description].filter(Boolean).join(", ");

/** Where the table of this adapter lies, or undefined where there are no files. */
export function tuningPath(info: AdapterNames): string | undefined {
  if (typeof process === "undefined" || !process.versions?.node) return undefined;
  // Fetched, not imported, so that a bundle for the browser can hold this module.
  const { join } = process.getBuiltinModule("node:path");
  const { homedir } = process.getBuiltinModule("node:os");
  const cache = process.env["XDG_CACHE_HOME"] || process.env["LOCALAPPDATA"] || join(homedir(), ".cache");
  const name = adapterKey(info)
    .replaceAll(/[^\w.]+/g, "-")
    .replaceAll(/^-|-$/g, "");
  return join(cache, "rediff", "tuning", `${name || "adapter"}.json`);
}

/** The table of this adapter, or undefined when there is none. A file that is none of ours is ignored with a warning. */
export function readTuning(info: AdapterNames): Tuning | undefined {
  const file = readTuningFile(info);
  if (!file) return undefined;
  const variants = (buckets: Readonly<Record<string, TunedBucket>>) =>
    Object.fromEntries(Object.entries(buckets).map(([bucket, { variant }]) => [bucket, variant]));
  return Object.fromEntries(Object.entries(file.ops).map(([op, buckets]) => [op, variants(buckets)]));
}

/** Whether `rediff tune` has measured kernels on this adapter. */
export const isTuned = (info: AdapterNames): boolean => readTuning(info) !== undefined;

const warned = new Set<string>();

/** As `readTuning`, with the times. */
export function readTuningFile(info: AdapterNames): TuningFile | undefined {
  const path = tuningPath(info);
  if (path === undefined) return undefined;
  const { readFileSync } = process.getBuiltinModule("node:fs");
  let text: string;
  try {
    text = readFileSync(path, "utf8");
  } catch {
    return undefined; // `rediff tune` never ran here
  }
  try {
    return checked(JSON.parse(text), adapterKey(info));
  } catch (error) {
    if (!warned.has(path))
      console.warn(
        `rediff: ${path} is not a tuning table of this adapter (${(error as Error).message}); it is ignored. \`rediff tune\` writes a new one.`,
      );
    warned.add(path);
    return undefined;
  }
}

/** Throws with what is wrong. */
function checked(given: unknown, adapter: string): TuningFile {
  const isObject = (value: unknown): value is Record<string, unknown> =>
    typeof value === "object" && value !== null && !Array.isArray(value);
  if (!isObject(given) || !isObject(given["ops"])) throw new Error("it has no object `ops`");
  if (given["version"] !== 1) throw new Error(`its version is ${JSON.stringify(given["version"])}, not 1`);
  if (given["adapter"] !== adapter) throw new Error(`its adapter is ${JSON.stringify(given["adapter"])}`);
  for (const [op, buckets] of Object.entries(given["ops"])) {
    if (!isObject(buckets)) throw new Error(`ops.${op} is no object`);
    for (const [bucket, measured] of Object.entries(buckets))
      if (!isObject(measured) || typeof measured["variant"] !== "string" || !isObject(measured["ms"]))
        throw new Error(`ops.${op}["${bucket}"] names no variant with its times`);
  }
  return given as unknown as TuningFile;
}
