/**
 * A worker's side of the comparison: one process for each library, so that each has a device of its own and a crash stays
 * alone. It takes requests as lines of JSON from stdin and answers each with one line on stdout; all else goes to stderr.
 * Between requests it awaits nothing but stdin: Dawn polls while something of its own is awaited.
 */
import { Console } from "node:console";
import { readFileSync, writeFileSync } from "node:fs";
import { createInterface } from "node:readline";
import type { Work } from "./rows.ts";

/** A row as a worker sees it: inputs are files of raw f32 or u32. */
export interface RowRequest {
  readonly name: string;
  readonly work: Work;
  readonly params: Readonly<Record<string, number>>;
  readonly inputs: Readonly<Record<string, { file: string; shape: number[]; dtype: "f32" | "u32" }>>;
}

export type Request =
  /** Uploads the inputs, and makes one call; its time has all compilation in it. */
  | { readonly do: "prepare"; readonly row: RowRequest }
  /** Writes the answer to a file, raw f32. */
  | { readonly do: "answer"; readonly file: string }
  /** Times so many calls, up to the moment when the device has done them. */
  | { readonly do: "sample"; readonly calls: number }
  | { readonly do: "release" };

export type Reply =
  | { readonly ok: true; readonly ms: number; readonly note?: string | undefined }
  | { readonly ok: false; readonly error: string }
  /** The first line of a worker. */
  | { readonly ok: true; readonly peer: string; readonly version: string; readonly adapter: string };

/** Prefix of the names of inputs that are parameters of the training step; its others are `ids` and `targets`, (B, T) each. */
export const PARAMETER = "parameter.";

/** What a library does for one row. */
export interface Job {
  /** What a reader of the table has to know about how the library does this row. */
  readonly note?: string;
  /** Does the work so many times, independently, and resolves when the device is done. A training step follows the one before. */
  run(calls: number): Promise<void>;
  /** The result, in the order of the reference; of a training step the losses of the first three steps. */
  answer(): Promise<Float32Array>;
  dispose(): void;
}

export interface Values {
  readonly shape: number[];
  readonly data: Float32Array<ArrayBuffer> | Uint32Array<ArrayBuffer>;
}
export type Inputs = Readonly<Record<string, Values>>;

export interface Library {
  readonly name: string;
  readonly version: string;
  readonly adapter: string;
  /** Uploads inputs; throws with the reason where the library cannot do this work. */
  prepare(row: RowRequest, inputs: Inputs): Job | Promise<Job>;
}

/** What was thrown, in words: libraries also throw what is no Error. */
export const messageOf = (thrown: unknown): string => (thrown instanceof Error ? thrown.message : String(thrown));

/** Serves requests until stdin ends. What `open` or a job throws is the answer. */
export async function serve(open: () => Promise<Library>): Promise<void> {
  const send = (reply: Reply): void => void process.stdout.write(`${JSON.stringify(reply)}\n`);
  globalThis.console = new Console(process.stderr);
  let library: Library;
  try {
    library = await open();
  } catch (error) {
    send({ ok: false, error: messageOf(error) });
    return;
  }
  send({ ok: true, peer: library.name, version: library.version, adapter: library.adapter });
  let job: Job | undefined;
  for await (const line of createInterface({ input: process.stdin })) {
    try {
      const start = performance.now();
      const request = JSON.parse(line) as Request;
      if (request.do === "prepare") {
        job = await library.prepare(request.row, readInputs(request.row));
        await job.run(1);
      } else if (!job) throw new Error("There is no row; `prepare` one first.");
      else if (request.do === "sample") await job.run(request.calls);
      else if (request.do === "answer") writeFileSync(request.file, await job.answer());
      else {
        job.dispose();
        job = undefined;
      }
      send({ ok: true, ms: performance.now() - start, note: job?.note });
    } catch (error) {
      send({ ok: false, error: messageOf(error) });
    }
  }
  // Devices that are still open would keep the process; nothing is left to be written.
  process.exit();
}

function readInputs({ inputs }: RowRequest): Inputs {
  return Object.fromEntries(
    Object.entries(inputs).map(([name, { file, shape, dtype }]) => {
      // A small file comes as a view into Node's pool; the copy has a buffer of its own.
      const { buffer } = new Uint8Array(readFileSync(file));
      return [name, { shape, data: dtype === "u32" ? new Uint32Array(buffer) : new Float32Array(buffer) }];
    }),
  );
}

/** (B, T, H, D) to (B, H, T, D) and, with H and T exchanged in the call, back. */
export function swapHeads({ shape, data }: Values): { shape: number[]; data: Float32Array<ArrayBuffer> } {
  const [B, T, H, D] = shape as [number, number, number, number];
  const swapped = new Float32Array(data.length);
  for (let b = 0; b < B; b++)
    for (let t = 0; t < T; t++)
      for (let h = 0; h < H; h++) {
        const from = ((b * T + t) * H + h) * D;
        swapped.set(data.subarray(from, from + D), ((b * H + h) * T + t) * D);
      }
  return { shape: [B, H, T, D], data: swapped };
}

/** A job of training steps: `step` runs so many, and gives the loss of the last, from before its update. */
export function trainingJob(step: (calls: number) => Promise<number>, dispose: () => void): Job {
  const losses: number[] = [];
  const run = async (calls: number): Promise<void> => void losses.push(await step(calls));
  return {
    run,
    async answer() {
      while (losses.length < 3) await run(1);
      return Float32Array.from(losses.slice(0, 3));
    },
    dispose,
  };
}
