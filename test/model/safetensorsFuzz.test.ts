/**
 * Headers and indices that are nearly valid, read by ranges as large files are: what is accepted is what a plain checker calls valid, its
 * bytes are the right ones, nothing is read beyond a file's end, and every file is closed again.
 */
import assert from "node:assert/strict";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, describe, test } from "node:test";
import fc from "fast-check";
import { fileSource } from "../../src/model/files.ts";
import { CheckpointError } from "../../src/model/safetensors.ts";
import {
  type ByteSource,
  memorySource,
  openTensorFile,
  openTensors,
  type TensorFile,
} from "../../src/model/tensorFile.ts";

/** Bits of an element, from the format's description. */
const widths: Readonly<Record<string, number>> = {
  F64: 64,
  F32: 32,
  I32: 32,
  F16: 16,
  BF16: 16,
  I8: 8,
  BOOL: 8,
  F4: 4,
};

interface Entry {
  readonly name: string;
  readonly dtype: string;
  readonly shape: readonly number[];
  readonly offsets: readonly number[];
}

const bytesOf = (dtype: string, shape: readonly number[]): number =>
  shape.reduce((product, n) => product * n, widths[dtype]!) / 8;

/** Each byte of the data belongs to one tensor, of its own size; what is empty lies between two. By painting the bytes. */
function isValid(entries: readonly Entry[], dataBytes: number): boolean {
  const owner = new Int8Array(dataBytes).fill(-1);
  for (const [number, { dtype, shape, offsets }] of entries.entries()) {
    const [start, end] = offsets;
    const numbers = [...shape, ...offsets];
    if (offsets.length !== 2 || !(dtype in widths) || !numbers.every((n) => Number.isInteger(n) && n >= 0))
      return false;
    if (end! - start! !== bytesOf(dtype, shape) || end! > dataBytes) return false;
    for (let i = start!; i < end!; i++) {
      if (owner[i] !== -1) return false;
      owner[i] = number;
    }
  }
  const between = (i: number) => i === 0 || i === dataBytes || owner[i] !== owner[i - 1];
  return !owner.includes(-1) && entries.every(({ offsets: [start, end] }) => start! < end! || between(start!));
}

const stored = fc.record({
  dtype: fc.constantFrom(...Object.keys(widths)),
  shape: fc.array(fc.nat(3), { maxLength: 3 }),
  place: fc.nat(),
});

/** A valid header: tensors whose data follow each other in an order of their own. */
const laidOut = fc.array(stored, { maxLength: 5 }).map((tensors) => {
  let end = 0;
  const whole = tensors
    .map((tensor, i) => ({ ...tensor, name: `t${i}` }))
    .filter((t) => Number.isInteger(bytesOf(t.dtype, t.shape)));
  const offsets = new Map(
    whole
      .toSorted((a, b) => a.place - b.place)
      .map(({ name, dtype, shape }) => [name, [end, (end += bytesOf(dtype, shape))]]),
  );
  const entries = whole.map(({ name, dtype, shape }): Entry => ({ name, dtype, shape, offsets: offsets.get(name)! }));
  return { entries, dataBytes: end };
});
type LaidOut = typeof laidOut extends fc.Arbitrary<infer T> ? T : never;

type Change = (file: LaidOut, at: number, by: number) => LaidOut;

/** A change of one entry. */
const entry =
  (change: (entry: Entry, by: number) => Partial<Entry>): Change =>
  ({ entries, dataBytes }, at, by) => ({
    entries: entries.map((own, i) => (i === at % entries.length ? { ...own, ...change(own, by) } : own)),
    dataBytes,
  });

