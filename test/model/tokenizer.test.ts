import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { test } from "node:test";
import fc from "fast-check";
import { byteAlphabet, tokenizerJson, trainBpe } from "../../scripts/train-tokenizer.ts";
import { captionWords } from "../../src/data/captionGrammar.ts";
import { loadTokenizer, specialTokens } from "../../src/model/tokenizer.ts";

const seed = 20261123;
const shippedJson = await readFile(new URL("../../data/tokenizer/tokenizer.json", import.meta.url), "utf8");
const shipped = loadTokenizer(shippedJson);

/**
 * Made by the Python package tokenizers 0.22.2 on 2026-11-23:
 *
 *   t = Tokenizer(models.BPE()); t.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
 *   t.train_from_iterator(corpus, trainers.BpeTrainer(vocab_size=320, initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
 *                         special_tokens=[], show_progress=False))
 */
const golden = {
  corpus: [
    "three equal horizontal bands of red (top), white, and blue",
    "two equal vertical bands of green (hoist side) and white; a red star's centered",
    "a large yellow five-pointed star in the upper hoist-side corner",
    "Drei gleich breite Streifen: schwarz, rot, gold — été 2026",
    "aaaa aaaa banana bandana",
  ],
  // prettier-ignore
  merges: [
    "a n", "r e", "a a", "Ġ b", "t e", "an d", "a l", "a r", "s t", "e n", "e r", "h o", "i te", "Ġ g", "re d", "Ġb and",
    "c h", "d e", "e q", "h ite", "i n", "i st", "i de", "o f", "s ide", "t h", "u al", "w hite", "Ã ©", "Ġ (", "Ġ c",
    "Ġ and", "Ġ st", "Ġ ho", "Ġ red", "Ġ eq", "Ġ of", "Ġ white", "an a", "re i", "aa aa", "Ġband s", "Ġst ar", "Ġeq ual",
    "' s", ") ,", "0 2", "2 02", "D rei", "S t", "c al", "e i", "e l", "f i", "f en", "g e", "i z", "i cal", "l d", "l o",
    "l u", "l ar", "l ei", "n t",
  ],
  // Half of them words that JavaScript and Rust might split differently: U+0085, U+FEFF, U+200B, U+3000, flags, runs of space.
  ids: [
    ["red bands", [270, 297]],
    ["a  white\n\nstar, it's", [64, 220, 293, 198, 198, 264, 263, 11, 220, 72, 83, 300]],
    [
      "\u65e7\u6a5f \u{1f1eb}\u{1f1f7} na\u00efve",
      [162, 245, 100, 162, 102, 253, 220, 172, 253, 229, 104, 172, 253, 229, 115, 220, 77, 64, 127, 107, 85, 68],
    ],
    ["12 bands\u00a0of\u0085blue\ufeff!", [16, 17, 297, 126, 254, 279, 126, 227, 65, 316, 68, 171, 119, 123, 0]],
    ["  leading and trailing  ", [220, 220, 75, 68, 64, 67, 276, 70, 287, 220, 83, 81, 64, 72, 75, 276, 70, 220, 220]],
    ["\u200bx\u3000y", [158, 222, 233, 87, 159, 222, 222, 88]],
  ] satisfies [string, number[]][],
} as const;

test("the trainer makes the merges that Hugging Face's trainer makes", () => {
  const bpe = trainBpe(golden.corpus, 320);
  assert.equal(bpe.vocab.length, 320);
  assert.deepEqual(
    bpe.merges.map((pair) => pair.join(" ")),
    golden.merges,
  );
});

test("and the ids are those of the Python tokenizer", () => {
  const tokenizer = loadTokenizer(tokenizerJson(trainBpe(golden.corpus, 320)));
  for (const [text, ids] of golden.ids) {
    assert.deepEqual(tokenizer.encode(text), ids, JSON.stringify(text));
    assert.equal(tokenizer.decode(ids), text);
  }
});

test("known merges on a word by hand: the classic low, lower, newest, widest", () => {
  const repeat = (word: string, n: number): string[] => Array.from({ length: n }, () => word);
  const texts = [...repeat("low", 5), ...repeat("lower", 2), ...repeat("newest", 6), ...repeat("widest", 3)];
  const { merges } = trainBpe(texts, 256 + 4);
  // e+s: 6 + 3 = 9 = s+t; "e" has the smaller id. Then es+t: 9. Then l+o: 7, o+w: 7, smaller id first.
  assert.deepEqual(merges, [
    ["e", "s"],
    ["es", "t"],
    ["l", "o"],
    ["lo", "w"],
  ]);
});

test("training is a function of its texts, whatever their order", () => {
  const a = trainBpe(golden.corpus, 310);
  assert.deepEqual(trainBpe(golden.corpus, 310), a);
  assert.deepEqual(trainBpe(golden.corpus.toReversed(), 310), a);
});

test("training refuses what cannot be", () => {
  assert.throws(() => trainBpe(["a"], 255), /holds at least the 256 bytes, but 255/);
  assert.throws(() => trainBpe(["ab"], 258), /used up at 257/);
});

test("the byte alphabet has 256 different printable characters", () => {
  const alphabet = byteAlphabet();
  assert.equal(new Set(alphabet).size, 256);
  assert.deepEqual([alphabet[0x20], alphabet[0x0a], alphabet[0x41], alphabet[0xad]], ["Ġ", "Ċ", "A", "Ń"]);
  assert.ok(alphabet.every((c) => /^[^\s\p{C}]$/u.test(c)));
});

// The shipped tokenizer.

