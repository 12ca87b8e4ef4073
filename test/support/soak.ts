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
  /** Of the process, after a collection of garbage where Node was started with --expose-gc. */
  readonly rssBytes: number;
  /** Of JavaScript, likewise. It hardly swings, so it says whether growth of the process is in JavaScript or below. */
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
    const began = process.cpuUsage();
    while (trainer.state.step < step) {
      const started = performance.now();
      await trainer.step();
      times.push(performance.now() - started);
    }
    const { user, system } = process.cpuUsage(began);
    await sleep(20); // Finalisers of what was collected run between turns.
    globalThis.gc?.();
    await sleep(20);
    const { liveBytes, heldBytes } = device.memory();
    const { rss, heapUsed } = process.memoryUsage();
    const report = {
      step,
      liveBytes,
      heldBytes,
      bindGroups: device.recorder.counters.bindGroups,
      rssBytes: rss,
      heapBytes: heapUsed,
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
  /** Bytes that the process may grow by in a step, on average. */
  readonly rssPerStep: number;
  /** How many times as long on the cores a step may take in the second half as in the first. */
  readonly slowdown: number;
}

/** What grew, in words. Bytes on the device and bind groups must not change at all after the first stretch. */
export function growth(reports: readonly SoakReport[], { rssPerStep, slowdown }: SoakBounds): string[] {
  const [first, ...rest] = reports;
  if (!first || rest.length < 2) return ["A soak needs at least three stretches."];
  const changed = (["liveBytes", "heldBytes", "bindGroups"] as const)
    .filter((name) => rest.some((report) => report[name] !== first[name]))
    .map((name) => `${name}: ${reports.map((report) => report[name]).join(", ")}`);
  const last = rest.at(-1)!;
  const steps = last.step - first.step;
  const grown = last.rssBytes - first.rssBytes;
  if (grown > rssPerStep * steps) changed.push(`The process grew by ${grown} bytes in ${steps} steps.`);
  // The first stretch compiles, so it says nothing about time; the fastest of several hardly depends on what else runs.
  const fastest = (some: readonly SoakReport[]) => Math.min(...some.map(({ cpuMs }) => cpuMs));
  const half = Math.floor(rest.length / 2);
  const [early, late] = [fastest(rest.slice(0, half)), fastest(rest.slice(half))];
  if (late > slowdown * early)
    changed.push(`A step took ${early.toFixed(1)} ms of the cores at first and ${late.toFixed(1)} at last.`);
  return changed;
}
