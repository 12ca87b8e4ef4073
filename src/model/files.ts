/** Files of checkpoints in Node: atomic writing, reading by ranges, and safetensors that are never whole in memory. */
import { closeSync, existsSync, fstatSync, mkdirSync, openSync, readFileSync, readSync, statSync } from "node:fs";
import { open, readdir, rename, rm } from "node:fs/promises";
import { dirname, join } from "node:path";
import { CheckpointError, formatHeader, parseJson, storedBytes, type TensorEntry } from "./safetensors.ts";
import type { ByteSource, OpenSource } from "./tensorFile.ts";

/**
 * Makes a folder and those above it that are missing; one that is there is left alone. Node's own recursive mkdir never returns
 * where the system refuses with ENOENT, as below /proc.
 */
export function makeFolder(path: string): void {
  if (existsSync(path)) return;
  makeFolder(dirname(path));
  try {
    mkdirSync(path);
  } catch (error) {
    // Another process may have made it in between.
    if (!statSync(path, { throwIfNoEntry: false })?.isDirectory()) throw error;
  }
}

/**
 * Writes a file so that a crash at any moment leaves the old one or the new one, never a part. Throws CheckpointError where the
 * system does not let it.
 */
export const writeAtomically = (path: string, bytes: Uint8Array | string): Promise<void> => writePieces(path, [bytes]);

/** `writeAtomically` for content that comes in pieces. When a piece fails to come nothing is left. */
async function writePieces(
  path: string,
  pieces: Iterable<Uint8Array | string> | AsyncIterable<Uint8Array | string>,
): Promise<void> {
  const temporary = `${path}.${process.pid}.partial`;
  try {
    makeFolder(dirname(path));
    const file = await open(temporary, "w");
    try {
      for await (const piece of pieces) await file.writeFile(piece);
      await file.sync();
    } finally {
      await file.close();
    }
    await rename(temporary, path);
  } catch (error) {
    await rm(temporary, { force: true }).catch(() => {}); // Where nothing could be made there is nothing to remove.
    if (!(error instanceof Error && "syscall" in error)) throw error;
    throw new CheckpointError(`${path} cannot be written (${error.message}).`, { path });
  }
}

/** A whole file. Throws CheckpointError where it cannot be read. */
export function readBytes(path: string): Uint8Array {
  try {
    return readFileSync(path);
  } catch (error) {
    throw new CheckpointError(`${path} cannot be read (${(error as Error).message}).`, { path });
  }
}

/** What a JSON file holds. Throws CheckpointError where it cannot be read, or is none. */
export const readJson = (path: string): unknown => parseJson(readBytes(path), path);

/** A file to read parts of; undefined when there is none. */
export function fileSource(path: string): ByteSource | undefined {
  let file: number;
  try {
    file = openSync(path, "r");
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return undefined;
    throw new CheckpointError(`${path} cannot be read (${(error as Error).message}).`, { path });
  }
  const stat = fstatSync(file);
  if (!stat.isFile()) {
    closeSync(file);
    throw new CheckpointError(`${path} must be a file; it is ${stat.isDirectory() ? "a folder" : "none"}.`, { path });
  }
  return {
    name: path,
    bytes: stat.size,
    close: () => closeSync(file),
    read: (start, end) => {
      const part = new Uint8Array(end - start);
      for (let done = 0; done < part.length;) {
        const count = readSync(file, part, done, Math.min(part.length - done, MOST_AT_ONCE), start + done);
        if (count === 0)
          throw new CheckpointError(`${path} ended at byte ${start + done}; it was shortened while it was read.`, {
            path,
          });
        done += count;
      }
      return part;
    },
  };
}

/** Node reads less than 2 GiB in one call. */
const MOST_AT_ONCE = 2 ** 30;

/** The files of a folder, for `openTensorFile`. */
export const inFolder =
  (folder: string): OpenSource =>
  (file) =>
    fileSource(join(folder, file));

/** A tensor to be written, whose bytes are fetched when it is its turn. */
export interface PendingTensor extends Pick<TensorEntry, "name" | "dtype" | "shape"> {
  /** All bytes in order, in one piece or several. */
  readonly pieces: () => AsyncIterable<Uint8Array>;
}

type Metadata = Readonly<Record<string, string>>;

/** Writes one safetensors file; in memory is one piece at a time. */
export const writeSafetensors = (path: string, tensors: readonly PendingTensor[], metadata: Metadata): Promise<void> =>
  writePieces(path, contentOf(tensors, metadata));

async function* contentOf(tensors: readonly PendingTensor[], metadata: Metadata): AsyncGenerator<Uint8Array> {
  yield formatHeader(tensors, metadata);
  for (const { name, dtype, shape, pieces } of tensors) {
    let written = 0;
    for await (const piece of pieces()) {
      written += piece.byteLength;
      yield piece;
    }
    if (written !== storedBytes(dtype, shape))
      throw new CheckpointError(`Tensor ${name} takes ${storedBytes(dtype, shape)} bytes; ${written} were given.`, {
        name,
      });
  }
}

/**
 * Writes a checkpoint into a folder: `model.safetensors` when all fits into `maxShardBytes`, else
 * `model-00001-of-0000N.safetensors` and the index, as Hugging Face names them. A tensor is never split: one that is larger
 * than a shard has a file of its own. Returns the names of the files.
 */
export async function writeCheckpoint(
  folder: string,
  tensors: readonly PendingTensor[],
  metadata: Metadata,
  maxShardBytes = Infinity,
): Promise<string[]> {
  const shards = splitIntoShards(tensors, maxShardBytes);
  if (shards.length === 1) {
    await writeSafetensors(join(folder, "model.safetensors"), tensors, metadata);
    await removeOthers(folder, ["model.safetensors"]);
    return ["model.safetensors"];
  }
  const weightMap: Record<string, string> = {};
  const number = (n: number): string => String(n).padStart(5, "0");
  const files = shards.map((_, i) => `model-${number(i + 1)}-of-${number(shards.length)}.safetensors`);
  for (const [i, shard] of shards.entries()) {
    for (const { name } of shard) weightMap[name] = files[i]!;
    await writeSafetensors(join(folder, files[i]!), shard, metadata);
  }
  const total = tensors.reduce((sum, { dtype, shape }) => sum + storedBytes(dtype, shape), 0);
  const index = { metadata: { total_size: total }, weight_map: weightMap };
  await writeAtomically(join(folder, "model.safetensors.index.json"), `${JSON.stringify(index, null, 2)}\n`);
  await removeOthers(folder, [...files, "model.safetensors.index.json"]);
  return files;
}

/** Removes the weights that were in the folder before: readers prefer a single file, and some take all shards that they see. */
async function removeOthers(folder: string, kept: readonly string[]): Promise<void> {
  for (const name of await readdir(folder))
    if (/^model(-\d{5}-of-\d{5})?\.safetensors(\.index\.json)?$/.test(name) && !kept.includes(name))
      await rm(join(folder, name));
}

function splitIntoShards(tensors: readonly PendingTensor[], maxBytes: number): PendingTensor[][] {
  if (!(maxBytes > 0))
    throw new CheckpointError(`A shard must have room for bytes; its limit is ${maxBytes}.`, { maxBytes });
  const shards: PendingTensor[][] = [[]];
  let used = 0;
  for (const tensor of tensors) {
    const bytes = storedBytes(tensor.dtype, tensor.shape);
    if (used > 0 && used + bytes > maxBytes) {
      shards.push([]);
      used = 0;
    }
    shards.at(-1)!.push(tensor);
    used += bytes;
  }
  return shards;
}