test("1024 tokens, with LLaDA's special ones at the end", () => {
  assert.equal(shipped.vocabSize, 1024);
  assert.deepEqual(
    [...shipped.special],
    Object.values(specialTokens).map((name, i) => [name, 1017 + i]),
  );
  assert.equal(
    new Set(Array.from({ length: 1024 }, (_, id) => shipped.piece(id))).size > 890,
    true,
    "only broken bytes look alike",
  );
});

test("every string comes back as it was", () => {
  const texts = fc.oneof(
    fc.string({ unit: "binary", maxLength: 40 }),
    fc.string({ unit: "grapheme", maxLength: 40 }),
    fc
      .array(fc.constantFrom("red", " bands", "  ", "\n\n", "five-pointed", "'s", ",", "Ġ", "<|", "|>", "7"), {
        maxLength: 20,
      })
      .map((w) => w.join("")),
  );
  fc.assert(
    fc.property(texts, (text) => {
      const ids = shipped.encode(text);
      assert.equal(shipped.decode(ids), text);
      assert.ok(
        ids.every((id) => id < 1017),
        "plain text gives plain tokens",
      );
    }),
    { seed, numRuns: 2000 },
  );
  assert.deepEqual(shipped.encode(""), []);
  assert.equal(shipped.decode([]), "");
  assert.equal(shipped.decode(shipped.encode("half a pair: \ud83c!")), "half a pair: \ufffd!");
});

test("no text produces a special token, and decoding leaves special tokens out", () => {
  for (const name of Object.values(specialTokens)) {
    for (const text of [name, `a ${name} b`, `${name}${name}`, `\n${name}`]) {
      const ids = shipped.encode(text);
      assert.ok(!ids.includes(shipped.idOf(name)), text);
      assert.equal(shipped.decode(ids), text);
    }
    assert.equal(shipped.piece(shipped.idOf(name)), name);
  }
  const ids = [
    shipped.idOf("<|mdm_mask|>"),
    ...shipped.encode("a red"),
    shipped.idOf("<|mdm_mask|>"),
    ...shipped.encode(" star"),
    1018,
    1018,
  ];
  assert.equal(shipped.decode(ids), "a red star");
  assert.equal(shipped.decode(Uint32Array.from(ids)), "a red star");
});

test("the pieces of a caption join to the caption", () => {
  const text = "three equal horizontal bands of red (top), white, and blue with a yellow star";
  assert.equal(shipped.encode(text).map(shipped.piece).join(""), text);
});

test("the words of captions are one token each, and those with a hyphen one for each part", () => {
  for (const word of captionWords()) {
    for (const part of ` ${word}`.match(/ ?[a-z]+|[^ a-z]+/g) ?? []) {
      const pieces = shipped.encode(part).map(shipped.piece);
      assert.deepEqual(pieces, [part], "after a change of the grammar, run scripts/train-tokenizer.ts again");
    }
  }
});

test("LLaDA's kind of file: Llama 3's splitting expression, a byte-level step after it, special ids with gaps", () => {
  const bpe = trainBpe(golden.corpus, 320);
  const base = tokenizerJson(bpe) as Record<string, unknown>;
  const pattern =
    "(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}{1,3}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+";
  const added = Object.values(specialTokens)
    .slice(0, 6)
    .map((content, i) => ({ id: 400 + 7 * i, content, special: true }));
  const tokenizer = loadTokenizer({
    ...base,
    added_tokens: added,
    pre_tokenizer: {
      type: "Sequence",
      pretokenizers: [
        { type: "Split", pattern: { Regex: pattern }, behavior: "Isolated", invert: false },
        { type: "ByteLevel", add_prefix_space: false, trim_offsets: true, use_regex: false },
      ],
    },
    post_processor: {
      type: "TemplateProcessing",
      single: [{ SpecialToken: { id: "<|startoftext|>", type_id: 0 } }, { Sequence: { id: "A", type_id: 0 } }],
      pair: [],
      special_tokens: {},
    },
  });
  assert.equal(tokenizer.vocabSize, 436);
  assert.deepEqual(tokenizer.encode("red"), [270], "no token of a template is put before plain text");
  assert.deepEqual(tokenizer.lead, [400], "but it is known");
  assert.deepEqual(shipped.lead, []);
  const text = "Three red bands,\n\nand 2026 <|mdm_mask|> stars";
  assert.equal(tokenizer.decode(tokenizer.encode(text)), text);
  assert.equal(tokenizer.decode([350, 270, 414]), "red", "rows without a token and special tokens are silent");
  assert.equal(tokenizer.piece(414), "<|mdm_mask|>");
});

test("what is no tokenizer.json, and ids that are none", () => {
  const bad = (json: string | object, message: RegExp): void =>
    assert.throws(() => loadTokenizer(json), { name: "TokenizerError", message });
  bad("data/tokenizer/tokenizer.json", /must be JSON, but this text of 29 characters is not/);
  bad("null", /this is null/);
  bad({}, /added_tokens is no list/);
  bad({ added_tokens: [] }, /model.vocab is missing/);
  for (const id of [-1, 1024, 1.5, NaN]) {
    assert.throws(() => shipped.decode([id]), { name: "TokenizerError", message: /whole number from 0 to 1023/ });
    assert.throws(() => shipped.piece(id), { name: "TokenizerError" });
  }
});

test("the golden corpus of the shipped file: the script's output, byte for byte, in form", () => {
  const json = JSON.parse(shippedJson) as { model: { vocab: Record<string, number>; merges: [string, string][] } };
  const vocab = Object.entries(json.model.vocab)
    .sort((a, b) => a[1] - b[1])
    .map(([token]) => token);
  assert.equal(shippedJson, `${JSON.stringify(tokenizerJson({ vocab, merges: json.model.merges }))}\n`);
  assert.deepEqual(vocab.slice(0, 256), byteAlphabet().sort());
  for (const [left, right] of json.model.merges) assert.ok(left + right in json.model.vocab);
});
