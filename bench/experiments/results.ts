/** What was measured, as one JSON file from which every table, figure and interval is made: counts of each caption. */
import { existsSync } from "node:fs";
import type { CaptionCounts } from "../../src/eval/counts.ts";
import { readJson, writeAtomically } from "../../src/model/files.ts";
import { RediffError } from "../../src/tensor/index.ts";
import { readings as order, type Sizes } from "./rows.ts";

export type Columns<Names extends string> = { readonly [N in Names]: readonly number[] };

/** One run of a model as read at one speed. */
export interface Run {
  readonly seed: number;
  /** Of each hold-out flag. */
  readonly facts: Columns<keyof CaptionCounts>;
  /** CAPTURE of each real flag. */
  readonly capture: readonly number[];
}

export interface Cell {
  readonly tokensPerStep: number;
  readonly runs: readonly Run[];
}

export interface ReadingResult {
  readonly name: string;
  readonly title: string;
  readonly model: string;
  readonly decoder: string;
  /** Optimiser steps after the base. */
  readonly steps: number;
  readonly cells: readonly Cell[];
}

/** Appendix A of one reading: outcomes of each spoiled caption, see eval/repair.ts. */
export interface RepairResult {
  readonly reading: string;
  readonly title: string;
  /** Refining steps. */
  readonly steps: number;
  readonly kinds: readonly string[];
  readonly runs: readonly (Columns<"span" | "whole" | "tokens" | "falseEdits"> & { readonly seed: number })[];
}

/** A token and what a step did to it: see `Change`. */
export interface ShownStep {
  readonly pieces: readonly string[];
  readonly changes: readonly number[];
}

/** Captions of one picture for Figures 3 and 4. */
export interface Example {
  /** A hold-out flag's index, or a real flag's id. */
  readonly flag: number | string;
  readonly tokensPerStep: number;
  readonly captions: readonly {
    readonly reading: string;
    readonly title: string;
    readonly text: string;
    readonly steps: readonly ShownStep[];
  }[];
}

export interface Results {
  readonly commit: string;
  readonly dirty: boolean;
  readonly node: string;
  readonly webgpu: string;
  readonly adapter: string;
  readonly base: string;
  readonly sizes: Sizes;
  readonly readings: readonly ReadingResult[];
  readonly repairs: readonly RepairResult[];
  readonly examples: readonly Example[];
  /** Readings that an earlier run measured, with the commit of that run. */
  readonly joined?: readonly { readonly commit: string; readonly readings: readonly string[] }[];
}

/** Readings to take from another results file. */
export interface Join {
  readonly path: string;
  readonly readings: readonly string[];
}

/** `PATH=a,b`. Throws RediffError on anything else. */
export function parseJoin(text: string): Join {
  const [, path, names] = /^(.+)=([^=]+)$/.exec(text) ?? [];
  if (path === undefined || names === undefined)
    throw new RediffError(`--with is FILE=READINGS, as in results.json=base,mask; it is ${text}.`, { with: text });
  return { path, readings: names.split(",") };
}

/** What two runs must share for their captions to be of the same pictures, by models trained alike. */
const COMMON = ["preset", "stage1Steps", "stage2Steps", "drafts", "batch", "flags", "repairs", "real"] as const;

/**
 * Results with readings of earlier runs beside them: whole ones, or other speeds and seeds of one that is here. The speeds of
 * what comes out are those that all readings have. Throws RediffError where an earlier run had another base or other sizes, or has
 * no such reading; where both measured the same; where then a speed is missing, or seeds differ between the speeds of a reading. That
 * the models of that name were trained by the same options is for whoever joins to know.
 */
export function joinResults(results: Results, joins: readonly Join[]): Results {
  if (!joins.length) return results;
  const merged = new Map(results.readings.map((own) => [own.name, own]));
  const repairs = [...results.repairs];
  const joined = [...(results.joined ?? [])];
  for (const join of joins) {
    const earlier = readJoin(join, results);
    for (const name of join.readings) {
      const found = earlier.readings.find((reading) => reading.name === name)!;
      const here = merged.get(name);
      merged.set(name, here ? mergeReading(here, found, join.path) : found);
      const mended = earlier.repairs.find(({ reading }) => reading === name);
      if (mended) addRepair(repairs, mended);
    }
    joined.push({ commit: earlier.commit, readings: join.readings });
  }
  const all = [...merged.values()];
  const speeds = commonSpeeds(all, results.sizes.speeds);
  const place = (name: string): number => order.findIndex((reading) => reading.name === name);
  return {
    ...results,
    sizes: { ...results.sizes, speeds },
    readings: all
      .map((reading) => ({ ...reading, cells: reading.cells.filter((cell) => speeds.includes(cell.tokensPerStep)) }))
      .sort((a, b) => place(a.name) - place(b.name)),
    repairs: repairs.toSorted((a, b) => place(a.reading) - place(b.reading)),
    joined,
  };
}

