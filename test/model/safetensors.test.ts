/** Files that lie, files of the Python library, and ours: every damaged header gives a CheckpointError, never a crash or a value. */
import assert from "node:assert/strict";
import { mkdtempSync, readdirSync, readFileSync, rmSync, truncateSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, describe, test } from "node:test";
import fc from "fast-check";
import { importGraph, reachableFrom } from "../../scripts/imports.ts";
import { fileSource, inFolder, type PendingTensor, writeAtomically, writeCheckpoint } from "../../src/model/files.ts";
import {
  CheckpointError,
  formatSafetensors,
  parseSafetensors,
  type StoredTensor,
} from "../../src/model/safetensors.ts";
import { f32ToStored, storedToF32, type WeightDtype } from "../../src/model/storedValues.ts";
import { memorySource, openTensorFile, openTensors } from "../../src/model/tensorFile.ts";

const tensors = [
  f32ToStored("a", [2, 3], Float32Array.of(1, -2, 3.5, 0, -0, 1e-8), "F32"),
  f32ToStored("b", [3], Float32Array.of(1, 2, 65504), "F16"),
];
const file = formatSafetensors(tensors, { step: "7" });
const headerBytes = Number(new DataView(file.buffer).getBigUint64(0, true));
const headerText = new TextDecoder().decode(file.subarray(8, 8 + headerBytes));

/** Entries of a header, to be made wrong. */
type Header = Record<string, Record<string, unknown>>;

/** The file with another header. */
function withText(text: string | Uint8Array): Uint8Array {
  const bytes = typeof text === "string" ? new TextEncoder().encode(text) : text;
  const changed = new Uint8Array(8 + bytes.length + file.length - 8 - headerBytes);
  new DataView(changed.buffer).setBigUint64(0, BigInt(bytes.length), true);
  changed.set(bytes, 8);
  changed.set(file.subarray(8 + headerBytes), 8 + bytes.length);
  return changed;
}

function withHeader(change: (header: Header) => void): Uint8Array {
  const header = JSON.parse(headerText) as Header;
  change(header);
  return withText(JSON.stringify(header));
}

const isError = (pattern: RegExp) => (error: unknown) =>
  error instanceof CheckpointError && pattern.test(error.message);
const refuses = (bytes: Uint8Array, pattern: RegExp): void =>
  assert.throws(() => parseSafetensors(bytes, "x"), isError(pattern));

const scratch = mkdtempSync(join(tmpdir(), "safetensors-"));
after(() => rmSync(scratch, { recursive: true }));

