/**
 * Conversations as LLaDA-V writes them: turns to ids, with a place for each image, and the labels of its training.
 *
 *   <|startoftext|> then for each turn <|start_header_id|>role<|end_header_id|>\n\n text <|eot_id|>
 *
 * and, where an answer is to follow, the assistant's header. Source: LLaDA-V's chat template and preprocess_llada.
 */
import { IMAGE } from "./sequence.ts";
import { specialTokens, type Tokenizer, TokenizerError } from "./tokenizer.ts";

export interface Turn {
  readonly role: "system" | "user" | "assistant";
  /** In a user's text, every `<image>` is a place for an image. */
  readonly text: string;
}

/** The system sentence of the conversation template `llava_llada`. */
export const systemSentence =
  "You are a helpful language and vision assistant. You are able to understand the visual content that the user provides, " +
  "and assist the user with a variety of tasks using natural language.";

/** The question of ReDiff's evaluation. */
export const describeQuestion = "Please describe the image in detail.";

/** A label that asks for nothing: PyTorch's ignore_index. */
export const IGNORED = -100;

/** Ids of a turn: header, two newlines and text in one piece, since merges may cross from one to the other, end of turn. */
function turnIds({ encode, idOf }: Tokenizer, { role, text }: Turn): number[] {
  const pieces = `\n\n${text}`.split(role === "user" ? specialTokens.image : /(?!)/);
  return [
    idOf(specialTokens.headerStart),
    ...encode(role),
    idOf(specialTokens.headerEnd),
    ...pieces.flatMap((piece, i) => (i ? [IMAGE, ...encode(piece)] : encode(piece))),
    idOf(specialTokens.turnEnd),
  ];
}

/**
 * - fixed: the conversation as the template says.
 * - reference: as LLaDA-V's tokenizer_image_token makes it. It takes the written start for one that the tokenizer put there, and
 *   so cuts the first token off every piece of text: behind an image it is the newline. A tokenizer that does put a start
 *   before each text keeps the newline, and has two starts.
 */
export type PromptPreset = "fixed" | "reference";

/**
 * The prompt of a conversation, up to where the assistant answers; the canvas follows. Text is trimmed, as LLaDA's chat
 * template does. A conversation for LLaDA-V begins with `{ role: "system", text: systemSentence }`.
 */
export function chatPrompt(tokenizer: Tokenizer, turns: readonly Turn[], preset: PromptPreset = "fixed"): number[] {
  if (turns.at(-1)?.role !== "user")
    throw new TokenizerError(
      `chatPrompt: the assistant answers a user, so the last turn must be theirs; ${turns.length ? `it is of ${turns.at(-1)!.role}` : "there is none"}.`,
    );
  const { encode, idOf } = tokenizer;
  const ids = [
    idOf(specialTokens.start),
    ...turns.flatMap((turn) => turnIds(tokenizer, { ...turn, text: turn.text.trim() })),
    idOf(specialTokens.headerStart),
    ...encode("assistant"),
    idOf(specialTokens.headerEnd),
    ...encode("\n\n"),
  ];
  if (preset === "fixed") return ids;
  return tokenizer.lead.length
    ? [...tokenizer.lead, ...ids]
    : ids.filter((id, i) => ids[i - 1] !== IMAGE || id === IMAGE);
}

/**
 * A question about pictures with a place for each of them: where it says `<image>`, or else each on a line of its own before it.
 * Throws TokenizerError where the places that it names are not as many as the pictures.
 */
export function askAbout(pictures: number, question: string = describeQuestion): Turn {
  const places = question.split(specialTokens.image).length - 1;
  if (places && places !== pictures)
    throw new TokenizerError(
      `A question has one ${specialTokens.image} for each picture, or none; it has ${places} for ${pictures}.`,
    );
  return { role: "user", text: (places ? "" : `${specialTokens.image}\n`.repeat(pictures)) + question };
}

/** LLaDA-V's prompt: its system sentence, and a question about pictures. Source: generate_demo.py of LLaDA-V and ReDiff. */
export const llavaPrompt = (tokenizer: Tokenizer, asked: Turn, preset: PromptPreset = "fixed"): number[] =>
  chatPrompt(tokenizer, [{ role: "system", text: systemSentence }, asked], preset);

/**
 * Our captioning prompt: the image, a newline, the question. Without the system turn, which says the same to every
 * picture and would only cost a small model tokens.
 */
export const captionPrompt = (tokenizer: Tokenizer, asked: Turn = askAbout(1)): number[] =>
  chatPrompt(tokenizer, [asked]);

export interface Labelled {
  readonly ids: number[];
  /** The id to be learned at each place, or `IGNORED`. */
  readonly labels: number[];
}

/**
 * A conversation to learn from. Assistant turns are labelled whole, and so are the structural tokens of every turn (start,
 * headers' ends, end of turn), but not the role and the text of system and user. LLaDA-V lists "\n\n" among the structural
 * tokens too, but looks it up as it is written; a byte-level vocabulary spells it ĊĊ, so it is not found, nor labelled here.
 * A turn of the assistant that opens the conversation is dropped. Text is not trimmed. Source: preprocess_llada.
 */
export function labelledConversation(
  tokenizer: Tokenizer,
  turns: readonly Turn[],
  system: string = systemSentence,
): Labelled {
  const { idOf } = tokenizer;
  const { start, headerStart, headerEnd, turnEnd } = specialTokens;
  const structural = new Set([start, headerStart, headerEnd, turnEnd].map(idOf));
  const heard = turns[0]?.role === "assistant" ? turns.slice(1) : turns;
  const ids = [idOf(start)];
  const labels = [idOf(start)];
  for (const turn of [{ role: "system", text: system } as const, ...heard]) {
    const own = turnIds(tokenizer, turn);
    ids.push(...own);
    labels.push(...own.map((id) => (turn.role === "assistant" || structural.has(id) ? id : IGNORED)));
  }
  return { ids, labels };
}

/**
 * Fills a batch of conversations up to the longest with end of text, which is labelled: this is how LLaDA-V learns to fill the
 * canvas behind an answer. Counted in ids: rows whose images differ in size remain ragged.
 */
export function fillConversations({ idOf }: Tokenizer, conversations: readonly Labelled[]): Labelled[] {
  const end = idOf(specialTokens.end);
  const longest = Math.max(...conversations.map(({ ids }) => ids.length));
  return conversations.map(({ ids, labels }) => {
    const fill = Array<number>(longest - ids.length).fill(end);
    return { ids: [...ids, ...fill], labels: [...labels, ...fill] };
  });
}
