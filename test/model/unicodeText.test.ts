/** Text in many scripts has the ids of the Python library with Llama 3's splitting expression (test/goldens/unicodeText.py). */
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import { crc32 } from "node:zlib";
import { byteAlphabet } from "../../scripts/train-tokenizer.ts";
import { loadTokenizer } from "../../src/model/tokenizer.ts";

interface Golden {
  readonly tokenizer: { readonly model: object };
  /** Characters, in the byte-level alphabet, that merge with any byte beside them in the tokenizer that shows splits. */
  readonly neighbours: string;
  readonly texts: readonly (readonly [text: string, ids: readonly number[], splitIds: readonly number[]])[];
  /** Of a text with U+017F, the long s, in a contraction. */
  readonly folded: readonly [text: string, ids: readonly number[], splitIds: readonly number[]];
  readonly ranges: readonly (readonly [first: number, last: number, crc32: number])[];
}
const golden = JSON.parse(readFileSync(new URL("../goldens/unicodeText.json", import.meta.url), "utf8")) as Golden;
const tokenizer = loadTokenizer(golden.tokenizer);

/** The script's tokenizer whose ids show where text is split. */
const splits = (() => {
  const alphabet = byteAlphabet().sort();
  const pairs = golden.neighbours.split("").flatMap((a) => alphabet.flatMap((b) => [`${a} ${b}`, `${b} ${a}`]));
  const merges = [...new Set(pairs)];
  const tokens = [...alphabet, ...merges.map((pair) => pair.replace(" ", ""))];
  const vocab = Object.fromEntries(tokens.map((token, i) => [token, i]));
  return loadTokenizer({
    ...golden.tokenizer,
    model: { ...golden.tokenizer.model, vocab, merges: merges.map((pair) => pair.split(" ")) },
    added_tokens: [],
  });
})();

test("sentences, and what other engines split otherwise", () => {
  for (const [text, ids, splitIds] of golden.texts) {
    assert.deepEqual(tokenizer.encode(text), ids, JSON.stringify(text));
    assert.equal(tokenizer.decode(ids), text);
    assert.deepEqual(splits.encode(text), splitIds, `splits of ${JSON.stringify(text)}`);
  }
});

test("the one difference: a long s after an apostrophe is no contraction to the library in JavaScript", () => {
  const [text, , splitIds] = golden.folded;
  assert.equal(splits.decode(splits.encode(text)), text);
  assert.notDeepEqual(
    splits.encode(text),
    splitIds,
    "it folds case as Python's does now: make this text one of the others",
  );
});

test("every code point that Unicode 3.2 assigns counts as letter, number, space or other as there", () => {
  const shown = (c: string) => `x${c}y ${c}${c}1${c}\n${c}'s${c} ${c}`;
  const hex = (point: number) => `U+${point.toString(16).toUpperCase().padStart(4, "0")}`;
  const wrong = golden.ranges.filter(([first, last, sum]) => {
    const points = Array.from({ length: last - first + 1 }, (_, i) => String.fromCodePoint(first + i));
    const ids = Uint32Array.from(points.flatMap((point) => splits.encode(shown(point))));
    return crc32(new Uint8Array(ids.buffer)) !== sum;
  });
  assert.deepEqual(
    wrong.map(([first, last]) => `${hex(first)} to ${hex(last)}`),
    [],
  );
});
