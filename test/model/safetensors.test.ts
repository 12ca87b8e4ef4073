/** Files that lie: every damaged header gives a CheckpointError, never a crash or a value. */
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import fc from "fast-check";
import {
  CheckpointError,
  f32ToStored,
  formatSafetensors,
  parseSafetensors,
  storedToF32,
} from "../../src/model/safetensors.ts";

const tensors = [
  f32ToStored("a", [2, 3], Float32Array.of(1, -2, 3.5, 0, -0, 1e-8), "F32"),
  f32ToStored("b", [3], Float32Array.of(1, 2, 65504), "F16"),
];
const file = formatSafetensors(tensors, { step: "7" });

/** Entries of a header, to be made wrong. */
type Header = Record<string, Record<string, unknown>>;

function withHeader(change: (header: Header) => void): Uint8Array {
  const length = Number(new DataView(file.buffer).getBigUint64(0, true));
  const header = JSON.parse(new TextDecoder().decode(file.subarray(8, 8 + length))) as Header;
  change(header);
  const text = new TextEncoder().encode(JSON.stringify(header));
  const changed = new Uint8Array(8 + text.length + file.length - 8 - length);
  new DataView(changed.buffer).setBigUint64(0, BigInt(text.length), true);
  changed.set(text, 8);
  changed.set(file.subarray(8 + length), 8 + text.length);
  return changed;
}

const refuses = (bytes: Uint8Array, pattern: RegExp): void =>
  assert.throws(
    () => parseSafetensors(bytes, "x"),
    (error: unknown) => error instanceof CheckpointError && pattern.test(error.message),
  );

describe("safetensors", () => {
  test("round trip, bit by bit; f16 where it is exact", () => {
    const { tensors: read, metadata } = parseSafetensors(file, "x");
    assert.equal(metadata["step"], "7");
    assert.deepEqual(
      new Uint8Array(storedToF32(read.get("a")!).buffer),
      new Uint8Array(Float32Array.of(1, -2, 3.5, 0, -0, 1e-8).buffer),
    );
    assert.deepEqual([...storedToF32(read.get("b")!)], [1, 2, 65504]);
  });

  test("cut short at every length", () => {
    for (let length = 0; length < file.length; length++)
      refuses(file.subarray(0, length), /not a valid safetensors file/);
  });

  test("headers that lie", () => {
    refuses(
      withHeader((h) => (h["a"]!["shape"] = [2, 4])),
      /takes 32 bytes, but its offsets span 24/,
    );
    refuses(
      withHeader((h) => (h["a"]!["dtype"] = "F33")),
      /unknown dtype "F33"/,
    );
    refuses(
      withHeader((h) => (h["a"]!["shape"] = [-2, -3])),
      /no valid shape/,
    );
    refuses(
      withHeader((h) => (h["a"]!["shape"] = "6")),
      /no valid shape/,
    );
    refuses(
      withHeader((h) => (h["b"]!["data_offsets"] = [24, 1e12])),
      /offsets span/,
    );
    refuses(
      withHeader((h) => (h["b"]!["data_offsets"] = [18, 24])),
      /begins at byte 18, but the one before it ends at/,
    );
    refuses(
      withHeader((h) => delete h["b"]),
      /bytes follow the last tensor/,
    );
    refuses(
      withHeader((h) => (h["a"] = null as never)),
      /unknown dtype/,
    );
    refuses(
      withHeader((h) => (h["__metadata__"] = { step: 7 })),
      /not an object of strings/,
    );
    const huge = file.slice();
    new DataView(huge.buffer).setBigUint64(0, 2n ** 62n, true);
    refuses(huge, /header claims/);
    refuses(Uint8Array.from([2, 0, 0, 0, 0, 0, 0, 0, 0x5b, 0x5d]), /not a JSON object/);
  });

  test("any changed byte of the header gives the same file, another valid one, or a CheckpointError", () => {
    const length = Number(new DataView(file.buffer).getBigUint64(0, true));
    fc.assert(
      fc.property(fc.integer({ min: 0, max: 7 + length }), fc.integer({ min: 0, max: 255 }), (at, value) => {
        const changed = file.slice();
        changed[at] = value;
        try {
          for (const { bytes } of parseSafetensors(changed, "x").tensors.values())
            assert.ok(bytes.byteLength <= file.length);
        } catch (error) {
          assert.ok(error instanceof CheckpointError, String(error));
        }
      }),
      { seed: 42, numRuns: 2000 },
    );
  });

  test("a tensor that is not of floats", () => {
    assert.throws(
      () => storedToF32({ name: "ids", dtype: "I64", shape: [1], bytes: new Uint8Array(8) }),
      /must hold floats .* it is I64/,
    );
  });

  test("bf16 is the upper half of f32", () => {
    assert.deepEqual(
      [...storedToF32({ name: "w", dtype: "BF16", shape: [2], bytes: Uint8Array.of(0x80, 0x3f, 0x20, 0xc0) })],
      [1, -2.5],
    );
  });
});
