/** Decoders that are compiled to WebAssembly (@jsquash/…): started by the first picture, and anew after one that broke them. */
import { readFile } from "node:fs/promises";
import { createRequire } from "node:module";
import { undecodable } from "./imageChecks.ts";

/** What their `init` takes; its own types name a namespace that the packages do not declare to us. */
interface Start {
  readonly instantiateWasm: (
    imports: WebAssembly.Imports,
    ready: (instance: WebAssembly.Instance) => void,
  ) => WebAssembly.Exports;
  readonly printErr: () => void;
}

/**
 * The decoder `library` of the package's `file`. What it returns runs a decoding once the decoder is ready, and throws ImageError
 * where that fails; `name` is the picture's.
 */
export function wasmDecoder(
  library: string,
  file: string,
  init: (start: Start) => Promise<void>,
): (name: string, decode: () => Promise<ImageData>) => Promise<ImageData> {
  let started: Promise<void> | undefined;
  return async (name, decode) => {
    await (started ??= start(file, init));
    try {
      return await decode();
    } catch (cause) {
      // A picture that broke the decoder must not break the next: that one gets a new instance.
      started = undefined;
      throw undecodable(name, library, cause);
    }
  };
}

/** It would fetch its own file, which Node's fetch does not do for files: it is handed over. */
async function start(file: string, init: (start: Start) => Promise<void>): Promise<void> {
  const module = await WebAssembly.compile(await readFile(createRequire(import.meta.url).resolve(file)));
  await init({
    instantiateWasm: (imports, ready) => {
      const instance = new WebAssembly.Instance(module, imports);
      ready(instance);
      return instance.exports;
    },
    // What it says of a damaged file; the error that follows is ours.
    printErr: () => undefined,
  });
}
