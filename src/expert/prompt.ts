/** What a language model is told when it serves as the expert, and how its answer is read. */
import { z } from "zod";
import type { Draft, RejectionReason, Rejections, Segment } from "./expert.ts";

/** The role. Under `equal`, segments of another length teach the model nothing, so it is asked to avoid them. */
export function expertInstructions(lengths: "any" | "equal"): string {
  return `You check descriptions of pictures that a small language model wrote. You see the picture, the question, a reference description that people trust, and the draft.

Find two kinds of mistakes in the draft:
1. Statements that the picture contradicts: objects that are not there, wrong colours, numbers, kinds, places, relations, actions or text.
2. Broken language: words said twice, words in disorder, sentences that break off or do not fit together.

If there is none, answer with the one word: right

Otherwise answer with nothing but a JSON list, one object for each mistake:
[{"org": "the wrong words", "target": "the words that should stand there"}]

- Copy "org" from the draft letter by letter. It must occur in the draft exactly once; if it does not, take in words beside it until it does.
- Take as few words as show the mistake, most often two to five. Two mistakes in different places are two objects, and no two objects share words.
- With every "org" replaced by its "target", the draft must read as fluent and true.${
    lengths === "equal"
      ? '\n- "target" must have as many tokens as "org": replace each word by a word of about its length, and neither add nor leave out words.'
      : ""
  }
- Leave alone what is right, and leave the style as it is. What the draft does not mention need not be added.
- The reference is trusted but not complete: what the picture shows is right even if the reference is silent about it.`;
}

/** The request about one draft, to stand beside the picture. */
export function expertQuestion({ question, groundTruth, text }: Draft): string {
  return `Question:\n${question}\n\nReference description:\n${groundTruth}\n\nDraft:\n${text}`;
}

const correction = z.object({ org: z.string().trim().min(1), target: z.string().trim() });

/** The segments that an answer names, and what of it could not be used. Never throws. */
export function readAnswer(answer: string, draft: string): { segments: Segment[]; rejected: Rejections } {
  const rejected: { [R in RejectionReason]?: number } = {};
  const reject = (reason: RejectionReason): void => void (rejected[reason] = (rejected[reason] ?? 0) + 1);
  const segments: Segment[] = [];
  if (/^\W*right\W*$/i.test(answer)) return { segments, rejected };
  const list = jsonList(answer);
  if (list === undefined) reject("malformed");
  for (const item of list ?? []) {
    const { data } = correction.safeParse(item);
    if (data === undefined) {
      reject("malformed");
      continue;
    }
    const { org: wrong, target: right } = data;
    const [start, another] = placesOf(wrong, draft);
    if (start === undefined) reject("not found");
    else if (another !== undefined) reject("ambiguous");
    else segments.push({ wrong, right, start, end: start + wrong.length });
  }
  return { segments, rejected };
}

/** The list in an answer, in a code fence or between other words. */
function jsonList(answer: string): unknown[] | undefined {
  // Prose may hold brackets of its own, so every one of them may be the first of the list.
  const last = answer.lastIndexOf("]") + 1;
  for (const { index } of answer.matchAll(/\[/g)) {
    try {
      const value = JSON.parse(answer.slice(index, last)) as unknown;
      if (Array.isArray(value)) return value;
    } catch {
      // The next bracket may begin it.
    }
  }
  return undefined;
}

/** Where whole words stand in a text: "red" does not stand in "covered". */
function placesOf(words: string, text: string): number[] {
  const out: number[] = [];
  for (let at = text.indexOf(words); at >= 0; at = text.indexOf(words, at + 1)) {
    const end = at + words.length;
    if (!splitsWord(text, at) && !splitsWord(text, end)) out.push(at);
  }
  return out;
}

const splitsWord = (text: string, at: number): boolean =>
  /[\p{L}\p{N}]$/u.test(text.slice(0, at)) && /^[\p{L}\p{N}]/u.test(text.slice(at));
