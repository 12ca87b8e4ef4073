/** What the engine needs from Node: Dawn, and the kernel files. A browser brings its own (see `openDevice`). */
import { existsSync, readFileSync } from "node:fs";
import { prepareDriver } from "./softwareDriver.ts";

/** Keeps what `create()` returned: when V8 collects it, the process crashes. */
const alive: GPU[] = [];

/** Dawn's entry point. Timestamps are not quantised, so that a kernel of 20 µs can be timed. */
export async function nodeGpu(): Promise<GPU> {
  if (!alive[0]) {
    prepareDriver();
    const { create, globals } = await import("webgpu");
    Object.assign(globalThis, globals);
    alive.push(create(["disable-dawn-features=timestamp_quantization"]));
  }
  return alive[0]!;
}

const folder = new URL("../../kernels/", import.meta.url);

/** Text of `kernels/<name>.wgsl`. */
export function readKernelFile(name: string): string {
  const file = new URL(`${name}.wgsl`, folder);
  if (!existsSync(file)) throw new Error(`No kernel file ${name}.wgsl in ${folder.pathname}.`);
  return readFileSync(file, "utf8");
}
