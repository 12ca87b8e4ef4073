/**
 * `npm run bench peers`: the same work, on the same adapter, in one run, for us and for what else a JavaScript user can have.
 *
 * Every library has a process of its own that sleeps while the others work. A row is done in this order: upload and first
 * call (compilation; reported apart), answer compared with f64, one to three samples that find the number of
 * calls, then rounds in which each library takes one sample, starting with another one each time. The median counts.
 * A sample is a number of calls and one wait for the device. Nothing large is read back.
 */
import { spawnSync } from "node:child_process";
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { parse, wholeNumber } from "../../src/cli/usage.ts";
import { readJson } from "../../src/model/files.ts";
import { RediffError } from "../../src/tensor/index.ts";
import { TOLERANCE, wrongness } from "./compare.ts";
import { Child, peers, type PeerSpec, pythonWithTorch } from "./child.ts";
import { CELL, firstLine, header, type Measurement, Notes, rowLine, type RowResult } from "./report.ts";
import { save } from "./result.ts";
import { bytesOf, type Row, rows } from "./rows.ts";
import { messageOf, type RowRequest } from "./worker.ts";

const USAGE = `npm run bench peers -- [options]

  --rows a,b      rows whose name has one of these words      (default: all; --rows list prints them)
  --peers a,b     of ${peers.map(({ id }) => id).join(", ")}      (default: all)
  --rounds n      samples of each library and row             (default: 5)
  --sample ms     how long a sample should take               (default: 100)
  --cached        let the graphics driver keep compiled kernels on disk, so that first calls are not cold
  --out file      where the result goes                       (default: bench/results)
  --help

PYTHON=/path/to/python3 names the Python whose torch is used; without one that column is empty.`;

const folder = fileURLToPath(new URL("./", import.meta.url));

export async function benchPeers(args: readonly string[]): Promise<void> {
  const { values } = parse(args, {
    rows: { type: "string" },
    peers: { type: "string" },
    rounds: { type: "string" },
    sample: { type: "string" },
    cached: { type: "boolean" },
    out: { type: "string" },
    help: { type: "boolean", short: "h" },
  });
  if (values.help) return console.log(USAGE);
  if (values.rows === "list") return console.log(rows.map(({ name }) => name).join("\n"));
  const chosen = values.rows === undefined ? rows : chooseRows(values.rows.split(","));
  const columns = values.peers === undefined ? peers : choosePeers(values.peers.split(","));
  const rounds = wholeNumber("rounds", values.rounds, 5);
  const sampleMs = wholeNumber("sample", values.sample, 100);

  if (columns.some(({ file, id }) => file.endsWith(".ts") && id !== "rediff")) install();
  const temporary = mkdtempSync(join(tmpdir(), "rediff-peers-"));
  const crew = new Crew(columns, values.cached === true);
  const results: RowResult[] = [];
  const notes = new Notes();
  try {
    await crew.start();
    console.log(
      `Milliseconds a call, median of ${rounds} rounds. Answers agree with f64 within ${TOLERANCE}·(1 + |x|).\n`,
    );
    console.log(header(columns));
    for (const row of chosen) {
      const measured = await measure(row, crew, { rounds, sampleMs, temporary });
      const result = { name: row.name, flops: row.flops, measured };
      results.push(result);
      console.log(rowLine(result, columns, notes));
    }
  } finally {
    await crew.stop();
    rmSync(temporary, { recursive: true });
  }
  console.log("\nFirst call, with compilation, in milliseconds\n");
  for (const result of results) console.log(firstLine(result, columns));
  for (const line of notes.lines()) console.log(`\n${line}`);
  const out = await save({ libraries: crew.facts, rounds, cached: values.cached === true, rows: results }, values.out);
  console.log(`\n${results.length} rows in ${out}`);
}

