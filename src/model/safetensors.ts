/**
 * The safetensors format: eight bytes of header length, a JSON header, then the tensors' bytes without gaps.
 *
 * A header is a promise by somebody else: every number in it is checked before a byte of data is believed.
 */
import { f16ToF32, f32ToF16, RediffError, showShape } from "../tensor/index.ts";

/** A file that is not what it says it is, or not what the model needs. */
export class CheckpointError extends RediffError {}

export type StoredDtype =
  | "F32"
  | "F16"
  | "BF16"
  | "U32"
  | "I32"
  | "I64"
  | "U8"
  | "I8"
  | "BOOL"
  | "F64"
  | "I16"
  | "U16"
  | "U64";

const widths: Readonly<Record<StoredDtype, number>> = {
  F64: 8,
  I64: 8,
  U64: 8,
  F32: 4,
  U32: 4,
  I32: 4,
  F16: 2,
  BF16: 2,
  I16: 2,
  U16: 2,
  U8: 1,
  I8: 1,
  BOOL: 1,
};

export interface StoredTensor {
  readonly name: string;
  readonly dtype: StoredDtype;
  readonly shape: readonly number[];
  readonly bytes: Uint8Array;
}

export interface StoredFile {
  readonly tensors: ReadonlyMap<string, StoredTensor>;
  readonly metadata: Readonly<Record<string, string>>;
}

/** The format's own limit on the header. */
const MAX_HEADER = 100_000_000;

/** Reads a whole file. `name` stands in errors. Throws CheckpointError. */
export function parseSafetensors(file: Uint8Array, name: string): StoredFile {
  const fail = (message: string, facts: Record<string, unknown> = {}): never => {
    throw new CheckpointError(`${name} is not a valid safetensors file: ${message}`, { file: name, ...facts });
  };
  if (file.byteLength < 8) fail(`it has ${file.byteLength} bytes; the header's length alone takes 8.`);
  const headerBytes = Number(new DataView(file.buffer, file.byteOffset, 8).getBigUint64(0, true));
  if (headerBytes > MAX_HEADER || 8 + headerBytes > file.byteLength)
    fail(`its header claims ${headerBytes} bytes, but the file has ${file.byteLength}. It may have been cut short.`, {
      headerBytes,
    });
  let header: unknown;
  try {
    header = JSON.parse(new TextDecoder("utf-8", { fatal: true }).decode(file.subarray(8, 8 + headerBytes)));
  } catch (error) {
    fail(`its header is not JSON (${error instanceof Error ? error.message : String(error)}).`);
  }
  if (!header || typeof header !== "object" || Array.isArray(header)) fail("its header is not a JSON object.");

  const data = file.subarray(8 + headerBytes);
  const tensors = new Map<string, StoredTensor>();
  const spans: { name: string; start: number; end: number }[] = [];
  let metadata: Record<string, string> = {};
  for (const [key, entry] of Object.entries(header as Record<string, unknown>)) {
    if (key === "__metadata__") {
      if (!entry || typeof entry !== "object" || !Object.values(entry).every((value) => typeof value === "string"))
        fail("its __metadata__ is not an object of strings.");
      metadata = entry as Record<string, string>;
      continue;
    }
    const {
      dtype,
      shape,
      data_offsets: offsets,
    } = (entry ?? {}) as { dtype?: unknown; shape?: unknown; data_offsets?: unknown };
    const width = typeof dtype === "string" && Object.hasOwn(widths, dtype) ? widths[dtype as StoredDtype] : undefined;
    if (!width) fail(`tensor ${key} has an unknown dtype ${JSON.stringify(dtype)}.`, { tensor: key, dtype });
    if (!isSizes(shape)) fail(`tensor ${key} has no valid shape: ${JSON.stringify(shape)}.`, { tensor: key });
    if (!isSizes(offsets) || offsets.length !== 2)
      fail(`tensor ${key} has no valid data_offsets: ${JSON.stringify(offsets)}.`, { tensor: key });
    const [start, end] = offsets as [number, number];
    const expected = (shape as number[]).reduce((product, n) => product * n, width!);
    if (end - start !== expected)
      fail(
        `tensor ${key} ${showShape(shape as number[])} of ${String(dtype)} takes ${expected} bytes, but its offsets span ${end - start}.`,
        { tensor: key },
      );
    if (end > data.byteLength)
      fail(`tensor ${key} ends at byte ${end}, but the file has ${data.byteLength} bytes of data. It was cut short.`, {
        tensor: key,
      });
    spans.push({ name: key, start, end });
    tensors.set(key, {
      name: key,
      dtype: dtype as StoredDtype,
      shape: shape as number[],
      bytes: data.subarray(start, end),
    });
  }
  spans.sort((a, b) => a.start - b.start || a.end - b.end);
  let reached = 0;
  for (const span of spans) {
    if (span.start !== reached)
      fail(`tensor ${span.name} begins at byte ${span.start}, but the one before it ends at ${reached}.`, {
        tensor: span.name,
      });
    reached = span.end;
  }
  if (reached !== data.byteLength) fail(`${data.byteLength - reached} bytes follow the last tensor.`);
  return { tensors, metadata };
}

const isSizes = (value: unknown): value is number[] =>
  Array.isArray(value) && value.every((n) => Number.isSafeInteger(n) && n >= 0);

/** The bytes of a file. Tensors lie in the order given; the header is padded so that data begin at a multiple of eight. */
export function formatSafetensors(
  tensors: readonly StoredTensor[],
  metadata: Readonly<Record<string, string>>,
): Uint8Array {
  const header: Record<string, unknown> = { __metadata__: metadata };
  let offset = 0;
  for (const { name, dtype, shape, bytes } of tensors) {
    header[name] = { dtype, shape, data_offsets: [offset, (offset += bytes.byteLength)] };
  }
  const text = new TextEncoder().encode(JSON.stringify(header));
  const headerBytes = Math.ceil(text.byteLength / 8) * 8;
  const file = new Uint8Array(8 + headerBytes + offset).fill(0x20, 8, 8 + headerBytes);
  new DataView(file.buffer).setBigUint64(0, BigInt(headerBytes), true);
  file.set(text, 8);
  let at = 8 + headerBytes;
  for (const { bytes } of tensors) {
    file.set(bytes, at);
    at += bytes.byteLength;
  }
  return file;
}

/** Floats of a stored tensor, widened to f32. Throws CheckpointError for integer types. */
export function storedToF32({ name, dtype, bytes }: StoredTensor): Float32Array {
  const copy = Uint8Array.from(bytes).buffer; // Tensors begin at any byte; typed arrays do not.
  if (dtype === "F32") return new Float32Array(copy);
  if (dtype === "F16") return f16ToF32(new Uint16Array(copy));
  if (dtype === "BF16") return new Float32Array(Uint32Array.from(new Uint16Array(copy), (bits) => bits << 16).buffer);
  throw new CheckpointError(`Tensor ${name} must hold floats (F32, F16 or BF16); it is ${dtype}.`, { name, dtype });
}

export function f32ToStored(
  name: string,
  shape: readonly number[],
  values: Float32Array,
  dtype: "F32" | "F16",
): StoredTensor {
  const typed = dtype === "F32" ? values : f32ToF16(values);
  return { name, dtype, shape, bytes: new Uint8Array(typed.buffer, typed.byteOffset, typed.byteLength) };
}
