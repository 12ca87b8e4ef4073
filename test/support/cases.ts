/** All case files: each default-exports one case or several, and may list mutants. */
import { readdirSync } from "node:fs";
import type { AnyCase, Mutant } from "./opCase.ts";

export interface CaseFile {
  readonly file: string;
  readonly cases: readonly AnyCase[];
  readonly mutants: readonly Mutant[];
}

const folder = new URL("../cases/", import.meta.url);

/** In order of name; with `only`, the files of that name. */
export async function loadCases(only?: string): Promise<CaseFile[]> {
  const files = readdirSync(folder)
    .filter((file) => file.endsWith(".ts") && (!only || file === `${only}.ts`))
    .sort();
  return Promise.all(
    files.map(async (file) => {
      const module = (await import(new URL(file, folder).href)) as {
        default: AnyCase | readonly AnyCase[];
        mutants?: readonly Mutant[];
      };
      return { file: file.slice(0, -3), cases: [module.default].flat(), mutants: module.mutants ?? [] };
    }),
  );
}