function chooseRows(words: readonly string[]): Row[] {
  const chosen = rows.filter(({ name }) => words.some((word) => name.includes(word)));
  if (!chosen.length)
    throw new RediffError(`--rows: no row has "${words.join('" or "')}" in its name. --rows list prints them.`);
  return chosen;
}

function choosePeers(ids: readonly string[]): PeerSpec[] {
  const unknown = ids.find((id) => !peers.some((peer) => peer.id === id));
  if (unknown !== undefined)
    throw new RediffError(`--peers: "${unknown}" is none of ${peers.map(({ id }) => id).join(", ")}.`);
  return peers.filter(({ id }) => ids.includes(id));
}

/** Fetches the optional packages at first use. Their install scripts are left out: they would fetch CUDA libraries. */
function install(): void {
  const lock = (path: string): string => JSON.stringify(packagesOf(join(folder, path)));
  if (lock("node_modules/.package-lock.json") === lock("package-lock.json")) return;
  const command = ["npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund"];
  console.log(
    `The other libraries are not part of the project. Installing them once (360 MB), in bench/peers: ${command.join(" ")}`,
  );
  const { status, stderr } = spawnSync(command.join(" "), { cwd: folder, shell: true, encoding: "utf8" });
  if (status !== 0)
    throw new RediffError(`${command.join(" ")} failed in ${folder}: ${stderr.trim().split("\n").slice(-3).join(" ")}`);
}

/** Version by path, of a lock file; empty where there is none. */
function packagesOf(file: string): [string, string | undefined][] {
  if (!existsSync(file)) return [];
  const { packages } = readJson(file) as { packages: Record<string, { version?: string }> };
  return Object.entries(packages)
    .filter(([path]) => path !== "")
    .map(([path, { version }]): [string, string | undefined] => [path, version])
    .sort(([a], [b]) => a.localeCompare(b));
}

/** The workers, and why those that are missing are. A worker that died is started again for the next row. */
class Crew {
  readonly facts: Record<string, { library: string; version: string; adapter: string } | { missing: string }> = {};
  readonly #columns: readonly PeerSpec[];
  readonly #children = new Map<string, Child>();
  readonly #missing = new Map<string, string>();
  readonly #env: NodeJS.ProcessEnv;
  #python: string | undefined;

  constructor(columns: readonly PeerSpec[], cached: boolean) {
    this.#columns = columns;
    this.#env = cached ? process.env : { ...process.env, MESA_SHADER_CACHE_DISABLE: "1" };
  }