/** Something small that is changed in it, which may leave it valid. */
const changes: readonly Change[] = [
  entry(({ offsets: [a, b] }, by) => ({ offsets: [a! + by, b! + by] })),
  entry(({ offsets: [a, b] }, by) => ({ offsets: [a!, b! + by] })),
  entry(({ offsets }) => ({ offsets: offsets.toReversed() })),
  entry(({ offsets }) => ({ offsets: offsets.slice(1) })),
  entry(({ shape }, by) => ({ shape: shape.map((n, i) => (i ? n : n + by)) })),
  entry(({ shape }) => ({ shape: shape.toReversed() })),
  entry(({ shape }, by) => ({ shape: [...shape, by > 0 ? 1 : 2 ** 40] })),
  entry(({ shape }) => ({ shape: [...shape, 0.5] })),
  entry((_, by) => ({ dtype: [...Object.keys(widths), "F33"].at(by)! })),
  // The data of two tensors change places, which only tensors of one size survive.
  ({ entries, dataBytes }, at) => {
    const [a, b] = [entries[at % entries.length], entries[(at + 1) % entries.length]];
    const offsetsOf = (own: Entry) => (own === a ? b! : own === b ? a! : own).offsets;
    return { entries: entries.map((own) => ({ ...own, offsets: offsetsOf(own) })), dataBytes };
  },
  ({ entries, dataBytes }, at) => ({ entries: entries.filter((_, i) => i !== at % entries.length), dataBytes }),
  ({ entries, dataBytes }, at) => {
    const twice = entries.slice(at % entries.length).slice(0, 1);
    return { entries: [...entries, ...twice.map((own) => ({ ...own, name: `new${entries.length}` }))], dataBytes };
  },
  ({ entries, dataBytes }, at) => {
    const offsets = [at % (dataBytes + 1), at % (dataBytes + 1)];
    return { entries: [...entries, { name: `new${entries.length}`, dtype: "F32", shape: [0, 3], offsets }], dataBytes };
  },
  ({ entries, dataBytes }, _, by) => ({ entries, dataBytes: Math.max(0, dataBytes + by) }),
];

const nearlyValid = fc
  .tuple(
    laidOut,
    fc.array(fc.tuple(fc.nat(changes.length - 1), fc.nat(), fc.integer({ min: -4, max: 4 })), { maxLength: 2 }),
  )
  .map(([file, edits]) => edits.reduce((changed, [which, at, by]) => changes[which]!(changed, at, by), file));

const byteAt = (i: number): number => (i * 7 + 3) % 256;

function fileOf({ entries, dataBytes }: LaidOut): Uint8Array {
  const json = Object.fromEntries(
    entries.map(({ name, dtype, shape, offsets }) => [name, { dtype, shape, data_offsets: offsets }]),
  );
  const header = new TextEncoder().encode(JSON.stringify(json));
  const file = new Uint8Array(8 + header.length + dataBytes);
  new DataView(file.buffer).setBigUint64(0, BigInt(header.length), true);
  file.set(header, 8);
  for (let i = 0; i < dataBytes; i++) file[8 + header.length + i] = byteAt(i);
  return file;
}

/** Sources that refuse to be read beyond their end, or after they were closed, and know how many are open. */
class Watch {
  open = 0;
  reads = 0;
  over(source: ByteSource): ByteSource {
    this.open++;
    let closed = false;
    return {
      ...source,
      read: (start, end) => {
        this.reads++;
        const within = 0 <= start && start <= end && end <= source.bytes;
        assert.ok(within && !closed, `read of ${start} to ${end} of ${source.bytes} bytes, closed: ${closed}`);
        return source.read(start, end);
      },
      close: () => {
        assert.ok(!closed, "closed twice");
        closed = true;
        this.open--;
        source.close();
      },
    };
  }
}

/** What opens, or undefined where it is refused as a checkpoint; any other error is thrown. */
function opened(open: () => TensorFile): TensorFile | undefined {
  try {
    return open();
  } catch (error) {
    if (!(error instanceof CheckpointError)) throw error;
    return undefined;
  }
}

/** All tensors, whole and by rows, hold the bytes that their offsets name. */
function checkBytes(file: TensorFile, entries: readonly Entry[]): void {
  assert.deepEqual([...file.tensors.keys()].sort(), entries.map(({ name }) => name).sort());
  for (const { name, dtype, shape, offsets } of entries) {
    const [start, end] = offsets as [number, number];
    const want = Array.from({ length: end - start }, (_, i) => byteAt(start + i));
    assert.deepEqual([...file.read(name).bytes], want, name);
    const row = bytesOf(dtype, shape.slice(1));
    if (!shape.length || !Number.isInteger(row)) continue;
    for (let from = 0; from < shape[0]!; from++)
      assert.deepEqual(
        [...file.read(name, from, from + 1).bytes],
        want.slice(from * row, (from + 1) * row),
        `${name}, row ${from}`,
      );
  }
}

