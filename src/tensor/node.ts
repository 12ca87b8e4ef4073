/** What the engine needs from Node: Dawn, and the kernel files. A browser brings its own (see `openDevice`). */
import { existsSync, readFileSync } from "node:fs";
import { prepareDriver } from "./softwareDriver.ts";

/**
 * Dawn's toggles. Timestamps are not quantised, so that a kernel of 20 µs can be timed; subgroup matrices are offered, which
 * Dawn counts as unsafe while WGSL has not settled them; and so is f16 on NVIDIA's Linux driver.
 */
const DAWN_TOGGLES = [
  "enable-dawn-features=allow_unsafe_apis,vulkan_enable_f16_on_nvidia",
  "disable-dawn-features=timestamp_quantization",
];

/** Keeps what `create()` returned: when V8 collects it, the process crashes. */
const alive: GPU[] = [];

/** Dawn's entry point. */
export async function nodeGpu(): Promise<GPU> {
  if (!alive[0]) {
    prepareDriver();
    const { create, globals } = await import("webgpu");
    Object.assign(globalThis, globals);
    alive.push(create(DAWN_TOGGLES));
  }
  return alive[0]!;
}

/** Nobody writes here: a wait for it is a sleep. */
const bed = new Int32Array(new SharedArrayBuffer(4));
let waiting = 0;
let began = 0;
let napping = false;

/** Sleeps a tenth of the time waited so far, at most 1 ms, in each turn of the event loop: short waits are not made longer. */
function nap(): void {
  napping = waiting > 0;
  if (!napping) return;
  const ms = Math.min(1, 0.1 * (performance.now() - began));
  if (ms > 0.05) Atomics.wait(bed, 0, 0, ms);
  setImmediate(nap);
}

/**
 * Awaits `work` of a device that computes on the processor. Dawn in Node asks in every turn of the event loop whether work is
 * done, without a pause, and takes a core from the adapter; naps between its questions give the core back.
 */
export async function awaitWithNaps<T>(work: Promise<T>): Promise<T> {
  if (waiting++ === 0) began = performance.now();
  if (!napping) {
    napping = true;
    setImmediate(nap);
  }
  try {
    return await work;
  } finally {
    waiting--;
  }
}

const folder = new URL("../../kernels/", import.meta.url);

/** Text of `kernels/<name>.wgsl`. */
export function readKernelFile(name: string): string {
  const file = new URL(`${name}.wgsl`, folder);
  if (!existsSync(file)) throw new Error(`No kernel file ${name}.wgsl in ${folder.pathname}.`);
  return readFileSync(file, "utf8");
}
