/** Result files: rows with the adapter, versions and commit that they belong to; and the comparison of two of them. */
import { execFileSync } from "node:child_process";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { readJson, writeAtomically } from "../src/model/files.ts";
import { type Device, RediffError } from "../src/tensor/index.ts";
import type { StepProfile } from "./profile.ts";
import type { Roof } from "./roof.ts";
import type { Times } from "./sample.ts";
import { type Column, headOf, lineOf } from "./table.ts";

export interface Row {
  readonly name: string;
  readonly params: string;
  /** Timestamps of the device, or wall time. */
  readonly kind: "gpu" | "wall";
  readonly ms: Times;
  readonly gflops?: number;
  readonly gbs?: number;
  /** Arithmetic operations for each byte that has to be moved at best. */
  readonly intensity?: number;
  /** Share of the roof that binds at this intensity. More than 1: the bytes came from a cache. */
  readonly roof?: number;
  /** Of a step: where the time goes. */
  readonly profile?: StepProfile;
}

export interface Result extends Provenance {
  readonly date: string;
  readonly adapter: ReturnType<typeof adapterFacts>;
  readonly roof: Roof;
  readonly rows: readonly Row[];
}

interface Provenance {
  readonly commit: string;
  /** The working tree had changes. */
  readonly dirty: boolean;
  readonly node: string;
  readonly webgpu: string;
}

const root = fileURLToPath(new URL("../", import.meta.url));

export const rowColumns: readonly Column<Row>[] = [
  { title: "", width: -30, value: ({ name }) => name },
  { title: "", width: -42, value: ({ params }) => params },
  { title: "median ms", width: 11, value: ({ ms }) => ms.p50, digits: 3 },
  { title: "p10", width: 10, value: ({ ms }) => ms.p10, digits: 3 },
  { title: "p90", width: 10, value: ({ ms }) => ms.p90, digits: 3 },
  { title: "GFLOP/s", width: 9, value: ({ gflops }) => gflops },
  { title: "GB/s", width: 7, value: ({ gbs }) => gbs },
  { title: "of roof", width: 9, value: ({ roof }) => (roof === undefined ? "" : `${(100 * roof).toFixed(0)} %`) },
];

export const titleOf = ({ info }: Device): string => info.description || info.device || info.vendor || "adapter";

/** Where a result goes by default: bench/results/<date>-<adapter><suffix>, which git ignores. */
export function resultPath(device: Device, suffix: string): string {
  const stem = `${new Date().toISOString().slice(0, 10)}-${device.info.device || device.info.vendor || "adapter"}`;
  return join(root, "bench/results", `${stem.replaceAll(/[^\w.-]+/g, "-").replace(/-+$/, "")}${suffix}`);
}

export async function writeResult(path: string, device: Device, roof: Roof, rows: readonly Row[]): Promise<void> {
  const date = new Date().toISOString();
  const result: Result = { date, ...provenance(), adapter: adapterFacts(device), roof, rows };
  await writeAtomically(path, `${JSON.stringify(result, null, 1)}\n`);
  console.log(`\n${rows.length} rows in ${path}`);
}

/** Reads a result file. Throws RediffError when it is none. */
export function readResult(path: string): Result {
  const value = readJson(path) as Partial<Result> | null;
  if (!value?.roof || !value.adapter || !value.rows?.every(({ ms }) => Number.isFinite(ms.p10 + ms.p50 + ms.p90)))
    throw new RediffError(
      `${path} is not a result of this \`npm run bench\`: it needs roof, adapter, and rows with p10, p50 and p90.`,
      { path },
    );
  return value as Result;
}

/** A row whose bands from p10 to p90 do not overlap in two results; `ratio` is the new median over the old one. */
export interface Difference {
  readonly name: string;
  readonly params: string;
  readonly before: Times;
  readonly after: Times;
  readonly ratio: number;
}

