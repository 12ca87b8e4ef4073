/** The user's own captioned pictures: both forms, and what is said about wrong ones. */
import assert from "node:assert/strict";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, describe, test } from "node:test";
import { PictureSetError, readPictureSet } from "../../src/data/pictureSets.ts";

const folder = mkdtempSync(join(tmpdir(), "rediff-pictures-"));
after(() => rmSync(folder, { recursive: true, force: true }));
const put = (name: string, content: string): string => {
  const path = join(folder, name);
  mkdirSync(join(path, ".."), { recursive: true });
  writeFileSync(path, content);
  return path;
};
const turns = (...values: string[]) => values.map((value, i) => ({ from: i % 2 ? "gpt" : "human", value }));

describe("captioned pictures", () => {
  test("a folder of pairs, in order of name; pictures without a caption are counted", async () => {
    for (const name of ["pairs/b.png", "pairs/a.JPG", "pairs/lonely.webp", "pairs/notes.md"]) put(name, "");
    put("pairs/a.txt", " a red field\n");
    put("pairs/b.txt", "a blue field");
    put("pairs/c.txt", "no picture");
    const { pictures, skipped } = await readPictureSet(join(folder, "pairs"));
    assert.deepEqual(pictures, [
      { path: join(folder, "pairs/a.JPG"), caption: "a red field" },
      { path: join(folder, "pairs/b.png"), caption: "a blue field" },
    ]);
    assert.deepEqual([...skipped], [["without a caption", 1]]);
  });

  test("LLaVA's form: the first question and answer, paths relative to the file", async () => {
    put("llava/images/x.png", "");
    const path = put(
      "llava/train.json",
      JSON.stringify([
        { id: "1", image: "images/x.png", conversations: turns("<image>\nDescribe.", " A star. ", "And?", "No more.") },
        { id: "2", conversations: turns("Hello", "Hello") },
        { id: "3", image: "images/x.png", conversations: [{ from: "gpt", value: "A star." }] },
      ]),
    );
    const { pictures, skipped } = await readPictureSet(path);
    assert.deepEqual(pictures, [{ path: join(folder, "llava/images/x.png"), caption: "A star." }]);
    assert.deepEqual(Object.fromEntries(skipped), {
      "without a picture": 1,
      "that do not begin with human, then gpt": 1,
    });
  });

  test("ReDiff's corrections: the answer is the wrong caption", async () => {
    put("x.png", "");
    const entry = (said: string, ...revise: object[]) => ({ image: "x.png", conversations: turns("?", said), revise });
    const path = put(
      "rediff.jsonl",
      [
        entry("a red star on a red field", { org: "red star", target: "white crescent" }),
        entry("a star", { org: "moon", target: "sun" }),
        entry("right as it is"),
      ]
        .map((line) => `${JSON.stringify(line)}\n`)
        .join("\n"),
    );
    const { pictures, skipped } = await readPictureSet(path);
    const picture = join(folder, "x.png");
    assert.deepEqual(pictures, [
      { path: picture, caption: "a white crescent on a red field", wrong: "a red star on a red field" },
      { path: picture, caption: "right as it is" },
    ]);
    assert.deepEqual([...skipped], [["with a correction of words that do not occur", 1]]);
  });

  test("what cannot be read is an error that says where and what", async () => {
    const fails = (path: string, message: RegExp) =>
      assert.rejects(readPictureSet(path), (error) => error instanceof PictureSetError && message.test(error.message));
    await fails(join(folder, "nowhere"), /There is no .*nowhere/);
    await fails(put("empty/readme.md", "").replace("readme.md", ""), /holds none/);
    await fails(put("bad.json", "[{"), /must be JSON/);
    await fails(put("bad.jsonl", '{"image":"x.png","conversations":[]}\n{'), /line 2/);
    await fails(put("form.json", '[{"image":"x.png","conversations":[{"from":"human"}]}]'), /Entry 1 .*value/);
    await fails(
      put("gone.json", JSON.stringify([{ image: "gone.png", conversations: turns("?", "a") }])),
      /there is no .*gone\.png/,
    );
    await fails(
      put("silent.json", JSON.stringify([{ image: "x.png", conversations: turns("?", " ") }])),
      /holds none \(1 without a caption\)/,
    );
  });
});
