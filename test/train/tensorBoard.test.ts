/** Event files, byte for byte as TensorBoard 2.21.0 read them on 2026-11-23. */
import assert from "node:assert/strict";
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, describe, test } from "node:test";
import { RediffError } from "../../src/tensor/index.ts";
import { crc32c, tensorBoard } from "../../src/train/tensorBoard.ts";

/** A record a line: version, start at step 7, loss 0.25 at step 300, text "é" at step 301. Its event times are 1.5 s. */
const golden =
  "1800000000000000a37f4b2209000000000000f83f1a0d627261696e2e4576656e743a322a28646c" +
  "0f000000000000006d532b0909000000000000f83f10073a020801774771c7" +
  "1b000000000000001a0d9e1309000000000000f83f10ac022a0d0a0b0a046c6f7373150000803e9908deed" +
  "31000000000000009d8383e909000000000000f83f10ad022a230a210a0763617074696f6e4a080a060a0474657874420c08071204120208014202c3a9adfac856";

describe("TensorBoard event files", () => {
  const folder = mkdtempSync(join(tmpdir(), "rediff-events-"));
  after(() => rmSync(folder, { recursive: true, force: true }));

  test("scalars and text, as TensorBoard reads them", () => {
    const out = join(folder, "a", "b");
    const board = tensorBoard(out, 7, () => 1.5);
    board.scalar("loss", 0.25, 300);
    board.text("caption", "é", 301);
    board.close();
    const [name, ...more] = readdirSync(out);
    assert.equal(more.length, 0);
    assert.match(name!, /^events\.out\.tfevents\.0000000001\./);
    assert.equal(readFileSync(join(out, name!)).toString("hex"), golden);
  });

  test("steps and lengths beyond one byte keep all their digits", () => {
    const out = join(folder, "long");
    const board = tensorBoard(out, 0, () => 0);
    board.text("t", "x".repeat(20_000), 2 ** 40 + 5);
    board.close();
    const file = readFileSync(join(out, readdirSync(out)[0]!));
    // 2^40 + 5 in groups of seven bits, the lowest first.
    assert.ok(file.includes(Buffer.from([0x10, 0x85, 0x80, 0x80, 0x80, 0x80, 0x20])));
    assert.ok(file.includes(Buffer.concat([Buffer.from([0x42, 0xa0, 0x9c, 0x01]), Buffer.alloc(20_000, "x")])));
  });

  test("the checksum is CRC-32C", () => {
    // RFC 3720, B.4, and the usual check value.
    assert.equal(crc32c(new TextEncoder().encode("123456789")), 0xe3069283);
    assert.equal(crc32c(new Uint8Array(32)), 0x8a9136aa);
    assert.equal(crc32c(new Uint8Array(32).fill(0xff)), 0x62a8ab43);
  });

  test("a folder that cannot be made is an error that names it", () => {
    const file = join(folder, "file");
    writeFileSync(file, "");
    assert.throws(() => tensorBoard(join(file, "run"), 0), RediffError);
  });
});
