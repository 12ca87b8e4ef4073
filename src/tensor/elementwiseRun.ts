/**
 * Runs of elementwise operations: those that follow each other on tensors of one size become one dispatch. A dispatch costs
 * tens of microseconds whatever it computes, and a value that stays in a register is not loaded again.
 *
 * Which operations form a run depends on what is recorded alone, never on time: results of a program are always the same
 * bits, although a driver may contract a product and a sum that meet in one kernel.
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
const MOST_BUFFERS = 16;

/** What a recorder needs to dispatch a run. */
export interface RunDispatch {
  readonly kernel: Kernel;
  readonly blocks: readonly Block[];
  readonly params: Uint32Array;
  readonly workgroups: readonly [number, number, number];
}

export class RunFuser {
  readonly #kernels: KernelCache;
  readonly #mostBuffers: number;
  /** Kernel names by program. */
  readonly #names = new Map<string, string>();

  constructor(kernels: KernelCache, limits: GPUSupportedLimits) {
    this.#kernels = kernels;
    this.#mostBuffers = Math.min(MOST_BUFFERS, limits.maxStorageBuffersPerShaderStage);
  }

  /**
   * The commands of `list`, where `join` makes one of each run of those that `describe` knows. `upload` tells where a command
   * only writes data: in a buffer that the run before does not touch, it goes before the run and does not end it.
   */
  fuse<C>(
    list: readonly C[],
    describe: (command: C) => Elementwise | undefined,
    upload: (command: C) => Block | undefined,
    join: (run: readonly C[], dispatch: RunDispatch) => C,
  ): C[] {
    const fused: C[] = [];
    let run: C[] = [];
    let operations: Elementwise[] = [];
    const buffers = new Set<number>();
    const close = (): void => {
      if (run.length >= FEWEST_OPERATIONS) fused.push(join(run, this.#dispatch(operations)));
      else fused.push(...run);
      run = [];
      operations = [];
      buffers.clear();
    };
    for (const command of list) {
      const operation = describe(command);
      if (!operation) {
        const block = upload(command);
        if (!block || buffers.has(block.id)) close();
        fused.push(command);
        continue;
      }
      if (run.length === MOST_OPERATIONS || operation.count !== (operations[0]?.count ?? operation.count)) close();
      addBuffers(buffers, operation);
      if (buffers.size > this.#mostBuffers) {
        close();
        addBuffers(buffers, operation);
      }
      run.push(command);
      operations.push(operation);
    }
    close();
    return fused;
  }

  #dispatch(operations: readonly Elementwise[]): RunDispatch {
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
    const { count, steps: perLane, lanes: LANES, workgroups } = operations[0]!;
    const params = new Uint32Array(2 + MOST_OPERATIONS);
    params[0] = count;
    params[1] = perLane;
    const numbers = new Float32Array(params.buffer);
    operations.forEach(({ s }, i) => (numbers[2 + i] = s));
    const kernel = this.#kernels.get(this.#nameOf(steps, blocks.length), { overrides: { LANES } });
    return { kernel, blocks, params, workgroups: [...workgroups, 1] };
  }

  #nameOf(steps: readonly Step[], buffers: number): string {
    let key = "";
    for (const { names, expressions, operands, results } of steps)
      key += `${results.join(",")}=${expressions.join(",")} of ${names.join(",")}=${operands.join(",")};`;
    let name = this.#names.get(key);
    if (name === undefined) {
      this.#names.set(key, (name = `elementwiseRun ${this.#names.size}`));
      this.#kernels.define(name, textOf(this.#kernels.source("elementwiseRun").text, steps, buffers));
    }
    return name;
  }
}

function addBuffers(buffers: Set<number>, { operands, results }: Elementwise): void {
  for (const { id } of operands) buffers.add(id);
  for (const { id } of results) buffers.add(id);
}

/** An operation of a run; its buffers by their numbers in the run. */
interface Step {
  readonly names: readonly string[];
  readonly operands: readonly number[];
  readonly expressions: readonly string[];
  readonly results: readonly number[];
}

/** The kernel of these steps, from the text of kernels/elementwiseRun.wgsl. */
function textOf(template: string, steps: readonly Step[], buffers: number): string {
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

/** The lines between `// part {` and `// }`, replaced. */
function fill(text: string, part: string, lines: readonly string[]): string {
  const pattern = new RegExp(`// ${part} \\{\\n[^]*?// \\}\\n`);
  return text.replace(pattern, () => `${lines.join("\n")}\n`);
}