describe("a header that lies", () => {
  test("cut short at every length", () => {
    for (let length = 0; length < file.length; length++)
      refuses(file.subarray(0, length), /not a valid safetensors file/);
  });

  const lies: readonly (readonly [string, (header: Header) => unknown, RegExp])[] = [
    ["shape and offsets differ", (h) => (h["a"]!["shape"] = [2, 4]), /takes 32 bytes, but its offsets span 24/],
    ["a type that does not exist", (h) => (h["a"]!["dtype"] = "F33"), /unknown dtype "F33"/],
    ["a type from Object's prototype", (h) => (h["a"]!["dtype"] = "toString"), /unknown dtype "toString"/],
    ["negative sizes", (h) => (h["a"]!["shape"] = [-2, -3]), /no valid shape/],
    ["sizes that are no list", (h) => (h["a"]!["shape"] = "6"), /no valid shape/],
    ["sizes whose product overflows", (h) => (h["a"]!["shape"] = [2 ** 52, 2 ** 52, 2 ** 52]), /offsets span 24/],
    ["a tensor behind the end", (h) => (h["b"]!["data_offsets"] = [24, 1e12]), /offsets span/],
    [
      "a long tensor behind the end",
      (h) => Object.assign(h["b"]!, { shape: [500], data_offsets: [24, 1024] }),
      /cut short/,
    ],
    [
      "tensors that overlap",
      (h) => (h["b"]!["data_offsets"] = [18, 24]),
      /begins at byte 18, but the one before it ends at/,
    ],
    [
      "a gap",
      (h) => Object.assign(h["b"]!, { shape: [2], data_offsets: [26, 30] }),
      /begins at byte 26, but .* ends at 24/,
    ],
    ["offsets backwards", (h) => (h["b"]!["data_offsets"] = [30, 24]), /offsets span -6/],
    ["bytes that nobody owns", (h) => delete h["b"], /6 bytes follow the last tensor/],
    ["no entry", (h) => (h["a"] = null as never), /unknown dtype/],
    ["metadata of numbers", (h) => (h["__metadata__"] = { step: 7 }), /not an object of strings/],
    ["metadata that is a list", (h) => (h["__metadata__"] = ["a"] as never), /not an object of strings/],
    ["elements that end inside a byte", (h) => Object.assign(h["b"]!, { dtype: "F4", shape: [11] }), /takes 5.5 bytes/],
  ];
  for (const [name, change, pattern] of lies) test(name, () => refuses(withHeader(change), pattern));

  test("text that is no header", () => {
    refuses(withText("[]"), /not a JSON object/);
    refuses(withText(` ${headerText}`), /not a JSON object from the first byte on/);
    refuses(withText(`\uFEFF${headerText}`), /not JSON/);
    refuses(withText(Uint8Array.of(0x7b, 0x22, 0xff, 0x22, 0x3a, 0x31, 0x7d)), /not JSON/);
    refuses(withText(`{"a":${"[".repeat(1e5)}${"]".repeat(1e5)}}`), /unknown dtype/);
    const huge = file.slice();
    new DataView(huge.buffer).setBigUint64(0, 2n ** 62n, true);
    refuses(huge, /header claims/);
  });

  test("a key that comes twice, at any depth and however it is written", () => {
    const entry = JSON.stringify((JSON.parse(headerText) as Header)["a"]);
    refuses(withText(headerText.trimEnd().replace(/\}$/, `,"a":${entry}}`)), /has a twice/);
    refuses(withText(headerText.trimEnd().replace(/\}$/, `,"\\u0061" : ${entry}}`)), /has a twice/);
    refuses(withText(headerText.replace('"dtype":"F32"', '"dtype":"F32","dtype":"F32"')), /has dtype twice/);
    // The same text as a value, and keys of other objects, are no repetition.
    assert.equal(parseSafetensors(withText(headerText.replace('"7"', '"a\\\\\\":"')), "x").tensors.size, 2);
  });

  test("any changed byte of the header gives the same file, another valid one, or a CheckpointError", () => {
    fc.assert(
      fc.property(fc.integer({ min: 0, max: 7 + headerBytes }), fc.integer({ min: 0, max: 255 }), (at, value) => {
        const changed = file.slice();
        changed[at] = value;
        tolerates(changed);
      }),
      { seed: 42, numRuns: 2000 },
    );
  });

  test("so does any header at all, with entries of the right form and wrong numbers", () => {
    const number = fc.oneof(fc.nat(40), fc.integer(), fc.double(), fc.constantFrom(2 ** 53, 1e308, -0));
    const entry = fc.record(
      {
        dtype: fc.constantFrom("F32", "F16", "BF16", "I8", "F4", "BOOL", "f32", ""),
        shape: fc.array(number, { maxLength: 4 }),
        data_offsets: fc.array(number, { maxLength: 3 }),
      },
      { requiredKeys: [] },
    );
    const header = fc.dictionary(fc.string(), fc.oneof(entry, fc.jsonValue()), { maxKeys: 4 });
    fc.assert(
      fc.property(header, (value) => tolerates(withText(JSON.stringify(value)))),
      { seed: 43, numRuns: 1000 },
    );
  });
});

/** Bytes are either refused, or a file whose tensors lie within it. */
function tolerates(bytes: Uint8Array): void {
  try {
    for (const tensor of parseSafetensors(bytes, "x").tensors.values()) {
      assert.ok(tensor.bytes.byteOffset >= bytes.byteOffset);
      assert.ok(tensor.bytes.byteOffset + tensor.bytes.byteLength <= bytes.byteOffset + bytes.byteLength);
    }
  } catch (error) {
    assert.ok(error instanceof CheckpointError, String(error));
  }
}

describe("the Python library's files (test/goldens/storedTypes.py)", () => {
  const golden = readFileSync(new URL("../goldens/storedTypes.safetensors", import.meta.url));
  const read = parseSafetensors(golden, "golden");
  const get = (name: string): StoredTensor => read.tensors.get(name)!;

  test("are written by us to the byte", () => {
    const inOrder = [...read.tensors.values()].sort((a, b) => a.bytes.byteOffset - b.bytes.byteOffset);
    assert.deepEqual(Buffer.from(formatSafetensors(inOrder, read.metadata)), golden);
  });

  test("hold every type, and what has no element", () => {
    assert.deepEqual(
      ["uint8", "int16", "int32", "int64", "bool", "float8_e4m3fn", "float8_e5m2", "i8", "f64"].map(
        (n) => get(n).dtype,
      ),
      ["U8", "I16", "I32", "I64", "BOOL", "F8_E4M3", "F8_E5M2", "I8", "F64"],
    );
    assert.deepEqual([...storedToF32(get("i8"))], [-128, 127, 0, 1]);
    assert.deepEqual([get("scalar").shape, ...storedToF32(get("scalar"))], [[], 2.5]);
    assert.deepEqual([get("none").shape, get("none").bytes.length], [[0, 3], 0]);
    assert.ok(read.tensors.has('of umlauts ä and "quotes" \\'));
  });

  test("widen exactly, and round as PyTorch does", () => {
    const f32 = storedToF32(get("f32"));
    assert.deepEqual(storedToF32(get("f64")), f32);
    for (const [name, dtype] of [
      ["f16", "F16"],
      ["bf16", "BF16"],
    ] as const satisfies readonly (readonly [string, WeightDtype])[]) {
      const ours = f32ToStored(name, [f32.length], f32, dtype);
      // All NaNs are alike; which bits one has is not agreed on.
      const numbers = [...storedToF32(get(name))];
      assert.deepEqual([...storedToF32(ours)], numbers);
      const bits = (stored: StoredTensor) => [...new Uint16Array(Uint8Array.from(stored.bytes).buffer)];
      const finite = (_: number, i: number) => !Number.isNaN(numbers[i]!);
      assert.deepEqual(bits(ours).filter(finite), bits(get(name)).filter(finite));
    }
  });

  test("a tensor that holds no weights is refused", () => {
    assert.throws(() => storedToF32(get("int64")), isError(/must hold floats .* it is I64/));
    assert.throws(() => storedToF32(get("float8_e5m2")), isError(/it is F8_E5M2/));
  });
});

