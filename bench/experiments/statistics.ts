/** From counts to numbers with intervals: the metrics of the tables, over any draw of flags and seeds. */
import { bootstrap, type Draw, type Interval } from "../../src/eval/bootstrap.ts";
import type { Columns, ReadingResult, Results, Run } from "./results.ts";

export interface Metric {
  readonly title: string;
  /** `real`: over the real flags; otherwise over the hold-out ones. */
  readonly real?: boolean;
  /** Shown times 100. */
  readonly percent: boolean;
  readonly of: (runs: readonly Run[], draw: Draw) => number;
}

/** Sums of columns over a draw. */
function sums<Names extends string>(
  runs: readonly Columns<Names>[],
  { flags, seeds }: Draw,
  names: readonly Names[],
): number[] {
  const totals = names.map(() => 0);
  for (const seed of seeds) {
    const run = runs[seed % runs.length]!;
    names.forEach((name, k) => {
      const column = run[name];
      let total = 0;
      for (let i = 0; i < flags.length; i++) total += column[flags[i]!]!;
      totals[k]! += total;
    });
  }
  return totals;
}

type FactName = keyof Run["facts"];

/** top / bottom, or top a caption. */
const ratio =
  (top: FactName, bottom?: FactName) =>
  (runs: readonly Run[], draw: Draw): number => {
    const facts = runs.map((run) => run.facts);
    const [a, b] = sums(facts, draw, bottom ? [top, bottom] : [top]) as [number, number?];
    return a / (b ?? draw.flags.length * draw.seeds.length);
  };

export const metrics = {
  f1: {
    title: "F1",
    percent: true,
    of: (runs, draw) => {
      const facts = runs.map((run) => run.facts);
      const [correct, stated, total] = sums(facts, draw, ["correct", "stated", "total"]) as [number, number, number];
      return (2 * correct) / (stated + total);
    },
  },
  coverage: { title: "Coverage", percent: true, of: ratio("correct", "total") },
  factuality: { title: "Factuality", percent: true, of: ratio("correct", "stated") },
  statements: { title: "Statements", percent: false, of: ratio("stated") },
  hallucinations: {
    title: "Hallucinations",
    percent: false,
    of: (runs, draw) => ratio("stated")(runs, draw) - ratio("correct")(runs, draw),
  },
  grammatical: { title: "Grammatical", percent: true, of: ratio("grammatical") },
  exact: { title: "Exact", percent: true, of: ratio("exact") },
  echoes: { title: "Repeated words", percent: true, of: ratio("echoes", "words") },
  capture: {
    title: "CAPTURE, real flags",
    percent: true,
    real: true,
    of: (runs, draw) => {
      const columns = runs.map(({ capture }) => ({ capture }));
      return sums(columns, draw, ["capture"])[0]! / (draw.flags.length * draw.seeds.length);
    },
  },
} satisfies Record<string, Metric>;
export type MetricName = keyof typeof metrics;

export const readingOf = ({ readings }: Pick<Results, "readings">, name: string): ReadingResult | undefined =>
  readings.find((reading) => reading.name === name);

export const runsAt = (reading: ReadingResult | undefined, tokensPerStep: number): readonly Run[] | undefined =>
  reading?.cells.find((cell) => cell.tokensPerStep === tokensPerStep)?.runs;

/** A metric of a reading at a speed. */
export type Value = (reading: string, tokensPerStep: number) => number;

/** What a statistic asked for was not measured. */
class Unmeasured extends Error {}

/** Runs of the readings in a formula: "3", or "3, 1" where they have not equally many. */
export interface Seeded {
  readonly seeds: string;
}

/** The interval of any formula of one metric; undefined when a reading or a speed that it asks for was not measured. */
export function intervalOf(
  results: Results,
  name: MetricName,
  formula: (value: Value) => number,
  replicates = 2000,
): (Interval & Seeded) | undefined {
  const metric: Metric = metrics[name];
  let flags = 0;
  const counts = new Set<number>();
  const value =
    (draw: Draw | undefined): Value =>
    (readingName, tokensPerStep) => {
      const runs = runsAt(readingOf(results, readingName), tokensPerStep);
      const first = runs?.[0];
      const size = metric.real ? first?.capture.length : first?.facts.total.length;
      if (!runs?.length || !size) throw new Unmeasured();
      flags = size;
      counts.add(runs.length);
      return metric.of(runs, draw ?? { flags: Array.from({ length: size }, (_, i) => i), seeds: [0] });
    };
  try {
    // Once to learn what it asks for.
    formula(value(undefined));
  } catch (error) {
    if (error instanceof Unmeasured) return undefined;
    throw error;
  }
  const seeds = [...counts].sort((a, b) => b - a);
  return {
    ...bootstrap((draw) => formula(value(draw)), { flags, seeds: seeds[0]!, replicates }),
    seeds: seeds.join(", "),
  };
}

export const showValue = (value: number, { percent }: Pick<Metric, "percent">): string =>
  Number.isFinite(value) ? (percent ? 100 * value : value).toFixed(percent ? 1 : 2) : "–";
