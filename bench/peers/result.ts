/** The result file: versions, adapters, commit and every measurement. */
import { cpus } from "node:os";
import { fileURLToPath } from "node:url";
import { writeAtomically } from "../../src/model/files.ts";
import { provenance } from "../result.ts";
import type { RowResult } from "./report.ts";

export interface PeersResult {
  /** By id: library, version, adapter; or why it is missing. */
  readonly libraries: Readonly<Record<string, object>>;
  readonly rounds: number;
  readonly cached: boolean;
  readonly rows: readonly RowResult[];
}

/** Writes the file and returns its path; without `out` it lies in bench/results, under the time of day, which git ignores. */
export async function save(result: PeersResult, out?: string): Promise<string> {
  const date = new Date().toISOString();
  const name = `../results/${date.slice(0, 19).replaceAll(":", "-")}-peers.local.json`;
  const path = out ?? fileURLToPath(new URL(name, import.meta.url));
  const processor = `${cpus().length} × ${cpus()[0]?.model ?? "unknown"}`;
  await writeAtomically(path, `${JSON.stringify({ date, ...provenance(), processor, ...result }, null, 1)}\n`);
  return path;
}