/** Opens a file, compares with the plain checker, and closes it. Returns whether it was accepted. */
function judge(given: LaidOut, source: ByteSource): boolean {
  const watch = new Watch();
  const valid = isValid(given.entries, given.dataBytes);
  const file = opened(() => openTensors(watch.over(source)));
  assert.equal(file !== undefined, valid, valid ? "a valid file was refused" : "an invalid file was accepted");
  assert.ok(watch.reads <= 2, "opening reads the length and the header");
  if (file) {
    checkBytes(file, given.entries);
    file.close();
  }
  assert.equal(watch.open, 0, "closed");
  return valid;
}

const scratch = mkdtempSync(join(tmpdir(), "safetensors-fuzz-"));
after(() => rmSync(scratch, { recursive: true }));

describe("one file", () => {
  test("of nearly valid headers, those that are valid are accepted and no others", () => {
    const counts = { accepted: 0, refused: 0 };
    fc.assert(
      fc.property(nearlyValid, (given) => {
        counts[judge(given, memorySource(fileOf(given), "x")) ? "accepted" : "refused"]++;
      }),
      { seed: 44, numRuns: 4000 },
    );
    assert.ok(counts.accepted > 1000 && counts.refused > 1000, JSON.stringify(counts));
  });

  test("in the file system too", () => {
    const path = join(scratch, "x.safetensors");
    fc.assert(
      fc.property(nearlyValid, (given) => {
        writeFileSync(path, fileOf(given));
        judge(given, fileSource(path)!);
      }),
      { seed: 45, numRuns: 300 },
    );
  });

  test("cut short or lengthened no valid file is left; with a changed byte before the data, one is refused or lies within itself", () => {
    const damage = fc.tuple(
      laidOut,
      fc.nat(),
      fc.integer({ min: 0, max: 255 }),
      fc.constantFrom("cut", "grow", "change"),
    );
    fc.assert(
      fc.property(damage, ([given, at, value, kind]) => {
        const whole = fileOf(given);
        const place = at % (whole.length - given.dataBytes);
        const bytes =
          kind === "cut"
            ? whole.subarray(0, at % whole.length)
            : Uint8Array.from([...whole, ...(kind === "grow" ? [value] : [])]);
        if (kind === "change") bytes[place] = value;
        const watch = new Watch();
        const file = opened(() => openTensors(watch.over(memorySource(bytes, "x"))));
        assert.ok(!file || kind === "change", "accepted");
        for (const name of file?.tensors.keys() ?? []) file!.read(name);
        file?.close();
        assert.equal(watch.open, 0, "closed");
      }),
      { seed: 46, numRuns: 3000 },
    );
  });
});

