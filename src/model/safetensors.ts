/**
 * The safetensors format: eight bytes of header length, a JSON header, then the tensors' bytes without gaps.
 *
 * A header is a promise by somebody else: every number in it is checked before a byte of data is believed. Nothing here
 * knows where the bytes come from; tensorFile.ts reads parts of files, storedValues.ts turns bytes into numbers.
 */
import { RediffError, showShape } from "../tensor/index.ts";

/** A file that is not what it says it is, or not what the model needs. */
export class CheckpointError extends RediffError {}

/** JSON that came with a checkpoint; `name` is its file's. Throws CheckpointError. */
export function parseJson(json: Uint8Array | string, name: string): unknown {
  try {
    return JSON.parse(typeof json === "string" ? json : new TextDecoder("utf-8", { fatal: true }).decode(json));
  } catch (error) {
    throw new CheckpointError(`${name} is not JSON (${(error as Error).message}).`, { name });
  }
}

/** Bits of an element of each type that the format has. */
const bits = {
  BOOL: 8,
  F4: 4,
  F6_E2M3: 6,
  F6_E3M2: 6,
  U8: 8,
  I8: 8,
  F8_E5M2: 8,
  F8_E4M3: 8,
  F8_E8M0: 8,
  F8_E4M3FNUZ: 8,
  F8_E5M2FNUZ: 8,
  I16: 16,
  U16: 16,
  F16: 16,
  BF16: 16,
  I32: 32,
  U32: 32,
  F32: 32,
  C64: 64,
  F64: 64,
  I64: 64,
  U64: 64,
} as const;

export type StoredDtype = keyof typeof bits;

/** What a header says of a tensor; `start` and `end` count bytes from the first byte after the header. */
export interface TensorEntry {
  readonly name: string;
  readonly dtype: StoredDtype;
  readonly shape: readonly number[];
  readonly start: number;
  readonly end: number;
}

export interface Header {
  readonly tensors: ReadonlyMap<string, TensorEntry>;
  readonly metadata: Readonly<Record<string, string>>;
  /** Where the data begin in the file, in bytes. */
  readonly dataStart: number;
}

export interface StoredTensor {
  readonly name: string;
  readonly dtype: StoredDtype;
  readonly shape: readonly number[];
  /** Little-endian, in row-major order. */
  readonly bytes: Uint8Array;
}

export interface StoredFile {
  readonly tensors: ReadonlyMap<string, StoredTensor>;
  readonly metadata: Readonly<Record<string, string>>;
}

/** The format's own limit on the header. */
const MAX_HEADER = 100_000_000;

/** Bytes of the length before the header. */
export const LENGTH_BYTES = 8;

/** Bytes of a tensor; not a whole number where its last element would end inside a byte. */
export const storedBytes = (dtype: StoredDtype, shape: readonly number[]): number =>
  shape.reduce((product, n) => product * n, bits[dtype]) / 8;

/**
 * The header's length, from the first eight bytes of a file of `fileBytes`. `name` stands in errors.
 * Throws CheckpointError when the file cannot hold what it claims.
 */
export function headerLength(first: Uint8Array, fileBytes: number, name: string): number {
  if (first.byteLength < LENGTH_BYTES)
    fail(name, `it has ${first.byteLength} bytes; the header's length alone takes ${LENGTH_BYTES}.`);
  const length = Number(new DataView(first.buffer, first.byteOffset, LENGTH_BYTES).getBigUint64(0, true));
  if (length > MAX_HEADER || LENGTH_BYTES + length > fileBytes)
    fail(name, `its header claims ${length} bytes, but the file has ${fileBytes}. It may have been cut short.`, {
      length,
    });
  return length;
}

/** Checks the header, of a file of `fileBytes` in all. Throws CheckpointError. */
export function parseHeader(text: Uint8Array, fileBytes: number, name: string): Header {
  let json = "";
  let header: unknown;
  try {
    json = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(text);
    header = JSON.parse(json);
  } catch (error) {
    fail(name, `its header is not JSON (${error instanceof Error ? error.message : String(error)}).`);
  }
  if (!json.startsWith("{")) fail(name, "its header is not a JSON object from the first byte on.");
  const twice = repeatedKey(json);
  if (twice !== undefined) fail(name, `its header has ${twice} twice.`, { key: twice });

  const dataStart = LENGTH_BYTES + text.byteLength;
  const dataBytes = fileBytes - dataStart;
  const tensors = new Map<string, TensorEntry>();
  let metadata: Record<string, string> = {};
  for (const [key, value] of Object.entries(header as Record<string, unknown>)) {
    if (key === "__metadata__") {
      if (!isObject(value) || !Object.values(value).every((text) => typeof text === "string"))
        fail(name, "its __metadata__ is not an object of strings.");
      metadata = value as Record<string, string>;
    } else tensors.set(key, parseEntry(key, value, dataBytes, name));
  }
  checkSpans([...tensors.values()], dataBytes, name);
  return { tensors, metadata, dataStart };
}

