/**
 * The import graph of the project, read with regular expressions: TypeScript 7 has no parser to call from JavaScript,
 * and our style (one statement a line or block, at the start of a line, explicit extensions) needs none.
 */
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { posix, relative, sep } from "node:path";
import { fileURLToPath } from "node:url";

export const ROOT: string = fileURLToPath(new URL("../", import.meta.url));

/** A file, and what it imports: paths from the project's root for our own files, bare names for packages. */
export type ImportGraph = ReadonlyMap<string, readonly string[]>;

/** All files below the folders, as paths from the root with forward slashes, sorted. A missing folder has none. */
export function filesBelow(folders: readonly string[], ending: string): string[] {
  return folders
    .filter((folder) => existsSync(ROOT + folder))
    .flatMap((folder) =>
      readdirSync(ROOT + folder, { recursive: true, encoding: "utf8" }).map((file) => `${folder}/${file}`),
    )
    .map((file) => file.split(sep).join("/"))
    .filter((file) => file.endsWith(ending))
    .sort();
}

/** The specifiers that a source text imports: static, re-exported, dynamic, and types too. */
export function importsIn(source: string): string[] {
  const found = [
    ...source.matchAll(/^[ \t]*(?:import|export)\b[^"';]*?\bfrom\s*["']([^"']+)["']/gm),
    ...source.matchAll(/^[ \t]*import\s*["']([^"']+)["']/gm),
    ...source.matchAll(/^(?![ \t]*(?:\/\/|\*)).*?\bimport\(\s*["']([^"']+)["']/gm),
  ];
  return [...new Set(found.map((match) => match[1]!))];
}

/** Turns a specifier in `file` into a path from the root; names of packages stay as they are. */
export function resolveImport(file: string, specifier: string): string {
  return specifier.startsWith(".") ? posix.join(posix.dirname(file), specifier) : specifier;
}

export function importGraph(files: readonly string[]): ImportGraph {
  return new Map(
    files.map((file) => [
      relative(ROOT, ROOT + file)
        .split(sep)
        .join("/"),
      importsIn(readFileSync(ROOT + file, "utf8")).map((specifier) => resolveImport(file, specifier)),
    ]),
  );
}

/** Everything that a file reaches by imports, packages included. */
export function reachableFrom(graph: ImportGraph, start: string): Set<string> {
  const seen = new Set<string>();
  const next = [start];
  for (let file = next.pop(); file !== undefined; file = next.pop()) {
    for (const target of graph.get(file) ?? []) {
      if (!seen.has(target)) {
        seen.add(target);
        next.push(target);
      }
    }
  }
  return seen;
}

/** The circles in a graph, each once, as the files in order with the first repeated at the end. */
export function cyclesIn(graph: ImportGraph): string[][] {
  const done = new Set<string>();
  const cycles: string[][] = [];
  const visit = (file: string, path: readonly string[]): void => {
    const start = path.indexOf(file);
    if (start >= 0) {
      cycles.push([...path.slice(start), file]);
      return;
    }
    if (done.has(file)) return;
    for (const target of graph.get(file) ?? []) visit(target, [...path, file]);
    done.add(file);
  };
  for (const file of graph.keys()) visit(file, []);
  return cycles;
}
