/**
 * A client of chat endpoints in OpenAI's form, which most model servers speak. It asks again, ever more slowly, when the
 * server is busy, broken or silent, and stops when the budget is spent.
 */
import { setTimeout as sleep } from "node:timers/promises";
import { z } from "zod";
import { BudgetError, ExpertError, ExpertUnavailableError } from "./errors.ts";

export interface ChatOptions {
  /** Up to and without "/chat/completions", as https://api.openai.com/v1 */
  readonly baseUrl: string;
  /** Sent as a bearer token when there is one; local servers need none. It never appears in a message. */
  readonly key?: string;
  /** Milliseconds until a request counts as lost. */
  readonly timeoutMs?: number;
  /** Requests for one answer, the first included. */
  readonly attempts?: number;
  /** Mean wait before the second request; it doubles from one to the next. */
  readonly backoffMs?: number;
  /** The longest wait, also where the server asks for a longer one. */
  readonly maxWaitMs?: number;
  readonly budget?: Budget;
}

/** What may be spent. Tokens are those of prompts and answers, as the server counts them. */
export interface Budget {
  readonly requests?: number;
  readonly tokens?: number;
}

export interface ChatClient {
  /** The chat endpoint. */
  readonly url: string;
  readonly spent: { readonly requests: number; readonly tokens: number };
  /**
   * Sends a request and returns the text of the answer. Throws BudgetError before a request over the budget (requests under
   * way may still exceed its tokens), ExpertUnavailableError when all attempts failed, ExpertError when it is refused.
   */
  ask(body: string): Promise<string>;
}

const reply = z.object({
  choices: z.array(z.object({ message: z.object({ content: z.string().nullish() }) })).min(1),
  usage: z.object({ total_tokens: z.number() }).nullish(),
});

/** Statuses with which another attempt may succeed. */
const passing = (status: number): boolean => status === 408 || status === 409 || status === 429 || status >= 500;

/** An attempt that failed in a way that may pass. */
interface Miss {
  readonly why: string;
  /** What the server asks to wait. */
  readonly waitMs?: number;
}

export function chatClient({
  baseUrl,
  key,
  timeoutMs = 120_000,
  attempts = 6,
  backoffMs = 1000,
  maxWaitMs = 120_000,
  budget = {},
}: ChatOptions): ChatClient {
  const url = chatUrl(baseUrl);
  const spent = { requests: 0, tokens: 0 };
  const withoutKey = (text: string): string => (key ? text.replaceAll(key, "[key]") : text);

  async function attempt(body: string): Promise<string | Miss> {
    let status: number;
    let headers: Headers;
    let text: string;
    try {
      const response = await fetch(url, {
        method: "POST",
        headers: { "content-type": "application/json", ...(key ? { authorization: `Bearer ${key}` } : {}) },
        body,
        signal: AbortSignal.timeout(timeoutMs),
      });
      ({ status, headers } = response);
      text = await response.text();
    } catch (error) {
      return { why: withoutKey(failure(error, timeoutMs)) };
    }
    if (status !== 200) {
      const why = `HTTP ${status}: ${withoutKey(text).replaceAll(/\s+/g, " ").slice(0, 300)}`;
      if (passing(status)) return { why, ...askedWait(headers) };
      const remedy = status === 401 || status === 403 ? " Check the key and what it may use." : "";
      throw new ExpertError(`${url} refused the request. ${why}${remedy}`, { url, status });
    }
    const parsed = reply.safeParse(json(text));
    if (!parsed.success)
      return { why: `an answer that is not in the form of a chat: ${withoutKey(text).slice(0, 100)}` };
    const { choices, usage } = parsed.data;
    // A server that does not count is counted roughly: four letters a token.
    spent.tokens += usage?.total_tokens ?? Math.ceil((body.length + text.length) / 4);
    return choices[0]!.message.content ?? "";
  }

  return {
    url,
    spent,
    async ask(body) {
      for (let k = 1; ; k++) {
        for (const what of ["requests", "tokens"] as const) {
          const limit = budget[what];
          if (limit !== undefined && spent[what] >= limit)
            throw new BudgetError(`The budget of ${limit} ${what} is spent.`, { limit, what });
        }
        spent.requests++;
        const answer = await attempt(body);
        if (typeof answer === "string") return answer;
        if (k >= attempts)
          throw new ExpertUnavailableError(`${url} did not answer in ${k} attempts. The last: ${answer.why}`, { url });
        // Half to one and a half of the mean, so that clients that failed together do not come back together.
        const pause = backoffMs * 2 ** (k - 1) * (0.5 + Math.random());
        await sleep(Math.min(maxWaitMs, Math.max(pause, answer.waitMs ?? 0)));
      }
    },
  };
}

function chatUrl(baseUrl: string): string {
  if (!URL.canParse(baseUrl) || !/^https?:$/.test(new URL(baseUrl).protocol))
    throw new ExpertError(`A base URL looks like https://api.openai.com/v1; this one is ${baseUrl}.`, { baseUrl });
  return `${baseUrl.replace(/\/+$/, "")}/chat/completions`;
}

function failure(error: unknown, timeoutMs: number): string {
  const { name, message, cause } = error as Error;
  if (name === "TimeoutError") return `nothing for ${timeoutMs} ms`;
  return cause instanceof Error ? `${message}: ${cause.message}` : message;
}

/** `Retry-After` in its two forms: seconds, or a date. */
function askedWait(headers: Headers): { waitMs?: number } {
  const text = headers.get("retry-after");
  if (text === null) return {};
  const waitMs = /^[\d.]+$/.test(text) ? Number(text) * 1000 : Date.parse(text) - Date.now();
  return waitMs > 0 ? { waitMs } : {};
}

function json(text: string): unknown {
  try {
    return JSON.parse(text) as unknown;
  } catch {
    return undefined;
  }
}
