/**
 * Kernels: a `.wgsl` file is read, its bindings, parameters and overrides are reflected from the text, and pipelines are
 * compiled from it on demand, asynchronously and once for each set of overrides and substitutions.
 *
 * The file is the only declaration of its bindings. The host matches buffers and parameters to it by name.
 */
import type { RediffError } from "./errors.ts";
import { GpuValidationError, ShaderError } from "./errors.ts";

/** One binding of a tensor's buffer, as the file declares it. */
export interface BufferBinding {
  readonly name: string;
  readonly binding: number;
  readonly access: "read" | "read_write";
  /** Bytes of a uniform `array<vec4f, COUNT>`, which shows only that much of its buffer. Undefined for storage, which shows all. */
  readonly window?: number;
}

/** One scalar of `struct Params`, in declaration order; each takes four bytes. */
export interface Param {
  readonly name: string;
  readonly type: "u32" | "i32" | "f32";
}

export interface KernelSource {
  readonly name: string;
  readonly text: string;
  readonly bindings: readonly BufferBinding[];
  readonly params: readonly Param[];
  readonly overrides: readonly string[];
}

/** A compiled variant of a kernel. `pipeline` is set once `ready` has resolved. */
export interface Kernel {
  readonly id: number;
  readonly source: KernelSource;
  readonly layout: GPUBindGroupLayout;
  readonly ready: Promise<void>;
  pipeline: GPUComputePipeline | undefined;
}

/** What makes one variant of a kernel different from another. */
export interface Variant {
  /** Values of the file's `override` constants. */
  readonly overrides?: Readonly<Record<string, number | boolean>>;
  /** `alias NAME = …;` lines whose type is replaced: how elements are stored, and the adapter's matrices. */
  readonly types?: Readonly<Record<string, string>>;
  /** One-line functions whose expression is replaced (the rows of the elementwise table). */
  readonly functions?: Readonly<Record<string, string>>;
}

const bindingPattern =
  /@group\(0\)\s*@binding\((\d+)\)\s*var<(uniform|storage)(?:,\s*(read|read_write))?>\s*(\w+)\s*:(?:\s*array<vec4f,\s*(\d+)>)?/g;
const overridePattern = /^override\s+(\w+)\s*:/gm;

/** Reads bindings, parameters and override names from WGSL text. Throws ShaderError when the file breaks the house rules. */
function reflect(name: string, text: string): KernelSource {
  const bindings: BufferBinding[] = [];
  for (const [, index, space, access, binding, count] of text.matchAll(bindingPattern)) {
    const common = { name: binding!, binding: Number(index) };
    if (space === "storage") bindings.push({ ...common, access: (access ?? "read") as BufferBinding["access"] });
    else if (count !== undefined) bindings.push({ ...common, access: "read", window: 16 * Number(count) });
    else if (binding !== "params" || index !== "0")
      throw new ShaderError(
        `${name}.wgsl: a uniform is \`params\` at binding 0 or an array<vec4f, COUNT>, not \`${binding}\` at ${index}.`,
        { name },
      );
  }
  const struct = /struct Params\s*\{([^}]*)\}/.exec(text)?.[1] ?? "";
  const params: Param[] = [];
  for (const [, param, type] of struct.replace(/\/\/.*$/gm, "").matchAll(/(\w+)\s*:\s*([\w<>]+)/g)) {
    if (type !== "u32" && type !== "i32" && type !== "f32")
      throw new ShaderError(`${name}.wgsl: Params holds scalars only; \`${param}\` is ${type}.`, { name, param, type });
    params.push({ name: param!, type });
  }
  return { name, text, bindings, params, overrides: [...text.matchAll(overridePattern)].map((match) => match[1]!) };
}

/** Applies the textual part of a variant: storage types and table expressions. */
function specialise(source: KernelSource, variant: Variant): string {
  let text = source.text;
  for (const [alias, type] of Object.entries(variant.types ?? {})) {
    const pattern = new RegExp(`^alias ${alias} = [^;]+;`, "m");
    if (!pattern.test(text))
      throw new ShaderError(`${source.name}.wgsl has no \`alias ${alias} = …;\` to be ${type}.`, { alias });
    text = text.replace(pattern, `alias ${alias} = ${type};`);
    if (type.includes("f16") && !/^enable f16;/m.test(text)) text = `enable f16;\n${text}`;
  }
  for (const [name, expression] of Object.entries(variant.functions ?? {})) {
    const pattern = new RegExp(`^(fn ${name}\\([^)]*\\) -> [\\w<>]+ \\{ return ).*?(; \\})`, "m");
    if (!pattern.test(text))
      throw new ShaderError(`${source.name}.wgsl has no one-line \`fn ${name}\` to fill.`, { name });
    text = text.replace(pattern, (_, head: string, tail: string) => head + expression + tail);
    if (/\bsubgroup/.test(expression) && !/^enable subgroups;/m.test(text)) text = `enable subgroups;\n${text}`;
  }
  return text;
}

