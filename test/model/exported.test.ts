/** Folders that we export are the ones that Python has opened, and our logits are those that PyTorch computed from them (test/goldens/exported.py). */
import assert from "node:assert/strict";
import { mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { crc32 } from "node:zlib";
import { inFolder } from "../../src/model/files.ts";
import { parseSafetensors, type StoredTensor } from "../../src/model/safetensors.ts";
import { storedToF32 } from "../../src/model/storedValues.ts";
import { openTensorFile } from "../../src/model/tensorFile.ts";
import { openDevice } from "../../src/tensor/index.ts";
import { writeExports } from "../support/exported.ts";
import { near, type Sketch } from "../support/publishedTraining.ts";

interface Found {
  /** CRC-32 of each file of the weights. */
  readonly files: Readonly<Record<string, number>>;
  readonly tensors: Readonly<
    Record<string, readonly [file: string, dtype: string, shape: readonly number[], ...Sketch]>
  >;
  readonly image: readonly [tokens: number, ...Sketch];
  readonly logits: Sketch;
  /** First logits of the last place. */
  readonly last: readonly number[];
}
interface Golden {
  readonly inputs: Readonly<Record<"pixels" | "size" | "before" | "after" | "canvas", Sketch>>;
  readonly command: Found;
  readonly shards: Found;
}
const golden = JSON.parse(readFileSync(new URL("../goldens/exported.json", import.meta.url), "utf8")) as Golden;

const scratch = mkdtempSync(join(tmpdir(), "exported-"));
before(async () => {
  const device = await openDevice();
  const { log } = console;
  console.log = () => {};
  await writeExports(device, scratch);
  console.log = log;
  await device.close();
});
after(() => rmSync(scratch, { recursive: true }));

const torchDtypes: Readonly<Record<string, string>> = { F32: "torch.float32", BF16: "torch.bfloat16" };

for (const [name, title] of [
  ["command", "LLaDA's layout in bf16"],
  ["shards", "LLaDA-V's layout in f32 in shards"],
] as const)
  test(`${title}: the files that Python opened, and what it found in them`, () => {
    const folder = join(scratch, name);
    const { files, tensors } = golden[name];
    for (const [file, sum] of Object.entries(files)) assert.equal(crc32(readFileSync(join(folder, file))), sum, file);
    assert.deepEqual(
      readdirSync(folder).filter((file) => file.startsWith("model")),
      Object.keys(files).sort(),
    );
    const open = openTensorFile(folder, inFolder(folder));
    assert.deepEqual([...open.tensors.keys()].sort(), Object.keys(tensors).sort());
    for (const [key, [, dtype, shape, ...sketched]] of Object.entries(tensors)) {
      const stored = open.read(key);
      assert.deepEqual([torchDtypes[stored.dtype], stored.shape], [dtype, shape], key);
      near(storedToF32(stored), sketched, key);
    }
    open.close();
  });

test("a tiled picture's tokens and the logits of a canvas are PyTorch's, from either layout", () => {
  const { tensors } = parseSafetensors(readFileSync(join(scratch, "command/logits.safetensors")), "logits");
  const get = (name: string): StoredTensor => tensors.get(name)!;
  const numbers = (stored: StoredTensor): ArrayLike<number> =>
    stored.dtype === "I32" ? new Int32Array(Uint8Array.from(stored.bytes).buffer) : storedToF32(stored);
  assert.equal(tensors.size, Object.keys(golden.inputs).length + 2);
  for (const [name, sketched] of Object.entries(golden.inputs))
    near(numbers(get(name)), sketched, `${name}, of which PyTorch computed`);
  const logits = storedToF32(get("logits"));
  const V = get("logits").shape[1]!;
  for (const { image, logits: want, last } of [golden.command, golden.shards]) {
    const [tokens, ...sketched] = image;
    assert.equal(get("image").shape[0], tokens);
    near(storedToF32(get("image")), sketched, "image");
    near(logits, want, "logits");
    // Logits reach 22, and two orders of summation of f32 differ by 4e-4 there.
    last.forEach((value, v) => assert.ok(Math.abs(logits[logits.length - V + v]! - value) < 1e-3, `logit ${v}`));
  }
});
