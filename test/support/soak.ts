/** A long training run of the nano model, watched for growth: of memory, of bind groups, of the time that a step takes. */
import { readFileSync } from "node:fs";
import { setTimeout as sleep } from "node:timers/promises";
import { disposeState } from "../../src/model/checkpoint.ts";
import { loadTokenizer } from "../../src/model/tokenizer.ts";
import type { Device } from "../../src/tensor/index.ts";
import { createTrainer, defaultTrainOptions } from "../../src/train/base.ts";

/** What was in use after a stretch of steps, and how long its steps took. */
export interface SoakReport {
  /** Steps done. */
  readonly step: number;
  readonly liveBytes: number;
  readonly heldBytes: number;
  /** Made since the device was opened. */
  readonly bindGroups: number;
  /** Of the process, at its lowest in the stretch: what comes and goes (garbage, malloc's free lists) only adds to that. */
  readonly rssBytes: number;
  /** Of JavaScript with its array buffers, after a collection of garbage where Node was started with --expose-gc. */
  readonly heapBytes: number;
  /** Wall time of a step: the first decile, which is what it takes while nothing else runs. */
  readonly ms: number;
  /** Time of all cores that a step takes, of a software adapter too. It hardly depends on what else runs. */
  readonly cpuMs: number;
}

export interface SoakOptions {
  readonly steps: number;
  /** Steps of a stretch. */
  readonly every: number;
  readonly batch: number;
  readonly onReport?: (report: SoakReport) => void;
}

/** Trains and reports after each stretch. The first one, which compiles and fills the pool, is reported too. */
export async function soak(device: Device, { steps, every, batch, onReport }: SoakOptions): Promise<SoakReport[]> {
  const tokenizer = loadTokenizer(
    readFileSync(new URL("../../data/tokenizer/tokenizer.json", import.meta.url), "utf8"),
  );
  const curriculum = [{ until: 1, canvas: 24, shares: [1, 0, 0] as const }];
  const trainer = createTrainer(
    device,
    { ...defaultTrainOptions, preset: "nano", batch, steps, curriculum },
    tokenizer,
  );
  const reports: SoakReport[] = [];
  for (let step = every; step <= steps; step += every) {
    const times: number[] = [];
    let rssBytes = Infinity;
    const began = process.cpuUsage();
    while (trainer.state.step < step) {
      const started = performance.now();
      await trainer.step();
      times.push(performance.now() - started);
      rssBytes = Math.min(rssBytes, process.memoryUsage.rss());
    }
    const { user, system } = process.cpuUsage(began);
    await sleep(20); // Finalisers of what was collected run between turns.
    globalThis.gc?.();
    await sleep(20);
    const { liveBytes, heldBytes } = device.memory();
    const { heapUsed, external } = process.memoryUsage();
    const report = {
      step,
      liveBytes,
      heldBytes,
      bindGroups: device.recorder.counters.bindGroups,
      rssBytes,
      heapBytes: heapUsed + external,
      ms: times.sort((a, b) => a - b)[Math.floor(times.length / 10)]!,
      cpuMs: (user + system) / 1000 / every,
    };
    reports.push(report);
    onReport?.(report);
  }
  disposeState(trainer.state);
  return reports;
}

/** What is still called no growth. */
export interface SoakBounds {
  /** Bytes that the process may grow by in a step, on average from the first half to the second. */
  readonly rssPerStep: number;
  /** The same of JavaScript, which swings much less. */
  readonly heapPerStep: number;
  /** How many times as long on the cores a step may take in the second half as in the first. */
  readonly slowdown: number;
}

/** What grew, in words. Bytes on the device and bind groups must not change at all after the first stretch. */
export function growth(reports: readonly SoakReport[], { rssPerStep, heapPerStep, slowdown }: SoakBounds): string[] {
  const [first, ...rest] = reports;
  if (!first || rest.length < 2) return ["A soak needs at least three stretches."];
  const changed = (["liveBytes", "heldBytes", "bindGroups"] as const)
    .filter((name) => rest.some((report) => report[name] !== first[name]))
    .map((name) => `${name}: ${reports.map((report) => report[name]).join(", ")}`);
  // The first stretch compiles and fills caches, so it says nothing. Of each half the lowest value counts: a leak raises
  // that too, and what merely swings, or what else runs, does not.
  const half = Math.floor(rest.length / 2);
  const [early, late] = [rest.slice(0, half), rest.slice(half)];
  const steps = late[0]!.step - early[0]!.step;
  const lowest = (some: readonly SoakReport[], name: "rssBytes" | "heapBytes" | "cpuMs"): number =>
    Math.min(...some.map((report) => report[name]));
  for (const [name, what, perStep] of [
    ["rssBytes", "The process", rssPerStep],
    ["heapBytes", "JavaScript", heapPerStep],
  ] as const) {
    const grown = lowest(late, name) - lowest(early, name);
    if (grown > perStep * steps) changed.push(`${what} grew by ${grown} bytes in ${steps} steps.`);
  }
  const [before, after] = [lowest(early, "cpuMs"), lowest(late, "cpuMs")];
  if (after > slowdown * before)
    changed.push(`A step took ${before.toFixed(1)} ms of the cores at first and ${after.toFixed(1)} at last.`);
  return changed;
}
