/**
 * Fusion of elementwise operations: a run of them on tensors of one size becomes one dispatch. A dispatch costs tens of
 * microseconds whatever it computes, and a value that stays in a register is not loaded again.
 *
 * Which operations form a run depends on what is recorded between two flushes alone, neither on time nor on which buffers
 * the pool hands out. So the same operations give the same bits, although a driver may contract a product and a sum that
 * meet in one kernel, which it cannot where they are apart.
 */
import type { Block } from "./buffers.ts";
import type { Kernel, KernelCache } from "./kernel.ts";

/** What a dispatch does, where it computes expressions of elements at the same place. */
export interface Elementwise {
  readonly names: readonly string[];
  readonly operands: readonly Block[];
  /** WGSL of each result, in vec4f, of `names` and the number s. */
  readonly expressions: readonly string[];
  readonly results: readonly Block[];
  readonly s: number;
  /** Vectors of four in each of the buffers, and how they are spread over the device. */
  readonly count: number;
  readonly steps: number;
  readonly lanes: number;
  readonly workgroups: readonly [number, number];
}

/** Operations of a run, at most: the numbers in kernels/elementwiseRun.wgsl. */
const MOST_OPERATIONS = 16;
/** At least: a kernel of its own must pay for being compiled. */
const FEWEST_OPERATIONS = 3;
/** Also where more may be bound: bindings cost compilation. */
const MOST_BUFFERS = 16;
/** Kernels that are made, at most. Programs that are seen after them are dispatched one operation at a time. */
const MOST_PROGRAMS = 256;

/** What a recorder needs to dispatch a run. */
export interface RunDispatch {
  readonly kernel: Kernel;
  readonly blocks: readonly Block[];
  readonly params: Readonly<Record<string, number>>;
  readonly workgroups: readonly [number, number, number];
}

/** Commands in order, and behind them those of a run that may go on. */
export interface Fused<C> {
  readonly done: readonly C[];
  readonly open: readonly C[];
}

export class RunFuser {
  readonly #kernels: Pick<KernelCache, "get" | "define" | "source">;
  readonly #mostBuffers: number;
  /** Kernel names by program. */
  readonly #names = new Map<string, string>();

  constructor(
    kernels: Pick<KernelCache, "get" | "define" | "source">,
    { maxStorageBuffersPerShaderStage }: Pick<GPUSupportedLimits, "maxStorageBuffersPerShaderStage">,
  ) {
    this.#kernels = kernels;
    this.#mostBuffers = Math.min(MOST_BUFFERS, maxStorageBuffersPerShaderStage);
  }

  /**
   * The commands of `list`, where `join` makes one of each run of those that `describe` knows. `guard` tells what a command
   * writes that is only a guard behind a new buffer: it goes before the run, unless the run has had that buffer in another use.
   */
  fuse<C>(
    list: readonly C[],
    isLast: boolean,
    describe: (command: C) => Elementwise | undefined,
    guard: (command: C) => Block | undefined,
    join: (run: readonly C[], dispatch: RunDispatch) => C,
  ): Fused<C> {
    const done: C[] = [];
    let run: C[] = [];
    let operations: Elementwise[] = [];
    // Uses of buffers, not buffers: which of them are the same is the pool's affair.
    const uses = new Set<Block>();
    const close = (): void => {
      const dispatch = run.length >= FEWEST_OPERATIONS && this.#dispatch(operations);
      if (dispatch) done.push(join(run, dispatch));
      else done.push(...run);
      run = [];
      operations = [];
      uses.clear();
    };
    for (const command of list) {
      const operation = describe(command);
      if (!operation) {
        const block = guard(command);
        if (!block || [...uses].some(({ id }) => id === block.id)) close();
        done.push(command);
        continue;
      }
      if (run.length === MOST_OPERATIONS || operation.count !== (operations[0]?.count ?? operation.count)) close();
      addUses(uses, operation);
      if (uses.size > this.#mostBuffers) {
        close();
        addUses(uses, operation);
      }
      run.push(command);
      operations.push(operation);
    }
    if (isLast) close();
    return { done, open: run };
  }