function parseEntry(key: string, value: unknown, dataBytes: number, file: string): TensorEntry {
  const facts = { tensor: key };
  const { dtype, shape, data_offsets: offsets } = (value ?? {}) as Record<string, unknown>;
  if (typeof dtype !== "string" || !Object.hasOwn(bits, dtype))
    return fail(file, `tensor ${key} has an unknown dtype ${JSON.stringify(dtype)}.`, facts);
  if (!isSizes(shape)) return fail(file, `tensor ${key} has no valid shape: ${JSON.stringify(shape)}.`, facts);
  if (!isSizes(offsets) || offsets.length !== 2)
    return fail(file, `tensor ${key} has no valid data_offsets: ${JSON.stringify(offsets)}.`, facts);
  const [start, end] = offsets as [number, number];
  const expected = storedBytes(dtype as StoredDtype, shape);
  if (end - start !== expected)
    fail(
      file,
      `tensor ${key} ${showShape(shape)} of ${dtype} takes ${expected} bytes, but its offsets span ${end - start}.`,
      facts,
    );
  if (end > dataBytes)
    fail(
      file,
      `tensor ${key} ends at byte ${end}, but the file has ${dataBytes} bytes of data. It was cut short.`,
      facts,
    );
  return { name: key, dtype: dtype as StoredDtype, shape, start, end };
}

/** The tensors cover the data: from the first byte to the last, without a gap, none over another. */
function checkSpans(entries: readonly TensorEntry[], dataBytes: number, file: string): void {
  let reached = 0;
  for (const { name, start, end } of [...entries].sort((a, b) => a.start - b.start || a.end - b.end)) {
    if (start !== reached)
      fail(file, `tensor ${name} begins at byte ${start}, but the one before it ends at ${reached}.`, { tensor: name });
    reached = end;
  }
  if (reached !== dataBytes) fail(file, `${dataBytes - reached} bytes follow the last tensor.`);
}

/** The first key that an object of this valid JSON text has twice: JSON.parse would drop one of them without a word. */
function repeatedKey(json: string): string | undefined {
  const open: Set<string>[] = [];
  for (let i = 0; i < json.length; i++) {
    const character = json[i];
    if (character === "{" || character === "[") open.push(new Set());
    else if (character === "}" || character === "]") open.pop();
    else if (character === '"') {
      const start = i++;
      while (json[i] !== '"') i += json[i] === "\\" ? 2 : 1;
      let next = i + 1;
      while (" \t\n\r".includes(json[next]!)) next++;
      if (json[next] !== ":") continue; // A value, not a key.
      const key = JSON.parse(json.slice(start, i + 1)) as string;
      if (open.at(-1)!.has(key)) return key;
      open.at(-1)!.add(key);
    }
  }
  return undefined;
}

function fail(file: string, message: string, facts: Record<string, unknown> = {}): never {
  throw new CheckpointError(`${file} is not a valid safetensors file: ${message}`, { file, ...facts });
}

const isObject = (value: unknown): value is object =>
  typeof value === "object" && value !== null && !Array.isArray(value);

const isSizes = (value: unknown): value is number[] =>
  Array.isArray(value) && value.every((n) => Number.isSafeInteger(n) && n >= 0);

/** Reads a whole file that is in memory; tensors are views of it. Throws CheckpointError. */
export function parseSafetensors(file: Uint8Array, name: string): StoredFile {
  const length = headerLength(file, file.byteLength, name);
  const header = parseHeader(file.subarray(LENGTH_BYTES, LENGTH_BYTES + length), file.byteLength, name);
  const data = file.subarray(header.dataStart);
  const tensors = new Map(
    [...header.tensors].map(([key, { dtype, shape, start, end }]) => [
      key,
      { name: key, dtype, shape, bytes: data.subarray(start, end) },
    ]),
  );
  return { tensors, metadata: header.metadata };
}

/** Length and header of a file whose tensors lie in the order given, padded so that the data begin at a multiple of eight. */
export function formatHeader(
  tensors: readonly Pick<TensorEntry, "name" | "dtype" | "shape">[],
  metadata: Readonly<Record<string, string>>,
): Uint8Array {
  const names = new Set(tensors.map(({ name }) => name));
  if (names.size < tensors.length || names.has("__metadata__"))
    throw new CheckpointError("formatHeader: names of tensors must differ, and none may be __metadata__.");
  let offset = 0;
  const entries = tensors.map(({ name, dtype, shape }): [string, unknown] => [
    name,
    { dtype, shape, data_offsets: [offset, (offset += storedBytes(dtype, shape))] },
  ]);
  const text = new TextEncoder().encode(JSON.stringify({ __metadata__: metadata, ...Object.fromEntries(entries) }));
  const length = Math.ceil(text.byteLength / 8) * 8;
  const header = new Uint8Array(LENGTH_BYTES + length).fill(0x20, LENGTH_BYTES);
  new DataView(header.buffer).setBigUint64(0, BigInt(length), true);
  header.set(text, LENGTH_BYTES);
  return header;
}

/** The bytes of a whole file. */
export function formatSafetensors(
  tensors: readonly StoredTensor[],
  metadata: Readonly<Record<string, string>>,
): Uint8Array {
  const header = formatHeader(tensors, metadata);
  const file = new Uint8Array(tensors.reduce((sum, { bytes }) => sum + bytes.byteLength, header.byteLength));
  file.set(header);
  let at = header.byteLength;
  for (const { bytes } of tensors) {
    file.set(bytes, at);
    at += bytes.byteLength;
  }
  return file;
}
