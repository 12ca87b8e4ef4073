/** Drafts with their corrections, token by token. No device. */
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { describe, test } from "node:test";
import fc from "fast-check";
import { plantErrors } from "../../src/data/captionErrors.ts";
import { writeCaption } from "../../src/data/flagCaption.ts";
import { generateFlag } from "../../src/data/flagGenerator.ts";
import { answerIds, loadTokenizer } from "../../src/model/tokenizer.ts";
import { captionText } from "../../src/sample/caption.ts";
import { type Correction, reviseCanvas } from "../../src/train/revised.ts";

const tokenizer = loadTokenizer(readFileSync(new URL("../../data/tokenizer/tokenizer.json", import.meta.url), "utf8"));
const END = tokenizer.idOf("<|endoftext|>");

/** A draft whose text is a caption with words put in the place of others, and the corrections that undo it. */
const drafts = fc
  .tuple(fc.nat(1e6), fc.array(fc.tuple(fc.nat(), fc.constantFrom("red", "encircling", "a big", "")), { maxLength: 4 }))
  .map(([index, changes]) => {
    const words = writeCaption(generateFlag(5, index), index).split(" ");
    const at = new Map(changes.map(([place, word]) => [place % words.length, word] as const));
    let text = "";
    let right = "";
    const corrections: Correction[] = [];
    words.forEach((word, i) => {
      const gap = i ? " " : "";
      const shown = at.get(i) ?? word;
      text += gap;
      right += gap;
      if (shown !== word) corrections.push({ start: text.length, end: text.length + shown.length, right: word });
      text += shown;
      right += word;
    });
    return { text, right, corrections: corrections.filter(({ start, end }) => end > start) };
  })
  .filter(({ text, corrections }) => text === text.trim() && !text.includes("  ") && corrections.length > 0);

describe("reviseCanvas", () => {
  test("the revised canvas reads as the corrected text, and tokens before the first correction are the draft's", () => {
    fc.assert(
      fc.property(drafts, ({ text, right, corrections }) => {
        const draft = answerIds(text, tokenizer, 160)!;
        const { revised, dropped } = reviseCanvas(draft, corrections, "any", tokenizer);
        assert.equal(dropped, 0);
        assert.equal(captionText(revised, tokenizer), right);
        assert.equal(revised.length, draft.length);
        const before = Math.max(0, tokenizer.encode(text.slice(0, corrections[0]!.start).trimEnd()).length - 1);
        assert.deepEqual(revised.slice(0, before), draft.slice(0, before));
      }),
      { seed: 42, numRuns: 200 },
    );
  });

  test("equal lengths change only their own positions; others are dropped and counted", () => {
    const draft = answerIds("a red star on a blue field.", tokenizer, 24)!;
    const colour = { start: 2, end: 5, right: "white" };
    const longer = { start: 6, end: 10, right: "lozenge with a border" };
    const { revised, dropped } = reviseCanvas(draft, [colour, longer], "equal", tokenizer);
    assert.equal(dropped, 1);
    assert.equal(captionText(revised, tokenizer), "a white star on a blue field.");
    assert.equal(draft.filter((id, i) => id !== revised[i]).length, 1);
  });

  test("a shift moves the end of the caption, and fill follows it", () => {
    const draft = answerIds("a star on a blue field.", tokenizer, 24)!;
    const { revised } = reviseCanvas(draft, [{ start: 0, end: 6, right: "two white stars" }], "any", tokenizer);
    assert.deepEqual(revised, answerIds("two white stars on a blue field.", tokenizer, 24));
    assert.equal(revised.at(-1), END);
  });

  test("tokens of a draft that the tokenizer would cut otherwise stay as they are", () => {
    const letters = Array.from("a").flatMap((letter) => tokenizer.encode(letter));
    const rest = Array.from(" red star.").flatMap((letter) => tokenizer.encode(letter));
    const draft = new Uint32Array(24).fill(END);
    draft.set([...letters, ...rest]);
    assert.equal(captionText(draft, tokenizer), "a red star.");
    const { revised } = reviseCanvas(draft, [{ start: 2, end: 5, right: "blue" }], "any", tokenizer);
    assert.equal(captionText(revised, tokenizer), "a blue star.");
    assert.deepEqual(revised.slice(0, 1), draft.slice(0, 1));
    const tail = tokenizer.encode(" ").length + " star.".length - 1;
    const end = revised.indexOf(tokenizer.idOf("<|eot_id|>"));
    assert.deepEqual(revised.slice(end - tail, end), Uint32Array.from(rest.slice(-tail)));
  });

  test("a correction that does not fit the canvas is dropped and counted", () => {
    const draft = answerIds("a star.", tokenizer, 5)!;
    const { revised, dropped } = reviseCanvas(
      draft,
      [{ start: 2, end: 6, right: "star and two red crescents" }],
      "any",
      tokenizer,
    );
    assert.equal(dropped, 1);
    assert.deepEqual(revised, draft);
  });

  test("planted errors are undone", () => {
    let repaired = 0;
    for (let index = 0; index < 60; index++) {
      const [error] = plantErrors(generateFlag(6, index), index, index, 1);
      const draft = error && answerIds(error.wrong, tokenizer, 128);
      if (!error || !draft) continue;
      const correction = {
        start: error.start,
        end: error.end,
        right: error.right.slice(error.rightStart, error.rightEnd),
      };
      const { revised } = reviseCanvas(draft, [correction], "any", tokenizer);
      assert.deepEqual(revised, answerIds(error.right, tokenizer, 128));
      repaired++;
    }
    assert.ok(repaired > 40, `${repaired} of 60`);
  });
});
