/** What the browser libraries expect of their surroundings, from the same Dawn as ours. */
import { createRequire } from "node:module";
import { nodeGpu } from "../../../src/tensor/node.ts";

/** Puts `navigator.gpu` in place: Dawn, on the driver that our engine uses. Call it before a library is loaded. */
export async function installNavigator(): Promise<void> {
  const navigator = { gpu: await nodeGpu(), userAgent: "node" };
  Object.defineProperty(globalThis, "navigator", { value: navigator, configurable: true });
}

/** Node 20 has no iterator helpers yet; jax-js's einsum calls `map` and `filter` on an iterator. */
export function installIteratorHelpers(): void {
  const prototype = Object.getPrototypeOf(Object.getPrototypeOf([].values())) as object;
  if ("map" in prototype) return;
  const map = function* <A, B>(this: Iterable<A>, change: (value: A) => B): Generator<B> {
    for (const value of this) yield change(value);
  };
  const filter = function* <A>(this: Iterable<A>, keep: (value: A) => boolean): Generator<A> {
    for (const value of this) if (keep(value)) yield value;
  };
  for (const [name, value] of Object.entries({ map, filter }))
    Object.defineProperty(prototype, name, { value, configurable: true, writable: true });
}

/** Loads a CommonJS package of bench/peers. */
export const requirePeer: NodeJS.Require = createRequire(import.meta.url);

/** Version of an installed package. Some hide their package.json from `require`, so the path is written out. */
export function versionOf(name: string): string {
  return (requirePeer(`../node_modules/${name}/package.json`) as { version: string }).version;
}
