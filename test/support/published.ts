/** The golden folders in published layouts (test/goldens/published.py), and copies of them that are spoiled. */
import assert from "node:assert/strict";
import { cpSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after } from "node:test";
import { fileURLToPath } from "node:url";
import {
  CheckpointError,
  formatSafetensors,
  parseSafetensors,
  type StoredTensor,
} from "../../src/model/safetensors.ts";

export const folder = (name: string): string => fileURLToPath(new URL(`../goldens/published/${name}`, import.meta.url));

/** Removed when the tests of the file that imports this are done. */
export const scratch: string = mkdtempSync(join(tmpdir(), "published-"));
after(() => rmSync(scratch, { recursive: true }));

/** A copy of a golden folder with another config.json. */
export function changed(name: string, change: (config: Record<string, unknown>) => void = () => {}): string {
  const copy = mkdtempSync(join(scratch, `${name}-`));
  cpSync(folder(name), copy, { recursive: true });
  const config = JSON.parse(readFileSync(join(copy, "config.json"), "utf8")) as Record<string, unknown>;
  change(config);
  writeFileSync(join(copy, "config.json"), JSON.stringify(config));
  return copy;
}

/** A copy of a golden folder, in one file, with other tensors in it. */
export function stored(name: string, change: (tensors: StoredTensor[]) => StoredTensor[]): string {
  const copy = changed(name);
  const files = readdirSync(copy).filter((file) => file.endsWith(".safetensors"));
  const tensors = files.flatMap((file) => [...parseSafetensors(readFileSync(join(copy, file)), file).tensors.values()]);
  for (const file of [...files, "model.safetensors.index.json"]) rmSync(join(copy, file), { force: true });
  writeFileSync(join(copy, "model.safetensors"), formatSafetensors(change(tensors), {}));
  return copy;
}

export const refuses = (load: () => unknown, ...patterns: RegExp[]): void =>
  assert.throws(load, (error: unknown) => {
    assert.ok(error instanceof CheckpointError, String(error));
    for (const pattern of patterns) assert.match(error.message, pattern);
    return true;
  });
