/**
 * Trains data/tokenizer/tokenizer.json: byte-level BPE with 1024 tokens, special ones included.
 *
 *   node --import tsx scripts/train-tokenizer.ts
 *
 * It reads procedural captions, the visible parts of the real descriptions (training regions only) and the prompt.
 * Captions come from a closed grammar, so a few hundred merges make each of their words one token; what is left of the
 * vocabulary goes to the words that people used for real flags. The same input gives the same file to the byte.
 */
import { mkdir, writeFile } from "node:fs/promises";
import { parseArgs } from "node:util";
import { captionWords } from "../src/data/captionGrammar.ts";
import { captionSeed, writeCaption } from "../src/data/flagCaption.ts";
import { generateFlag } from "../src/data/flagGenerator.ts";
import { realFlags } from "../src/data/realFlags.ts";
import { captionPrompt, describeQuestion } from "../src/model/prompt.ts";
import { loadTokenizer, specialTokens } from "../src/model/tokenizer.ts";
import type { Tokenizer } from "../src/model/tokenizer.ts";

/** GPT-2's words: an English contraction, or letters, digits or signs with one space before them, or space. */
const words = /'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+/gu;

/**
 * The printable character that stands for each byte. Printable Latin-1 stands for itself; the 68 other bytes get the
 * characters from U+0100 on, in order. A space is thus "Ġ". This is the table of GPT-2 and of every byte-level tokenizer.json.
 */
export function byteAlphabet(): string[] {
  let next = 0x100;
  return Array.from({ length: 256 }, (_, byte) => {
    const printable = (byte >= 0x21 && byte <= 0x7e) || (byte >= 0xa1 && byte !== 0xad);
    return String.fromCharCode(printable ? byte : next++);
  });
}

export interface Bpe {
  /** Token texts in the byte alphabet, in order of id: the 256 bytes, then one for each merge. */
  readonly vocab: readonly string[];
  readonly merges: readonly (readonly [string, string])[];
}

/**
 * Byte-pair encoding: begin with bytes, then again and again make the most frequent pair of neighbours inside a word one
 * token. Equal counts are settled by the smaller ids, left then right, as in Hugging Face's trainer, whose merges these
 * are. Every round counts anew; the distinct words are few thousand, so that a cleverer update would save a second.
 */
export function trainBpe(texts: Iterable<string>, vocabSize: number): Bpe {
  const bytes = byteAlphabet();
  const vocab = bytes.toSorted();
  const ids = new Map(vocab.map((token, id) => [token, id]));
  if (!Number.isInteger(vocabSize) || vocabSize < vocab.length) {
    throw new Error(
      `trainBpe: a byte-level vocabulary holds at least the ${vocab.length} bytes, but ${vocabSize} tokens were asked for; ask for more.`,
    );
  }

  const counts = new Map<string, number>();
  for (const text of texts) for (const [word] of text.matchAll(words)) counts.set(word, (counts.get(word) ?? 0) + 1);
  const encoder = new TextEncoder();
  const corpus = [...counts].map(([word, count]) => ({
    symbols: Array.from(encoder.encode(word), (byte) => ids.get(bytes[byte]!)!),
    count,
  }));

  const merges: [string, string][] = [];
  while (vocab.length < vocabSize) {
    // A pair's key is left · 2^20 + right: exact in a double, and in the order that settles ties.
    const pairs = new Map<number, number>();
    for (const { symbols, count } of corpus) {
      for (let i = 1; i < symbols.length; i++) {
        const key = symbols[i - 1]! * 2 ** 20 + symbols[i]!;
        pairs.set(key, (pairs.get(key) ?? 0) + count);
      }
    }
    let best = -1;
    let most = 0;
    for (const [key, count] of pairs) {
      if (count > most || (count === most && key < best)) [best, most] = [key, count];
    }
    if (best < 0) {
      throw new Error(
        `trainBpe: ${vocabSize} tokens need as many different pairs, but the ${corpus.length} words of this corpus are used up at ${vocab.length}; give more text or ask for fewer.`,
      );
    }
    const left = Math.floor(best / 2 ** 20);
    const right = best % 2 ** 20;
    const token = vocab[left]! + vocab[right]!;
    merges.push([vocab[left]!, vocab[right]!]);
    // Two ways may lead to one text ("ab" + "c", "a" + "bc"): one token, two merges.
    let id = ids.get(token);
    if (id === undefined) {
      id = vocab.push(token) - 1;
      ids.set(token, id);
    }
    for (const { symbols } of corpus) {
      let to = 0;
      for (let from = 0; from < symbols.length; from++) {
        if (symbols[from] === left && symbols[from + 1] === right) {
          symbols[to++] = id;
          from++;
        } else symbols[to++] = symbols[from]!;
      }
      symbols.length = to;
    }
  }
  return { vocab, merges };
}

