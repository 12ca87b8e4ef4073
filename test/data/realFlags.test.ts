import assert from "node:assert/strict";
import { readdir, stat } from "node:fs/promises";
import { test } from "node:test";
import { realFlagFile, realFlagImage, realFlags } from "../../src/data/realFlags.ts";

test("every flag has one picture, 120 pixels wide, and every picture a flag", async () => {
  const flags = await realFlags();
  const folder = new URL("../../data/flags/png/", import.meta.url);
  const files = await readdir(folder);
  assert.deepEqual(files.sort(), flags.map((flag) => `${flag.id}.png`).sort());
  let bytes = 0;
  for (const file of files) bytes += (await stat(new URL(file, folder))).size;
  assert.ok(bytes < 1 << 20, `the pictures must stay below 1 MiB, but they have ${bytes} bytes`);
  for (const flag of flags) assert.equal((await realFlagImage(flag)).width, 120, flag.id);
});

test("the pictures show the colours that the texts begin with", async () => {
  const flags = await realFlags();
  const pixel = async (id: string, x: number, y: number): Promise<number[]> => {
    const image = await realFlagImage(flags.find((flag) => flag.id === id)!);
    const at = 3 * (Math.floor(y * image.height) * image.width + Math.floor(x * image.width));
    return [...image.data.subarray(at, at + 3)];
  };
  // Nepal's picture is transparent beside its triangles; the others are the first clauses of their descriptions.
  assert.deepEqual(await pixel("np", 0.95, 0.05), [255, 255, 255]);
  assert.deepEqual(await pixel("jp", 0.05, 0.05), [255, 255, 255]);
  const [red, green, blue] = (await pixel("jp", 0.5, 0.5)) as [number, number, number];
  assert.ok(red > 150 && green < 60 && blue < 80);
  assert.deepEqual(await pixel("de", 0.5, 0.1), [0, 0, 0]);
});

test("a visible part only leaves words out: its letters are a subsequence of the description's", async () => {
  for (const { id, visual, description } of await realFlags()) {
    let at = 0;
    for (const letter of visual) {
      at = description.indexOf(letter, at) + 1;
      assert.ok(at > 0, `${id}: ${JSON.stringify(letter)} of the visible part does not follow in the description`);
    }
    assert.ok(visual.split(/\s+/).length >= 5, id);
    assert.doesNotMatch(
      visual,
      /symboli[sz](es|ing)|represents (?!a map|grain)|stands? for|signif|;$|^ | $| {2}|; ;/,
      id,
    );
  }
});

test("a region lies in one split, and all three splits are populated", async () => {
  const { flags, splits, excluded } = await realFlagFile();
  for (const flag of flags) assert.equal(flag.split, splits[flag.region], flag.id);
  const sizes = Object.fromEntries(
    (["train", "val", "test"] as const).map((s) => [s, flags.filter((f) => f.split === s).length]),
  );
  assert.deepEqual(sizes, { train: 136, val: 22, test: 71 });
  assert.equal((await realFlags("val")).length, 22);
  const pages = [...flags, ...excluded].map((x) => x.source);
  assert.equal(new Set(pages).size, pages.length, "no page of the Factbook is used twice");
  assert.ok(excluded.every((x) => x.reason.length > 0));
});

test("no picture stands twice: a territory that flies another's flag has no place here", async () => {
  const seen = new Map<string, string>();
  for (const flag of await realFlags()) {
    const image = await realFlagImage(flag);
    const key = `${image.height} ${Buffer.from(image.data).toString("latin1")}`;
    assert.equal(seen.get(key), undefined, `${flag.id} has the same picture as ${seen.get(key)}`);
    seen.set(key, flag.id);
  }
});
