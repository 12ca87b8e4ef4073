/** The paper's expert: a multimodal language model behind any chat endpoint in OpenAI's form. */
import { readFile } from "node:fs/promises";
import { answerCache, requestKey } from "./answerCache.ts";
import { chatClient, type ChatOptions } from "./chat.ts";
import { ExpertError } from "./errors.ts";
import { type Draft, type Expert, type Lengths, reviseBy } from "./expert.ts";
import { expertInstructions, expertQuestion, readAnswer } from "./prompt.ts";

export interface OpenaiOptions extends ChatOptions {
  readonly model: string;
  /** Which corrections are kept; `any` when left out. */
  readonly lengths?: Lengths;
  /** The longest answer, thoughts included. */
  readonly maxTokens?: number;
  /** Folder for answers, so that a draft is asked about once. */
  readonly cache?: string;
}

export interface OpenaiExpert extends Expert {
  /** Of this expert, so far. Answers from the cache cost nothing. */
  readonly spent: { readonly requests: number; readonly tokens: number };
}

/** An expert that looks at picture, ground truth and draft. Its errors are those of `chatClient`. */
export function openaiExpert({
  model,
  lengths = { lengths: "any" },
  maxTokens = 8000,
  cache: folder,
  ...chat
}: OpenaiOptions): OpenaiExpert {
  const client = chatClient(chat);
  const cache = folder === undefined ? undefined : answerCache(folder);
  /** Questions under way, so that two equal drafts ask once. */
  const asked = new Map<string, Promise<string>>();

  function answer(body: string): Promise<string> {
    const key = requestKey(client.url, body);
    const known = cache?.get(key);
    if (known !== undefined) return Promise.resolve(known);
    const before = asked.get(key);
    if (before !== undefined) return before;
    const coming = client
      .ask(body)
      .then((text) => {
        cache?.set(key, text);
        return text;
      })
      .finally(() => asked.delete(key));
    asked.set(key, coming);
    return coming;
  }

  return {
    name: `openai ${model}`,
    spent: client.spent,
    async revise(draft) {
      const picture = await pictureOf(draft);
      const body = JSON.stringify({
        model,
        max_completion_tokens: maxTokens,
        messages: [
          { role: "system", content: expertInstructions(lengths.lengths) },
          {
            role: "user",
            content: [
              ...(picture === undefined ? [] : [{ type: "image_url", image_url: { url: picture } }]),
              { type: "text", text: expertQuestion(draft) },
            ],
          },
        ],
      });
      const { segments, rejected } = readAnswer(await answer(body), draft.text);
      return reviseBy(draft.text, segments, lengths, rejected);
    },
  };
}

/** The draft's picture as a data URL. Throws ExpertError when there is a path and no picture behind it. */
async function pictureOf({ id, image }: Draft): Promise<string | undefined> {
  if (image === undefined || (typeof image === "string" && image.startsWith("data:"))) return image;
  let bytes: Uint8Array;
  try {
    bytes = typeof image === "string" ? await readFile(image) : image;
  } catch (error) {
    throw new ExpertError(`The picture of draft ${id} cannot be read: ${(error as Error).message}`, { id });
  }
  const type = signatures.find(([, signature]) => signature.test(latin1(bytes.subarray(0, 12))))?.[0];
  if (type === undefined) throw new ExpertError(`The picture of draft ${id} is neither PNG, JPEG nor WebP.`, { id });
  return `data:image/${type};base64,${Buffer.from(bytes).toString("base64")}`;
}

const latin1 = (bytes: Uint8Array): string => Buffer.from(bytes).toString("latin1");
const signatures = [
  ["png", /^\x89PNG/],
  ["jpeg", /^\xff\xd8/],
  ["webp", /^RIFF[^]{4}WEBP/],
] as const;