describe("reading by parts", () => {
  test("rows of a tensor, and nothing but them", () => {
    const asked: number[] = [];
    const source = memorySource(file, "x");
    const open = openTensors({
      ...source,
      read: (start, end) => (asked.push(end - start), source.read(start, end)),
    });
    assert.deepEqual([...storedToF32(open.read("a", 1, 2))], [0, -0, Math.fround(1e-8)]);
    assert.deepEqual(open.read("a", 2, 2).shape, [0, 3]);
    assert.deepEqual(asked, [8, headerBytes, 12, 0]);
    for (const [from, to] of [
      [1, 3],
      [-1, 1],
      [2, 1],
      [0.5, 1],
    ] as const)
      assert.throws(() => open.read("a", from, to), isError(/Rows of a must lie within 0 to 2/));
    assert.throws(() => open.read("c"), isError(/has no tensor c/));
  });

  test("a file that is shortened after it was opened", () => {
    const path = join(scratch, "shortened.safetensors");
    writeFileSync(path, file);
    const open = openTensors(fileSource(path)!);
    truncateSync(path, file.length - 4);
    assert.throws(() => open.read("b"), isError(/ended at byte \d+; it was shortened/));
    open.close();
  });

  test("the parser needs no file system", () => {
    const graph = importGraph(["safetensors", "storedValues", "tensorFile"].map((name) => `src/model/${name}.ts`));
    for (const path of graph.keys()) assert.ok(![...graph.get(path)!].some((name) => name.startsWith("node:")), path);
    assert.ok(reachableFrom(graph, "src/model/tensorFile.ts").has("src/model/safetensors.ts"));
  });
});

describe("writing in shards", () => {
  const pending = (name: string, count: number): PendingTensor => ({
    name,
    dtype: "F32",
    shape: [count],
    pieces: async function* () {
      yield f32ToStored(name, [count], new Float32Array(count).fill(count), "F32").bytes;
    },
  });

  test("a tensor is never split; index and files are those of Hugging Face", async () => {
    const folder = join(scratch, "shards");
    await writeCheckpoint(folder, [pending("old", 2)], {});
    const files = await writeCheckpoint(
      folder,
      [4, 4, 30, 2, 1].map((n, i) => pending(`t${i}`, n)),
      { format: "pt" },
      36,
    );
    assert.deepEqual(
      files,
      [1, 2, 3].map((n) => `model-0000${n}-of-00003.safetensors`),
    );
    // The file of before is gone: a reader would have preferred it.
    assert.deepEqual(readdirSync(folder).sort(), [...files, "model.safetensors.index.json"]);
    const index = JSON.parse(readFileSync(join(folder, "model.safetensors.index.json"), "utf8")) as unknown;
    const [first, second, third] = files;
    assert.deepEqual(index, {
      metadata: { total_size: 164 },
      weight_map: { t0: first, t1: first, t2: second, t3: third, t4: third },
    });
    const open = openTensorFile(folder, inFolder(folder));
    for (const [i, n] of [4, 4, 30, 2, 1].entries())
      assert.deepEqual([...storedToF32(open.read(`t${i}`))], Array(n).fill(n));
    open.close();
    await assert.rejects(writeCheckpoint(folder, [pending("a", 1)], {}, 0), isError(/must have room for bytes/));
  });

  test("a path that cannot be written is named, with the system's reason", async () => {
    const blocked = join(scratch, "blocked");
    writeFileSync(blocked, "a file, no folder");
    await assert.rejects(
      writeAtomically(join(blocked, "x.json"), "{}"),
      isError(/blocked\/x\.json cannot be written \(E/),
    );
    assert.equal(readFileSync(blocked, "utf8"), "a file, no folder");
  });

  test("a piece too few leaves no file", async () => {
    const folder = join(scratch, "short");
    const short = { ...pending("a", 2), pieces: pending("a", 1).pieces };
    await assert.rejects(writeCheckpoint(folder, [short], {}), isError(/Tensor a takes 8 bytes; 4 were given/));
    assert.deepEqual(readdirSync(folder), []);
    await assert.rejects(
      writeCheckpoint(folder, [pending("a", 1), pending("a", 1)], {}),
      isError(/names of tensors must differ/),
    );
  });
});
