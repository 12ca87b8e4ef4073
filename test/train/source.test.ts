/** Where examples come from: flags, the user's pictures, mixtures; and Stage I on pictures. */
import assert from "node:assert/strict";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, describe, test } from "node:test";
import { PNG } from "pngjs";
import { answerIds, loadTokenizer } from "../../src/model/tokenizer.ts";
import { randomStream, RediffError } from "../../src/tensor/index.ts";
import { drawBatch } from "../../src/train/batch.ts";
import { categoryIds } from "../../src/train/corruption.ts";
import { type Difficulty, flagSource, mixedSource, pictureSource, shuffledOrder } from "../../src/train/source.ts";
import { defaultStage1Options, revisionLesson } from "../../src/train/stage1.ts";

const tokenizer = loadTokenizer(readFileSync(new URL("../../data/tokenizer/tokenizer.json", import.meta.url), "utf8"));
const difficulty: Difficulty = { canvas: 48, shares: [0.3, 0.3, 0.4] };
const folder = mkdtempSync(join(tmpdir(), "rediff-source-"));
after(() => rmSync(folder, { recursive: true, force: true }));

/** A picture of one grey. */
function grey(name: string, level: number): string {
  const png = new PNG({ width: 8, height: 6 });
  png.data.fill(level);
  for (let i = 3; i < png.data.length; i += 4) png.data[i] = 255;
  const path = join(folder, name);
  writeFileSync(path, PNG.sync.write(png));
  return path;
}
const pictures = [
  { path: grey("dark.png", 0), caption: "a black flag" },
  { path: grey("light.png", 255), caption: "a white flag", wrong: "a red flag" },
  { path: grey("long.png", 128), caption: "a flag ".repeat(60) },
];

describe("sources", () => {
  test("flags: a function of seed and index, answers fit, false captions differ", () => {
    const source = flagSource(5);
    const drawn = (index: number) => source(index, difficulty, tokenizer);
    for (let index = 0; index < 20; index++) {
      const { caption, answer, falseCaption } = drawn(index);
      assert.equal(drawn(index).caption, caption);
      assert.deepEqual(answer, answerIds(caption, tokenizer, 48));
      assert.notEqual(falseCaption(randomStream(index)), caption);
    }
    assert.notEqual(drawn(0).caption, flagSource(6)(0, difficulty, tokenizer).caption);
  });

  test("pictures: each once an epoch, with its own pixels; captions too long for the canvas are passed over", async () => {
    const source = pictureSource(1, pictures);
    const epoch = await Promise.all(
      Array.from({ length: 3 }, async (_, i) => {
        const { caption, pixels, falseCaption } = source(i, difficulty, tokenizer);
        const values = await pixels(4);
        assert.equal(values.length, 3 * 4 * 4);
        const level = caption === "a black flag" ? -1 : 1;
        assert.ok(values.every((value) => value === level));
        assert.equal(falseCaption(randomStream(0)), level === 1 ? "a red flag" : undefined);
        return caption;
      }),
    );
    assert.deepEqual(new Set(epoch), new Set(["a black flag", "a white flag"]));
    assert.throws(() => pictureSource(1, pictures.slice(2))(0, difficulty, tokenizer), {
      name: RediffError.name,
      message: /No caption of 64 tries fits a canvas of 48/,
    });
  });

  test("an order visits everything once an epoch, and another epoch has another order", () => {
    const order = shuffledOrder(3, 50);
    const epoch = (n: number) => Array.from({ length: 50 }, (_, i) => order(n * 50 + i));
    for (const n of [0, 1, 7]) assert.deepEqual(new Set(epoch(n)).size, 50);
    assert.notDeepEqual(epoch(0), epoch(1));
    assert.deepEqual(epoch(0), epoch(0));
  });

  test("a mixture keeps its shares", () => {
    const mixed = mixedSource(2, [
      { source: flagSource(1), share: 3 },
      { source: pictureSource(1, pictures.slice(0, 1)), share: 1 },
    ]);
    let own = 0;
    for (let i = 0; i < 800; i++) own += Number(mixed(i, difficulty, tokenizer).caption === "a black flag");
    // 200 are expected, with a standard deviation of 12.
    assert.ok(Math.abs(own - 200) < 50, `${own} of 800`);
    assert.throws(() => mixedSource(1, []), RediffError);
  });

  test("Stage I plants the wrong caption of a picture that has one", async () => {
    const options = { ...defaultStage1Options, hallucinations: 1, ...difficulty };
    const source = pictureSource(1, pictures.slice(1, 2));
    const lesson = revisionLesson(options, tokenizer);
    const { answer, canvas, category } = await drawBatch(0, { ...options, imageSize: 8, source }, lesson, tokenizer);
    assert.deepEqual(answer.subarray(0, 48), answerIds("a white flag", tokenizer, 48));
    const wrong = answerIds("a red flag", tokenizer, 48)!;
    const planted = [...category.keys()].filter((i) => category[i] === categoryIds.hallucination);
    assert.ok(planted.length > 0);
    for (const i of planted) assert.equal(canvas[i], wrong[i % 48]);
  });
});