  async start(): Promise<void> {
    if (this.#columns.some(({ file }) => file.endsWith(".py"))) this.#python = pythonWithTorch();
    for (const spec of this.#columns) {
      const child = await this.#startOne(spec);
      console.log(
        child
          ? `${spec.title.padEnd(CELL)}${child.peer} ${child.version}, ${child.adapter}`
          : `${spec.title.padEnd(CELL)}left out: ${this.#missing.get(spec.id)}`,
      );
    }
  }

  async #startOne(spec: PeerSpec): Promise<Child | undefined> {
    try {
      const child = await Child.start(spec, this.#python, this.#env);
      this.#children.set(spec.id, child);
      this.facts[spec.id] = { library: child.peer, version: child.version, adapter: child.adapter };
      return child;
    } catch (error) {
      const missing = messageOf(error);
      this.#missing.set(spec.id, missing);
      this.facts[spec.id] = { missing };
      return undefined;
    }
  }

  /** Those that can work on a row. */
  async ready(): Promise<Child[]> {
    for (const child of this.#children.values())
      if (child.dead) {
        this.#children.delete(child.spec.id);
        await this.#startOne(child.spec);
      }
    return [...this.#children.values()];
  }

  async stop(): Promise<void> {
    await Promise.all([...this.#children.values()].map((child) => child.stop()));
  }
}

interface Plan {
  readonly rounds: number;
  readonly sampleMs: number;
  readonly temporary: string;
}

/** Of a sample: results wait for its end in libraries that collect garbage. */
const MOST_CALLS = 512;

/** One row, for all workers. What fails is said in place of a time. */
async function measure(
  row: Row,
  crew: Crew,
  { rounds, sampleMs, temporary }: Plan,
): Promise<Record<string, Measurement>> {
  const { inputs, answer } = await row.draw();
  const files = Object.entries(inputs).map(([name, input], i): [string, RowRequest["inputs"][string]] => {
    const file = join(temporary, `input.${i}`);
    writeFileSync(file, bytesOf(input));
    return [name, { file, shape: [...input.shape], dtype: input.dtype }];
  });
  const request: RowRequest = { name: row.name, work: row.work, params: row.params, inputs: Object.fromEntries(files) };

  const measured: Record<string, Measurement> = {};
  const children = await crew.ready();
  const prepared: { child: Child; firstMs: number; note: string | undefined; got: Float32Array }[] = [];
  for (const child of children)
    await attempt(child, measured, async () => {
      const { ms: firstMs, note } = await child.ask({ do: "prepare", row: request });
      const file = join(temporary, "answer");
      await child.ask({ do: "answer", file });
      prepared.push({ child, firstMs, note, got: new Float32Array(new Uint8Array(readFileSync(file)).buffer) });
    });

  const expected = answer ?? lossesOf(prepared.map(({ child, got }) => [child.spec.id, got]));
  const racing: { child: Child; firstMs: number; note: string | undefined; calls: number; times: number[] }[] = [];
  for (const { child, firstMs, note, got } of prepared)
    await attempt(child, measured, async () => {
      const wrong = wrongness(answer ? got : got.subarray(0, expected.length), expected);
      if (wrong !== undefined) throw new Error(wrong);
      // One call is mostly waiting, so the number of calls is corrected by a sample of many, which also warms what will be timed.
      let calls = 1;
      for (let look = 0; look < 3; look++) {
        const { ms } = await child.ask({ do: "sample", calls });
        const wanted = Math.round(Math.min(MOST_CALLS, (calls * sampleMs) / ms));
        if (wanted <= 1.5 * calls) break;
        calls = wanted;
      }
      racing.push({ child, firstMs, note, calls, times: [] });
    });

  for (let round = 0; round < rounds; round++)
    for (const entry of rotated(racing, round)) {
      const { child, calls, times } = entry;
      if (measured[child.spec.id]) continue;
      await attempt(child, measured, async () => {
        times.push((await child.ask({ do: "sample", calls })).ms / calls);
      });
    }
  for (const { child, firstMs, note, calls, times } of racing)
    measured[child.spec.id] ??= {
      ok: true,
      firstMs,
      ms: statistics(times),
      calls,
      ...(note !== undefined && { note }),
    };
  for (const child of children) if (!child.dead) await child.ask({ do: "release" }).catch(() => undefined);
  return measured;
}

async function attempt(child: Child, measured: Record<string, Measurement>, body: () => Promise<void>): Promise<void> {
  try {
    await body();
  } catch (error) {
    measured[child.spec.id] = { ok: false, reason: messageOf(error) };
  }
}

/** Losses to compare with: torch's, which brings those in f64 behind its own, else ours. */
function lossesOf(answers: readonly (readonly [string, Float32Array])[]): Float32Array {
  const given = new Map(answers);
  return given.get("torch")?.slice(3) ?? given.get("rediff") ?? answers[0]?.[1] ?? new Float32Array(3);
}

const rotated = <T>(items: readonly T[], by: number): T[] => items.map((_, i) => items[(i + by) % items.length]!);

function statistics(times: readonly number[]): { p50: number; min: number; max: number; samples: number } {
  const sorted = [...times].sort((a, b) => a - b);
  const middle = (sorted.length - 1) / 2;
  const p50 = (sorted[Math.floor(middle)]! + sorted[Math.ceil(middle)]!) / 2;
  return { p50, min: sorted[0]!, max: sorted.at(-1)!, samples: sorted.length };
}