/** The same for the same variant named in the same order; made for every dispatch, hence no sorting. */
function variantKey(name: string, { overrides, types, functions }: Variant): string {
  let key = name;
  for (const part of [overrides, types, functions]) {
    key += "|";
    for (const entry in part) key += `${entry}=${part[entry]},`;
  }
  return key;
}

/** All kernels of one device, by name and variant. */
export class KernelCache {
  readonly #gpu: GPUDevice;
  readonly #read: (name: string) => string;
  readonly #sources = new Map<string, KernelSource>();
  readonly #kernels = new Map<string, Kernel>();
  readonly #onError: (error: RediffError) => void;

  constructor(gpu: GPUDevice, read: (name: string) => string, onError: (error: RediffError) => void) {
    this.#gpu = gpu;
    this.#read = read;
    this.#onError = onError;
  }

  get size(): number {
    return this.#kernels.size;
  }

  /** Adds a kernel that is no file. */
  define(name: string, text: string): void {
    this.#sources.set(name, reflect(name, text));
  }

  source(name: string): KernelSource {
    let source = this.#sources.get(name);
    if (!source) this.#sources.set(name, (source = reflect(name, this.#read(name))));
    return source;
  }

  /** The kernel for this variant; its compilation starts now if it is new, and `ready` tells when it has ended. */
  get(name: string, variant: Variant): Kernel {
    const key = variantKey(name, variant);
    let kernel = this.#kernels.get(key);
    if (!kernel) {
      const source = this.source(name);
      const unknown = Object.keys(variant.overrides ?? {}).find((override) => !source.overrides.includes(override));
      if (unknown)
        throw new ShaderError(
          `${name}.wgsl has no override ${unknown}; it has ${source.overrides.join(", ") || "none"}.`,
          { name, unknown },
        );
      kernel = this.#compile(this.#kernels.size, source, variant, key);
      this.#kernels.set(key, kernel);
    }
    return kernel;
  }

  #compile(id: number, source: KernelSource, variant: Variant, label: string): Kernel {
    const gpu = this.#gpu;
    const buffers = source.bindings.map(({ binding, access, window }): GPUBindGroupLayoutEntry => ({
      binding,
      visibility: GPUShaderStage.COMPUTE,
      buffer: { type: window ? "uniform" : access === "read" ? "read-only-storage" : "storage" },
    }));
    const uniform: GPUBindGroupLayoutEntry[] = source.params.length
      ? [{ binding: 0, visibility: GPUShaderStage.COMPUTE, buffer: { type: "uniform", hasDynamicOffset: true } }]
      : [];
    const layout = gpu.createBindGroupLayout({ label, entries: [...uniform, ...buffers] });
    const code = specialise(source, variant);
    // Its errors come with the pipeline's, and with lines: the scope keeps Dawn from reporting them a second time.
    gpu.pushErrorScope("validation");
    const module = gpu.createShaderModule({ label, code });
    void gpu.popErrorScope();
    const constants: Record<string, number> = {};
    for (const [name, value] of Object.entries(variant.overrides ?? {})) constants[name] = Number(value);
    const kernel: { -readonly [K in keyof Kernel]: Kernel[K] } = {
      id,
      source,
      layout,
      pipeline: undefined,
      ready: Promise.resolve(),
    };
    kernel.ready = gpu
      .createComputePipelineAsync({
        label,
        layout: gpu.createPipelineLayout({ bindGroupLayouts: [layout] }),
        compute: { module, entryPoint: "main", constants },
      })
      .then(
        (pipeline) => void (kernel.pipeline = pipeline),
        async (reason: unknown) => this.#onError(await describeShaderError(source.name, label, module, code, reason)),
      );
    return kernel;
  }
}

async function describeShaderError(
  name: string,
  label: string,
  module: GPUShaderModule,
  code: string,
  reason: unknown,
): Promise<RediffError> {
  const lines = code.split("\n");
  const { messages } = await module.getCompilationInfo();
  const errors = messages.filter((message) => message.type === "error");
  if (!errors.length)
    return new GpuValidationError(`${name}.wgsl: the pipeline ${label} was refused. ${String(reason)}`, {
      name,
      label,
    });
  const text = errors.map(
    ({ lineNum, linePos, message }) => `  ${lineNum}:${linePos} ${message}\n    ${lines[lineNum - 1] ?? ""}`,
  );
  return new ShaderError(`${name}.wgsl does not compile (${label}):\n${text.join("\n")}`, { name, label });
}
