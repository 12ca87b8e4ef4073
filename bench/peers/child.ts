/** The parent's side of a worker: starts it, asks it, and says what became of it when it does not answer. */
import { type ChildProcessWithoutNullStreams, execFileSync, spawn } from "node:child_process";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import type { Reply, Request } from "./worker.ts";

/** A library as the command line names it. */
export interface PeerSpec {
  readonly id: string;
  /** As the table prints it. */
  readonly title: string;
  /** Computes on the WebGPU adapter that we use. */
  readonly webgpu: boolean;
  readonly file: string;
  readonly argument?: string;
}

export const peers: readonly PeerSpec[] = [
  { id: "rediff", title: "rediff", webgpu: true, file: "rediff.ts" },
  { id: "tfjs", title: "tfjs", webgpu: true, file: "tfjs.ts" },
  { id: "jax-js", title: "jax-js", webgpu: true, file: "jaxJs.ts" },
  { id: "ort", title: "ort WebGPU", webgpu: true, file: "onnx.ts" },
  { id: "ort-cpu", title: "ort CPU", webgpu: false, file: "onnx.ts", argument: "cpu" },
  { id: "torch", title: "torch CPU", webgpu: false, file: "torch_worker.py" },
];

/** A request is given up after this; compiling a training step for a software adapter takes a minute. */
const PATIENCE_MS = 300_000;

/** The first Python that can import torch: $PYTHON, else python3 or python. Undefined where there is none. */
export function pythonWithTorch(): string | undefined {
  const candidates = process.env["PYTHON"] ? [process.env["PYTHON"]] : ["python3", "python"];
  return candidates.find((python) => {
    try {
      execFileSync(python, ["-c", "import torch"], { stdio: "ignore" });
      return true;
    } catch {
      return false;
    }
  });
}

export class Child {
  readonly spec: PeerSpec;
  /** What the worker says it is. */
  readonly peer: string;
  readonly version: string;
  readonly adapter: string;
  readonly #process: ChildProcessWithoutNullStreams;
  readonly #lines: AsyncIterator<string>;
  readonly #errors: () => string;

  private constructor(
    spec: PeerSpec,
    started: ChildProcessWithoutNullStreams,
    lines: AsyncIterator<string>,
    errors: () => string,
    hello: { peer: string; version: string; adapter: string },
  ) {
    this.spec = spec;
    this.#process = started;
    this.#lines = lines;
    this.#errors = errors;
    ({ peer: this.peer, version: this.version, adapter: this.adapter } = hello);
  }

  /** Starts the worker and waits until its library is ready. Throws with the library's reason, or its last words. */
  static async start(spec: PeerSpec, python: string | undefined, env: NodeJS.ProcessEnv): Promise<Child> {
    const file = fileURLToPath(new URL(`workers/${spec.file}`, import.meta.url));
    const isPython = file.endsWith(".py");
    if (isPython && !python) throw new Error("no Python with torch was found; name one by PYTHON=/path/to/python3");
    // The parent's own flags have the loader of TypeScript in them.
    const argv = [...(isPython ? [] : process.execArgv), file, ...(spec.argument ? [spec.argument] : [])];
    const started = spawn(isPython ? python! : process.execPath, argv, { env, stdio: "pipe" });
    let errors = "";
    started.stderr.on("data", (part: Buffer) => (errors = (errors + part.toString()).slice(-2000)));
    // Writing to a process that is gone; the end of its stdout says so as well.
    started.stdin.on("error", () => undefined);
    started.on("error", () => undefined);
    const lines = createInterface({ input: started.stdout })[Symbol.asyncIterator]();
    const hello = await reply(started, lines, () => errors);
    if (!hello.ok) throw new Error(hello.error);
    if (!("peer" in hello)) throw new Error(`${spec.file} did not introduce itself.`);
    return new Child(spec, started, lines, () => errors, hello);
  }

  /** Sends one request. Throws with the reason when it fails; `dead` says whether the worker is gone as well. */
  async ask(request: Request): Promise<{ ms: number; note?: string | undefined }> {
    this.#process.stdin.write(`${JSON.stringify(request)}\n`);
    const answer = await reply(this.#process, this.#lines, this.#errors);
    if (!answer.ok) throw new Error(answer.error);
    if (!("ms" in answer)) throw new Error(`${this.spec.file} introduced itself twice.`);
    return answer;
  }

  get dead(): boolean {
    return this.#process.exitCode !== null || this.#process.signalCode !== null || this.#process.killed;
  }

  /** Ends the worker: by the end of its input, or by force when it does not listen. */
  async stop(): Promise<void> {
    if (this.dead) return;
    const ended = new Promise((resolve) => this.#process.once("exit", resolve));
    this.#process.stdin.end();
    const force = setTimeout(() => this.#process.kill("SIGKILL"), 3000);
    await ended;
    clearTimeout(force);
  }
}

/** The next line of a worker; its end or its silence are answers too. */
async function reply(
  from: ChildProcessWithoutNullStreams,
  lines: AsyncIterator<string>,
  errors: () => string,
): Promise<Reply> {
  let timer: NodeJS.Timeout | undefined;
  const silence = new Promise<"silence">((resolve) => (timer = setTimeout(resolve, PATIENCE_MS, "silence")));
  const line = await Promise.race([lines.next(), silence]);
  clearTimeout(timer);
  if (line === "silence") {
    from.kill("SIGKILL");
    return { ok: false, error: `no answer in ${PATIENCE_MS / 1000} s` };
  }
  if (!line.done) return JSON.parse(line.value) as Reply;
  if (from.exitCode === null && from.signalCode === null && from.pid !== undefined)
    await new Promise((resolve) => from.once("exit", resolve));
  const words = errors()
    .trim()
    .split("\n")
    .filter((text) => !text.includes("artificially reduced"))
    .slice(-3)
    .join(" | ");
  return { ok: false, error: `the process ended (${from.signalCode ?? `code ${from.exitCode}`}). ${words}` };
}
