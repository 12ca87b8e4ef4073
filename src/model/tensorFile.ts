/**
 * Checkpoints that are larger than memory: headers are read when a checkpoint is opened, data when a tensor is asked for,
 * whole or some of its rows. One file, or several that `model.safetensors.index.json` names.
 */
import {
  CheckpointError,
  headerLength,
  LENGTH_BYTES,
  parseHeader,
  parseJson,
  storedBytes,
  type StoredDtype,
  type StoredTensor,
  type TensorEntry,
} from "./safetensors.ts";

/**
 * Where bytes come from. Reading is synchronous, so that parts of a weight can be made where they are asked for; a browser has
 * the like in workers (`FileSystemSyncAccessHandle`, `FileReaderSync`), and files in memory everywhere.
 */
export interface ByteSource {
  /** Stands in errors. */
  readonly name: string;
  readonly bytes: number;
  /** Exactly the bytes from `start` to before `end`, or an error. */
  read(start: number, end: number): Uint8Array;
  close(): void;
}

/** The tensors of a checkpoint by name, in the order of its headers. */
export interface TensorFile {
  readonly name: string;
  readonly tensors: ReadonlyMap<string, Pick<TensorEntry, "name" | "dtype" | "shape">>;
  /** Metadata of all files together. */
  readonly metadata: Readonly<Record<string, string>>;
  /** A tensor, or its rows (of the first axis) from `from` to before `to`. Throws CheckpointError on a wrong name or row. */
  read(name: string, from?: number, to?: number): StoredTensor;
  close(): void;
}

/** The sources of a checkpoint: the source of a file name, or undefined where there is no such file. */
export type OpenSource = (file: string) => ByteSource | undefined;

const INDEX = "model.safetensors.index.json";
const SINGLE = "model.safetensors";

/** Opens `model.safetensors`, or else the shards of the index. `folder` stands in errors. Throws CheckpointError. */
export function openTensorFile(folder: string, open: OpenSource): TensorFile {
  const single = open(SINGLE);
  if (single) return openAll(folder, [single]);
  const index = open(INDEX);
  if (!index)
    throw new CheckpointError(
      `${folder} has neither ${SINGLE} nor ${INDEX}, so it is no checkpoint that can be read.`,
      {
        folder,
      },
    );
  const shardOf = parseIndex(readAll(index), index.name);
  const sources: ByteSource[] = [];
  try {
    for (const file of new Set(shardOf.values())) {
      const source = open(file);
      if (!source)
        throw new CheckpointError(
          `${index.name} names ${file}, which is not in ${folder}. The download is incomplete.`,
          {
            folder,
            file,
          },
        );
      sources.push(source);
    }
  } catch (error) {
    closeAll(sources);
    throw error;
  }
  const opened = openAll(folder, sources);
  const wrong = [...shardOf.keys()].filter((name) => !opened.tensors.has(name));
  const unnamed = [...opened.tensors.keys()].filter((name) => !shardOf.has(name));
  if (wrong.length + unnamed.length) {
    opened.close();
    throw new CheckpointError(
      `${index.name} and its files disagree: ${wrong.length} tensors that it names are in no file` +
        ` (${wrong.slice(0, 4).join(", ") || "none"}), ${unnamed.length} of the files are not named (${unnamed.slice(0, 4).join(", ") || "none"}).`,
      { wrong, unnamed },
    );
  }
  return opened;
}

/** One file as a checkpoint. Closing the checkpoint closes the source; so does a header that is damaged. */
export const openTensors = (source: ByteSource): TensorFile => openAll(source.name, [source]);

function openAll(name: string, sources: readonly ByteSource[]): TensorFile {
  const tensors = new Map<string, TensorEntry & { source: ByteSource; dataStart: number }>();
  const metadata: Record<string, string> = {};
  try {
    for (const source of sources) {
      const first = source.read(0, Math.min(LENGTH_BYTES, source.bytes));
      const length = headerLength(first, source.bytes, source.name);
      const header = parseHeader(source.read(LENGTH_BYTES, LENGTH_BYTES + length), source.bytes, source.name);
      Object.assign(metadata, header.metadata);
      for (const [key, entry] of header.tensors) {
        if (tensors.has(key))
          throw new CheckpointError(`Tensor ${key} is in ${tensors.get(key)!.source.name} and in ${source.name}.`, {
            key,
          });
        tensors.set(key, { ...entry, source, dataStart: header.dataStart });
      }
    }
  } catch (error) {
    closeAll(sources);
    throw error;
  }
  return {
    name,
    tensors,
    metadata,
    close: () => closeAll(sources),
    read: (key, from, to) => {
      const entry = tensors.get(key);
      if (!entry) throw new CheckpointError(`${name} has no tensor ${key}; it has ${tensors.size} tensors.`, { key });
      const { dtype, shape, start, source, dataStart } = entry;
      if (from === undefined && to === undefined)
        return { name: key, dtype, shape, bytes: source.read(dataStart + start, dataStart + entry.end) };
      const rows = rowRange(entry, from ?? 0, to ?? shape[0] ?? 0);
      const width = rowBytes(entry);
      const at = dataStart + start;
      const bytes = source.read(at + rows.from * width, at + rows.to * width);
      return { name: key, dtype, shape: [rows.to - rows.from, ...shape.slice(1)], bytes };
    },
  };
}

function rowRange({ name, shape }: TensorEntry, from: number, to: number): { from: number; to: number } {
  const rows = shape[0];
  const whole = Number.isInteger(from) && Number.isInteger(to);
  if (rows === undefined || !whole || from < 0 || from > to || to > rows)
    throw new CheckpointError(
      `Rows of ${name} must lie within 0 to ${rows ?? "nothing: it has no axis"}; rows ${from} to ${to} were asked for.`,
      { name, shape, from, to },
    );
  return { from, to };
}

/** Bytes of a row of the first axis. Throws CheckpointError for rows that begin inside a byte. */
function rowBytes({ name, dtype, shape }: { name: string; dtype: StoredDtype; shape: readonly number[] }): number {
  const bytes = storedBytes(dtype, shape.slice(1));
  if (!Number.isInteger(bytes))
    throw new CheckpointError(`Rows of ${name} (${dtype}) begin inside of bytes; read it whole.`, { name, dtype });
  return bytes;
}

const closeAll = (sources: readonly ByteSource[]): void => {
  for (const source of sources) source.close();
};

function readAll(source: ByteSource): Uint8Array {
  try {
    return source.read(0, source.bytes);
  } finally {
    source.close();
  }
}

/** Which file each tensor is in. A file name that leads out of the folder is refused: the index is somebody else's. */
function parseIndex(bytes: Uint8Array, name: string): Map<string, string> {
  const given = parseJson(bytes, name);
  const map = (given as { weight_map?: unknown } | null)?.weight_map;
  if (!map || typeof map !== "object" || !Object.values(map).every((file) => typeof file === "string" && isPlain(file)))
    throw new CheckpointError(`${name} must have a weight_map from tensors to names of files beside it.`, { name });
  return new Map(Object.entries(map as Record<string, string>));
}

const isPlain = (file: string): boolean => /^[^/\\]+\.safetensors$/.test(file);

/** A file that is in memory. */
export const memorySource = (file: Uint8Array, name: string): ByteSource => ({
  name,
  bytes: file.byteLength,
  read: (start, end) => file.subarray(start, end),
  close: () => {},
});
