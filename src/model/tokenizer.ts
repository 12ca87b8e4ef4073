/**
 * Text to ids and back, from a `tokenizer.json` as Hugging Face writes it: ours (byte-level BPE, 1024 tokens, made by
 * scripts/train-tokenizer.ts) and LLaDA's load alike. Merging is done by @huggingface/tokenizers; what stands here is
 * what a diffusion model needs beyond it: ids of the special tokens by name, and text that can never produce one of them.
 */
import { Tokenizer as HuggingFaceTokenizer } from "@huggingface/tokenizers";

/** What we use of the library. Its own declarations import each other without file extensions, which nodenext cannot follow. */
interface Merger {
  encode(text: string, options: { add_special_tokens: boolean }): { ids: number[] };
  decode(ids: number[]): string;
  id_to_token(id: number): string | undefined;
}
const Merger = HuggingFaceTokenizer as unknown as new (tokenizer: object, config: object) => Merger;

/** The special tokens that LLaDA names, and LLaVA's place for the image. `<|endoftext|>` ends answers and fills them up. */
export const specialTokens = {
  start: "<|startoftext|>",
  end: "<|endoftext|>",
  mask: "<|mdm_mask|>",
  headerStart: "<|start_header_id|>",
  headerEnd: "<|end_header_id|>",
  turnEnd: "<|eot_id|>",
  image: "<image>",
} as const;

export type SpecialToken = (typeof specialTokens)[keyof typeof specialTokens];

export interface Tokenizer {
  /**
   * Ids of plain text. Special tokens written out in the text are taken as the letters they are, so a caption that says
   * `<|mdm_mask|>` cannot unmask or end anything. Half surrogate pairs, which are not text, become U+FFFD.
   */
  readonly encode: (text: string) => number[];
  /** Text of ids. Special tokens are left out. Bytes that form no character, as in half a caption, show as U+FFFD. */
  readonly decode: (ids: ArrayLike<number>) => string;
  /** The text of one token, special ones by name: for showing a caption token by token. */
  readonly piece: (id: number) => string;
  /** Ids that the file's template puts before every text: a start, or none. `encode` leaves them out. */
  readonly lead: readonly number[];
  /** One more than the largest id, so that an embedding table of this many rows has one for each. */
  readonly vocabSize: number;
  /** Ids of all special tokens by name, those that LLaDA reserves without use among them. */
  readonly special: ReadonlyMap<string, number>;
  /** The id of a special token that has to be there. */
  readonly idOf: (name: SpecialToken) => number;
}

export class TokenizerError extends Error {
  override readonly name = "TokenizerError";
}

interface AddedToken {
  readonly id: number;
  readonly content: string;
}

interface TokenizerJson {
  readonly added_tokens: readonly AddedToken[];
  readonly model: { readonly type: string; readonly vocab: Readonly<Record<string, number>> };
}

function check(json: unknown): TokenizerJson {
  const file = json as Partial<TokenizerJson> | null;
  const facts =
    typeof file !== "object" || file === null
      ? `this is ${file === null ? "null" : `a ${typeof file}`}`
      : !Array.isArray(file.added_tokens)
        ? "added_tokens is no list"
        : typeof file.model?.vocab !== "object"
          ? "model.vocab is missing"
          : undefined;
  if (facts !== undefined) {
    throw new TokenizerError(
      `loadTokenizer: a tokenizer.json holds added_tokens and a model with its vocab, but ${facts}; give the file's text or its parsed content.`,
    );
  }
  return file as TokenizerJson;
}

/** Builds a tokenizer from the content of a `tokenizer.json`, parsed or as text. */
export function loadTokenizer(json: string | object): Tokenizer {
  const file = check(typeof json === "string" ? parse(json) : json);
  const config = { clean_up_tokenization_spaces: false };
  const whole = new Merger(file, config);
  // Without added tokens the splitter that looks for them in the text finds none.
  const plain = new Merger({ ...file, added_tokens: [], post_processor: null }, config);

  const special = new Map(file.added_tokens.map(({ content, id }) => [content, id]));
  const specialIds = new Set(special.values());
  let vocabSize = 0;
  for (const id of [...Object.values(file.model.vocab), ...specialIds]) vocabSize = Math.max(vocabSize, id + 1);

  const checkId = (id: number): void => {
    // LLaDA's table has rows that no token uses; only ids outside it are a mistake of the caller.
    if (!Number.isInteger(id) || id < 0 || id >= vocabSize) {
      throw new TokenizerError(
        `decode: an id must be a whole number from 0 to ${vocabSize - 1}, but one is ${id}; were these ids made with another tokenizer?`,
      );
    }
  };

  const decode = (ids: ArrayLike<number>): string => {
    const kept: number[] = [];
    for (let i = 0; i < ids.length; i++) {
      const id = ids[i]!;
      checkId(id);
      if (!specialIds.has(id) && plain.id_to_token(id) !== undefined) kept.push(id);
    }
    return kept.length === 0 ? "" : plain.decode(kept);
  };

  return {
    encode: (text) => (text === "" ? [] : plain.encode(text, { add_special_tokens: false }).ids),
    decode,
    piece: (id) => {
      checkId(id);
      return specialIds.has(id) ? (whole.id_to_token(id) ?? "") : decode([id]);
    },
    lead: whole.encode("", { add_special_tokens: true }).ids,
    vocabSize,
    special,
    idOf: (name) => {
      const id = special.get(name);
      if (id === undefined) {
        throw new TokenizerError(
          `idOf: ${name} must be among the added tokens, but this tokenizer has ${[...special.keys()].slice(0, 8).join(" ") || "none"}; load ours or LLaDA's.`,
        );
      }
      return id;
    },
  };
}

function parse(text: string): unknown {
  try {
    return JSON.parse(text) as unknown;
  } catch (cause) {
    throw new TokenizerError(
      `loadTokenizer: a tokenizer.json must be JSON, but this text of ${text.length} characters is not; give the file's content and not its path.`,
      { cause },
    );
  }
}

/** Caption ids, end of turn, and fill. `<|endoftext|>` after the end is learned too, as LLaDA-V does. Undefined when too long. */
export function answerIds(caption: string, tokenizer: Tokenizer, canvas: number): Uint32Array | undefined {
  const ids = tokenizer.encode(caption);
  if (ids.length >= canvas) return undefined;
  const answer = new Uint32Array(canvas).fill(tokenizer.idOf(specialTokens.end));
  answer.set(ids);
  answer[ids.length] = tokenizer.idOf(specialTokens.turnEnd);
  return answer;
}