/**
 * The earlier run of a join. Throws RediffError where it was of another base, if one is known, or of other sizes, or has no such
 * reading.
 */
export function readJoin(
  { path, readings }: Join,
  { base, sizes }: { readonly base: string | undefined; readonly sizes: Sizes },
): Results {
  const earlier = readResults(path);
  const differing: string[] = COMMON.filter((size) => earlier.sizes[size] !== sizes[size]);
  if (base !== undefined && earlier.base !== base) differing.push("base");
  if (differing.length)
    throw new RediffError(`${path} cannot be joined: it has another ${differing.join(", ")}.`, { path });
  const names = earlier.readings.map(({ name }) => name);
  const missing = readings.find((name) => !names.includes(name));
  if (missing !== undefined) throw new RediffError(`${path} has no ${missing}; it has ${names.join(", ")}.`, { path });
  return earlier;
}

/** A reading with the speeds and seeds that were measured elsewhere. */
function mergeReading(here: ReadingResult, there: ReadingResult, path: string): ReadingResult {
  const cells = new Map(here.cells.map((cell) => [cell.tokensPerStep, cell.runs]));
  for (const { tokensPerStep, runs } of there.cells) {
    const own = cells.get(tokensPerStep) ?? [];
    const twice = runs.find(({ seed }) => own.some((run) => run.seed === seed));
    if (twice)
      throw new RediffError(
        `--with: ${here.name} with seed ${twice.seed} at ${tokensPerStep} tokens a step was measured twice, once in ${path}. Leave one out.`,
        { name: here.name },
      );
    cells.set(
      tokensPerStep,
      [...own, ...runs].sort((a, b) => a.seed - b.seed),
    );
  }
  const ascending = [...cells].sort(([a], [b]) => a - b);
  return { ...here, cells: ascending.map(([tokensPerStep, runs]) => ({ tokensPerStep, runs })) };
}

/** Adds the outcomes of seeds that are not there yet: they depend on no speed, so each run of a reading has them. */
function addRepair(repairs: RepairResult[], mended: RepairResult): void {
  const at = repairs.findIndex(({ reading }) => reading === mended.reading);
  if (at < 0) return void repairs.push(mended);
  const { runs } = repairs[at]!;
  const others = mended.runs.filter(({ seed }) => !runs.some((run) => run.seed === seed));
  repairs[at] = { ...mended, runs: [...runs, ...others].sort((a, b) => a.seed - b.seed) };
}

/** The speeds that all readings have, which must be these at least, each with the same seeds. */
function commonSpeeds(readings: readonly ReadingResult[], least: readonly number[]): number[] {
  const speedsOf = ({ cells }: ReadingResult): number[] => cells.map(({ tokensPerStep }) => tokensPerStep);
  for (const reading of readings) {
    const missing = least.filter((speed) => !speedsOf(reading).includes(speed));
    if (missing.length)
      throw new RediffError(
        `--with: ${reading.name} is not there at ${missing.join(", ")} tokens a step; it is at ${speedsOf(reading).join(", ")}.`,
        { name: reading.name },
      );
    const seeds = reading.cells.map(({ runs }) => runs.map(({ seed }) => seed).join(", "));
    if (new Set(seeds).size > 1)
      throw new RediffError(
        `--with: ${reading.name} has other seeds at other speeds: ${[...new Set(seeds)].join("; ")}.`,
        {
          name: reading.name,
        },
      );
  }
  return speedsOf(readings[0]!).filter((speed) => readings.every((reading) => speedsOf(reading).includes(speed)));
}

export const writeResults = (path: string, results: Results): Promise<void> =>
  writeAtomically(path, `${JSON.stringify(results)}\n`);

/** Throws RediffError when there are none, or they are of another program. */
export function readResults(path: string): Results {
  if (!existsSync(path))
    throw new RediffError(`There are no results in ${path} to report. Run \`npm run experiments\` first.`, { path });
  const value = readJson(path) as Partial<Results> | null;
  if (!value?.sizes || !value.readings?.every(({ cells }) => Array.isArray(cells)) || !value.repairs || !value.examples)
    throw new RediffError(`${path} is not a result of \`npm run experiments\`.`, { path });
  return value as Results;
}