  /** Undefined when there are too many programs already. */
  #dispatch(operations: readonly Elementwise[]): RunDispatch | undefined {
    const blocks: Block[] = [];
    const slots = new Map<number, number>();
    const slotOf = (block: Block): number => {
      let slot = slots.get(block.id);
      if (slot === undefined) {
        slots.set(block.id, (slot = blocks.length));
        blocks.push(block);
      } else if (block.bytes > blocks[slot]!.bytes) blocks[slot] = block; // The buffer was let go of, and taken again.
      return slot;
    };
    const steps = operations.map(({ names, operands, expressions, results }): Step => ({
      names,
      operands: operands.map(slotOf),
      expressions,
      results: results.map(slotOf),
    }));
    const name = this.#nameOf(steps, blocks.length);
    if (name === undefined) return undefined;
    const { count, steps: perLane, lanes: LANES, workgroups } = operations[0]!;
    const params: Record<string, number> = { count, steps: perLane };
    for (let i = 0; i < MOST_OPERATIONS; i++) params[`s${i}`] = operations[i]?.s ?? 0;
    const kernel = this.#kernels.get(name, { overrides: { LANES } });
    return { kernel, blocks, params, workgroups: [...workgroups, 1] };
  }

  #nameOf(steps: readonly Step[], buffers: number): string | undefined {
    let key = "";
    for (const { names, expressions, operands, results } of steps)
      key += `${results.join(",")}=${expressions.join(",")} of ${names.join(",")}=${operands.join(",")};`;
    let name = this.#names.get(key);
    if (name === undefined && this.#names.size < MOST_PROGRAMS) {
      this.#names.set(key, (name = `elementwiseRun ${this.#names.size}`));
      const textOf = (kernel: string): string => this.#kernels.source(kernel).text;
      const helpers = helpersOf(textOf("elementwiseUnary") + textOf("elementwiseUnaryBackward"));
      this.#kernels.define(name, runText(textOf("elementwiseRun") + helpers, steps, buffers));
    }
    return name;
  }
}

function addUses(uses: Set<Block>, { operands, results }: Elementwise): void {
  for (const block of operands) uses.add(block);
  for (const block of results) uses.add(block);
}

/** An operation of a run; its buffers by their numbers in the run. */
interface Step {
  readonly names: readonly string[];
  readonly operands: readonly number[];
  readonly expressions: readonly string[];
  readonly results: readonly number[];
}

/** The kernel of these steps, from the text of kernels/elementwiseRun.wgsl. */
function runText(template: string, steps: readonly Step[], buffers: number): string {
  const lines: string[] = [];
  /** What each buffer holds at this point of the run. */
  const values = new Map<number, string>();
  const valueOf = (slot: number): string => {
    if (!values.has(slot)) {
      lines.push(`let x${slot} = t${slot}[i];`);
      values.set(slot, `x${slot}`);
    }
    return values.get(slot)!;
  };
  /** The function of each expression, and its name. */
  const functions = new Map<string, { readonly name: string; readonly text: string }>();
  const functionOf = (expression: string, names: readonly string[]): string => {
    const key = `${expression}(${names.join(",")})`;
    if (!functions.has(key)) {
      const name = `f${functions.size}`;
      const parameters = [...names.map((one) => `${one}: vec4f`), "s: f32"].join(", ");
      functions.set(key, { name, text: `fn ${name}(${parameters}) -> vec4f { return ${expression}; }` });
    }
    return functions.get(key)!.name;
  };
  steps.forEach(({ names, operands, expressions, results }, i) => {
    const given = [...operands.map(valueOf), `params.s${i}`].join(", ");
    const made = expressions.map((expression, k) => {
      const value = `y${i}${"abc"[k]}`;
      lines.push(`let ${value} = ${functionOf(expression, names)}(${given});`);
      return value;
    });
    results.forEach((slot, k) => values.set(slot, made[k]!));
  });
  const written = new Set(steps.flatMap(({ results }) => results));
  for (const slot of written) lines.push(`t${slot}[i] = ${values.get(slot)};`);
  const bindings = Array.from({ length: buffers }, (_, slot) => {
    const access = written.has(slot) ? "read_write" : "read";
    return `@group(0) @binding(${slot + 1}) var<storage, ${access}> t${slot}: array<vec4f>;`;
  });
  const texts = [...functions.values()].map(({ text }) => text);
  return fill(fill(fill(template, "buffers", bindings), "steps", lines), "functions", texts);
}

/** The functions in kernels' text that rows of the table may call, each once: all of several lines but `main`. */
function helpersOf(text: string): string {
  const functions = new Map<string, string>();
  for (const [whole, name] of text.matchAll(/^fn (\w+)\(.*\) -> \w+ \{\n[^]*?^\}\n/gm)) functions.set(name!, whole);
  return [...functions.values()].map((whole) => `\n${whole}`).join("");
}

/** The lines between `// part {` and `// }`, replaced. */
function fill(text: string, part: string, lines: readonly string[]): string {
  const pattern = new RegExp(`// ${part} \\{\\n[^]*?// \\}\\n`);
  return text.replace(pattern, () => `${lines.join("\n")}\n`);
}
