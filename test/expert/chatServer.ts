/** A chat endpoint on this machine that behaves as it is told: one script entry a request, the last one for ever. */
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";

export interface Seen {
  readonly path: string;
  readonly authorization: string | undefined;
  readonly body: string;
  /** Milliseconds, from the first request. */
  readonly at: number;
}

/** What the server does with a request. A text is answered as a model's answer. */
export type Behaviour =
  | string
  | {
      readonly status?: number;
      readonly headers?: Readonly<Record<string, string>>;
      /** The whole body of the reply, in the place of a chat. */
      readonly raw?: string;
      /** Nothing is ever sent, or the connection is torn down: before a word, or in the middle of the reply. */
      readonly fault?: "hang" | "reset" | "cut";
    };

export interface ChatServer {
  readonly baseUrl: string;
  readonly seen: Seen[];
  /** The most requests that were open at once. */
  readonly peak: () => number;
  close(): Promise<void>;
}

/** `behave` may also be a function of the request, for answers that depend on it. */
export async function chatServer(
  behave: readonly Behaviour[] | ((seen: Seen, count: number) => Behaviour),
  { tokens = 10, delayMs = 0 }: { readonly tokens?: number; readonly delayMs?: number } = {},
): Promise<ChatServer> {
  const seen: Seen[] = [];
  let began = 0;
  let open = 0;
  let peak = 0;

  const handle = async (request: IncomingMessage, response: ServerResponse): Promise<void> => {
    peak = Math.max(peak, ++open);
    response.on("close", () => open--);
    let body = "";
    for await (const chunk of request) body += String(chunk);
    if (seen.length === 0) began = performance.now();
    seen.push({
      path: request.url ?? "",
      authorization: request.headers.authorization,
      body,
      at: performance.now() - began,
    });
    if (delayMs > 0) await new Promise((resolve) => setTimeout(resolve, delayMs));
    const n = seen.length - 1;
    const does = typeof behave === "function" ? behave(seen[n]!, n) : behave[Math.min(n, behave.length - 1)]!;
    const { status = 200, headers = {}, fault, raw } = typeof does === "string" ? { raw: undefined } : does;
    if (fault === "hang") return;
    if (fault === "reset") return void request.socket.resetAndDestroy();
    const content = typeof does === "string" ? does : "right";
    const reply = raw ?? JSON.stringify({ choices: [{ message: { content } }], usage: { total_tokens: tokens } });
    response.writeHead(status, {
      "content-type": "application/json",
      "content-length": Buffer.byteLength(reply),
      ...headers,
    });
    if (fault === "cut") {
      response.write(reply.slice(0, reply.length / 2));
      return void setTimeout(() => request.socket.resetAndDestroy(), 5);
    }
    response.end(reply);
  };
  const server = createServer((request, response) => void handle(request, response).catch(() => response.destroy()));
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  return {
    baseUrl: `http://127.0.0.1:${(server.address() as AddressInfo).port}/v1`,
    seen,
    peak: () => peak,
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
}