describe("an index and its files", () => {
  const names = ["a.safetensors", "b.safetensors", "c.safetensors"];
  /** Which of three files each of some tensors is in. */
  const tensorsOf = fc.array(fc.nat(2), { minLength: 1, maxLength: 6 });
  type Index = { files: Record<string, string[]>; map: Record<string, unknown> };
  const indexChanges: readonly ((index: Index, at: number) => Index)[] = [
    ({ files, map }, at) => ({ files, map: without(map, at) }),
    ({ files, map }, at) => ({ files, map: { ...map, [`u${at}`]: names[at % 3] } }),
    ({ files, map }, at) => ({ files: without(files, at), map }),
    ({ files, map }, at) => ({ files, map: rename(map, at, names[at % 3]) }),
    ({ files, map }, at) => ({
      files,
      map: rename(
        map,
        at,
        ["../a.safetensors", "/a.safetensors", "a.bin", "", "..\\a.safetensors", 7, null, ["a.safetensors"]][at % 8],
      ),
    }),
    // A tensor is in a second file.
    ({ files, map }, at) => ({
      files: { ...files, [names[at % 3]!]: [...new Set([...(files[names[at % 3]!] ?? []), "t0"])] },
      map,
    }),
  ];
  const without = <T>(object: Record<string, T>, at: number): Record<string, T> => {
    const keys = Object.keys(object);
    return Object.fromEntries(Object.entries(object).filter(([key]) => key !== keys[at % keys.length]));
  };
  const rename = (map: Record<string, unknown>, at: number, file: unknown): Record<string, unknown> => {
    const key = Object.keys(map)[at % Object.keys(map).length];
    return key === undefined ? map : { ...map, [key]: file };
  };

  /** The names are those of files beside it that are there, and hold the tensors that it names, once each. */
  function isValidIndex({ files, map }: Index): boolean {
    const named = new Set(Object.values(map));
    if (![...named].every((file) => typeof file === "string" && names.includes(file) && file in files)) return false;
    const found = [...named].flatMap((file) => files[file as string]!);
    return (
      found.length === Object.keys(map).length &&
      found.every((name) => name in map) &&
      new Set(found).size === found.length
    );
  }

  function folderOf(
    files: Record<string, string[]>,
    index: Uint8Array,
  ): { watch: Watch; open: (file: string) => ByteSource | undefined } {
    const watch = new Watch();
    const bytes = new Map<string, Uint8Array>([["model.safetensors.index.json", index]]);
    for (const [file, own] of Object.entries(files)) {
      const entries = own.map((name, i): Entry => ({
        name,
        dtype: "I8",
        shape: [2],
        offsets: [2 * i, 2 * i + 2],
      }));
      bytes.set(file, fileOf({ entries, dataBytes: 2 * entries.length }));
    }
    return { watch, open: (file) => (bytes.has(file) ? watch.over(memorySource(bytes.get(file)!, file)) : undefined) };
  }

  const nearlyValidIndex = fc
    .tuple(tensorsOf, fc.array(fc.tuple(fc.nat(indexChanges.length - 1), fc.nat()), { maxLength: 2 }))
    .map(([places, edits]) => {
      const files: Record<string, string[]> = {};
      for (const [i, place] of places.entries()) (files[names[place]!] ??= []).push(`t${i}`);
      const map = Object.fromEntries(places.map((place, i) => [`t${i}`, names[place]]));
      return edits.reduce((index, [which, at]) => indexChanges[which]!(index, at), { files, map } as Index);
    });
  const bytesOfIndex = ({ map }: Index): Uint8Array =>
    new TextEncoder().encode(JSON.stringify({ metadata: { total_size: 1 }, weight_map: map }));

  test("of nearly valid ones, those that are valid are accepted and no others", () => {
    const counts = { accepted: 0, refused: 0 };
    fc.assert(
      fc.property(nearlyValidIndex, (index) => {
        const { watch, open } = folderOf(index.files, bytesOfIndex(index));
        const file = opened(() => openTensorFile("x", open));
        const valid = isValidIndex(index);
        assert.equal(file !== undefined, valid, valid ? "a valid index was refused" : "an invalid index was accepted");
        counts[valid ? "accepted" : "refused"]++;
        if (file) {
          assert.deepEqual([...file.tensors.keys()].sort(), Object.keys(index.map).sort());
          for (const name of file.tensors.keys()) assert.equal(file.read(name).bytes.length, 2);
          file.close();
        }
        assert.equal(watch.open, 0, "all closed");
      }),
      { seed: 47, numRuns: 3000 },
    );
    assert.ok(counts.accepted > 500 && counts.refused > 500, JSON.stringify(counts));
  });

  test("any JSON in its place, and any changed byte, is refused or read, and all is closed", () => {
    const texts = fc.oneof(
      fc.jsonValue().map((value) => new TextEncoder().encode(JSON.stringify(value))),
      fc.jsonValue().map((value) => new TextEncoder().encode(JSON.stringify({ weight_map: value }))),
      fc.uint8Array({ maxLength: 40 }),
      fc.tuple(nearlyValidIndex, fc.nat(), fc.nat(255)).map(([index, at, value]) => {
        const bytes = bytesOfIndex(index);
        bytes[at % bytes.length] = value;
        return bytes;
      }),
    );
    fc.assert(
      fc.property(texts, (text) => {
        const { watch, open } = folderOf({ "a.safetensors": ["t0", "t1"], "b.safetensors": ["t2"] }, text);
        opened(() => openTensorFile("x", open))?.close();
        assert.equal(watch.open, 0, "all closed");
      }),
      { seed: 48, numRuns: 2000 },
    );
  });
});