export interface Comparison {
  /** Most improved first. */
  readonly differences: readonly Difference[];
  /** Rows whose bands overlap: nothing can be said. */
  readonly same: number;
  /** Rows that only one of the results has, as "name, params". */
  readonly onlyBefore: readonly string[];
  readonly onlyAfter: readonly string[];
}

export function compareRows(before: readonly Row[], after: readonly Row[]): Comparison {
  const keyOf = ({ name, params }: Row): string => `${name}, ${params}`;
  const old = new Map(before.map((row) => [keyOf(row), row]));
  const shared = after.filter((row) => old.has(keyOf(row)));
  const differences = shared
    .map((row): Difference => {
      const { name, params, ms } = row;
      const earlier = old.get(keyOf(row))!.ms;
      return { name, params, before: earlier, after: ms, ratio: ms.p50 / earlier.p50 };
    })
    .filter(({ before, after }) => before.p90 < after.p10 || after.p90 < before.p10)
    .sort((a, b) => a.ratio - b.ratio);
  const names = new Set(after.map(keyOf));
  return {
    differences,
    same: shared.length - differences.length,
    onlyBefore: before.map(keyOf).filter((key) => !names.has(key)),
    onlyAfter: after.map(keyOf).filter((key) => !old.has(key)),
  };
}

/** `npm run bench -- --compare before.json after.json` */
export function printComparison(beforePath: string, afterPath: string): void {
  const [before, after] = [readResult(beforePath), readResult(afterPath)];
  if (before.adapter.description !== after.adapter.description)
    console.log(`Different adapters: ${before.adapter.description} and ${after.adapter.description}.\n`);
  const { differences, same, onlyBefore, onlyAfter } = compareRows(before.rows, after.rows);
  const columns: Column<Difference>[] = [
    { title: "", width: -30, value: ({ name }) => name },
    { title: "", width: -42, value: ({ params }) => params },
    { title: "before ms", width: 11, value: ({ before }) => before.p50, digits: 3 },
    { title: "p10–p90", width: 18, value: ({ before }) => bandOf(before) },
    { title: "after ms", width: 11, value: ({ after }) => after.p50, digits: 3 },
    { title: "p10–p90", width: 18, value: ({ after }) => bandOf(after) },
    { title: "ratio", width: 8, value: ({ ratio }) => ratio, digits: 2 },
  ];
  if (differences.length) console.log(headOf(columns));
  for (const row of differences) console.log(lineOf(columns, row));
  console.log(`${differences.length} rows differ; the bands from p10 to p90 of ${same} overlap.`);
  for (const [keys, path] of [
    [onlyBefore, beforePath],
    [onlyAfter, afterPath],
  ] as const)
    if (keys.length) console.log(`Only in ${path}: ${keys.join("; ")}.`);
}

const bandOf = ({ p10, p90 }: Times): string => `${p10.toFixed(3)}–${p90.toFixed(3)}`;

export function provenance(): Provenance {
  const git = (...args: string[]) => {
    try {
      return execFileSync("git", args, { cwd: root, stdio: ["ignore", "pipe", "ignore"] })
        .toString()
        .trim();
    } catch {
      return "";
    }
  };
  const dawn = readJson(join(root, "node_modules/webgpu/package.json")) as { version: string };
  return {
    commit: git("rev-parse", "HEAD"),
    dirty: git("status", "--porcelain") !== "",
    node: process.version,
    webgpu: dawn.version,
  };
}

function adapterFacts({ gpu, info, subgroupSize }: Device) {
  const { vendor, architecture, device: name, description } = info;
  const {
    maxBufferSize,
    maxStorageBufferBindingSize,
    maxComputeInvocationsPerWorkgroup,
    maxComputeWorkgroupStorageSize,
  } = gpu.limits;
  return {
    vendor,
    architecture,
    device: name,
    description,
    subgroupSize,
    features: [...gpu.features].sort(),
    limits: {
      maxBufferSize,
      maxStorageBufferBindingSize,
      maxComputeInvocationsPerWorkgroup,
      maxComputeWorkgroupStorageSize,
    },
  };
}