/** The file in Hugging Face's form. Special tokens follow the vocabulary, as in LLaDA's. */
export function tokenizerJson({ vocab, merges }: Bpe): object {
  const byteLevel = { type: "ByteLevel", add_prefix_space: false, trim_offsets: true, use_regex: true };
  return {
    version: "1.0",
    truncation: null,
    padding: null,
    added_tokens: Object.values(specialTokens).map((content, i) => ({
      id: vocab.length + i,
      content,
      single_word: false,
      lstrip: false,
      rstrip: false,
      normalized: false,
      special: true,
    })),
    normalizer: null,
    pre_tokenizer: byteLevel,
    post_processor: null,
    decoder: byteLevel,
    model: {
      type: "BPE",
      dropout: null,
      unk_token: null,
      continuing_subword_prefix: null,
      end_of_word_suffix: null,
      fuse_unk: false,
      byte_fallback: false,
      ignore_merges: false,
      vocab: Object.fromEntries(vocab.map((token, id) => [token, id])),
      merges,
    },
  };
}

function describeLengths(what: string, tokenizer: Tokenizer, texts: readonly string[]): string {
  const lengths = texts.map((text) => tokenizer.encode(text).length).sort((a, b) => a - b);
  const mean = lengths.reduce((a, b) => a + b, 0) / lengths.length;
  const at = (share: number): number => lengths[Math.floor(share * (lengths.length - 1))]!;
  const over = lengths.filter((n) => n > 96).length;
  return `${what}: ${lengths.length} texts, tokens min ${at(0)}, mean ${mean.toFixed(1)}, 99 % ${at(0.99)}, max ${at(1)}; ${over} over 96`;
}

async function main(): Promise<void> {
  const vocabSize = 1024;
  const captionCount = 20_000;
  // A seed of its own: neither training nor evaluation draws these flags.
  const seed = 0x70c3;
  const captions = Array.from({ length: captionCount }, (_, i) =>
    writeCaption(generateFlag(seed, i), captionSeed(seed, i, 0)),
  );
  const real = (await realFlags("train")).map((flag) => flag.visual);
  const prompt = ["user", "assistant", "\n\n", "\n", describeQuestion];
  // Words that no flag of this draw needed (two cantons, say), and the prompt, which stands before every answer.
  const rare = [...captionWords().map((word) => ` ${word}`), ...prompt];
  const texts = [...captions, ...real, ...Array.from({ length: 100 }, () => rare).flat()];
  const bpe = trainBpe(texts, vocabSize - Object.keys(specialTokens).length);
  const json = tokenizerJson(bpe);
  const folder = new URL("../data/tokenizer/", import.meta.url);
  await mkdir(folder, { recursive: true });
  await writeFile(new URL("tokenizer.json", folder), `${JSON.stringify(json)}\n`);

  const tokenizer = loadTokenizer(json);
  console.log(`data/tokenizer/tokenizer.json: ${tokenizer.vocabSize} tokens, ${bpe.merges.length} merges`);
  console.log(describeLengths("procedural captions", tokenizer, captions));
  for (const split of ["train", "val", "test"] as const) {
    console.log(
      describeLengths(
        `real visible parts, ${split}`,
        tokenizer,
        (await realFlags(split)).map((flag) => flag.visual),
      ),
    );
  }
  console.log(`prompt without image: ${captionPrompt(tokenizer).length - 1} tokens`);
  const split = new Map<string, number>();
  for (const caption of captions) {
    for (const [word] of caption.matchAll(words))
      if (tokenizer.encode(word).length > 1) split.set(word, (split.get(word) ?? 0) + 1);
  }
  const list = [...split].sort((a, b) => b[1] - a[1]).map(([word, n]) => `${JSON.stringify(word)} ${n}`);
  console.log(`caption words of more than one token: ${list.length === 0 ? "none" : list.join(", ")}`);
}

if (process.argv[1] === import.meta.filename) {
  parseArgs(); // There are no options: --help must not train.
  await main();
}
