/**
 * What the paper says, as differences that our numbers are asked for. A relation is true when the whole 95 % interval of its
 * difference lies on the side that it claims, false when the whole lies on the other, and otherwise undecided.
 */
import type { Interval } from "../../src/eval/bootstrap.ts";
import type { Results } from "./results.ts";
import { intervalOf, type MetricName, metrics, type Seeded, type Value } from "./statistics.ts";

export interface Relation {
  readonly claim: string;
  /** The paper's figures, CLAIR unless another metric is named; empty for what it does not say. */
  readonly paper: string;
  readonly metric: MetricName;
  readonly difference: (value: Value) => number;
  /** The claim is that the difference is above 0, or that it is below this. */
  readonly below?: number;
}

const kept = (value: Value, reading: string, tokensPerStep: number): number =>
  value(reading, tokensPerStep) / value(reading, 1);

const over = (
  a: string,
  b: string,
  speed: number,
  claim: string,
  paper: string,
  metric: MetricName = "f1",
): Relation => ({
  claim: `${claim}, ${speed} a step`,
  paper,
  metric,
  difference: (value) => value(a, speed) - value(b, speed),
});

export const relations: readonly Relation[] = [
  ...(["f1", "grammatical", "capture"] as const).map((metric): Relation => ({
    claim: "ReDiff keeps more of its own score from 1 to 8 tokens a step than mask prediction",
    paper: metric === "capture" ? "92 % against 75 %" : "88 % against 62 %",
    metric,
    difference: (value) => kept(value, "rediff", 8) - kept(value, "mask", 8),
  })),
  {
    claim: "Mask prediction loses from 1 to 8 tokens a step",
    paper: "74.53 to 46.38",
    metric: "f1",
    difference: (value) => value("mask", 1) - value("mask", 8),
  },
  {
    claim: "ReDiff at 4 tokens a step is above mask prediction at 1",
    paper: "75.85 against 74.53",
    metric: "f1",
    difference: (value) => value("rediff", 4) - value("mask", 1),
  },
  over("rediff", "mask", 1, "ReDiff is above mask prediction", "76.74 against 74.53"),
  over("rediff", "mask", 4, "ReDiff is above mask prediction", "75.85 against 63.40"),
  over("rediff", "mask", 8, "ReDiff is above mask prediction", "67.44 against 46.38"),
  over("rediff", "mask", 8, "ReDiff is above mask prediction", "56.80 against 45.12", "capture"),
  ...[1, 4].flatMap((speed) => [
    over(
      "rediff",
      "stage2",
      speed,
      "Both stages are above Stage II alone",
      speed === 1 ? "76.74, 73.02" : "75.85, 73.52",
    ),
    over(
      "stage2",
      "stage1",
      speed,
      "Stage II alone is above Stage I alone",
      speed === 1 ? "73.02, 71.31" : "73.52, 71.67",
    ),
    over("stage1", "base", speed, "Stage I alone is above the base", speed === 1 ? "71.31, 65.54" : "71.67, 63.40"),
  ]),
  over("stage1", "hallucination", 4, "Both kinds of errors are above hallucinations alone", "71.67, 67.01"),
  over("stage1", "syntax", 4, "Both kinds of errors are above syntactic errors alone", "71.67, 70.30"),
  over("stage1", "dynamic", 4, "A fixed rate of random tokens is above a dynamic one", "71.67, 67.98"),
  over("hallucination", "syntax", 1, "Revising hallucinations is more factual", "59.46, 56.57", "factuality"),
  over("syntax", "hallucination", 4, "Revising syntactic errors covers more", "49.96, 46.61", "coverage"),
  {
    claim: "A second round adds less than one point, 4 a step",
    paper: "74.99 against 75.85",
    metric: "f1",
    difference: (value) => value("round2", 4) - value("rediff", 4),
    below: 0.01,
  },
  {
    claim: "Mask prediction states less at 8 tokens a step than at 1, so its factuality flatters it",
    paper: "said, not counted",
    metric: "statements",
    difference: (value) => value("mask", 1) - value("mask", 8),
  },
  over("base", "base-refine", 4, "Control: refining without the training for it does harm", ""),
  over("rediff", "rediff-mask", 8, "Control: with ReDiff's weights, refining is above mask prediction", ""),
  over("rediff", "stage1-long", 4, "Control: Stage II gives more than Stage I for as long", ""),
];

export type Verdict = "true" | "false" | "undecided" | "not measured";

export interface Judged extends Relation {
  readonly interval: (Interval & Seeded) | undefined;
  readonly verdict: Verdict;
}

/** Sums of equal things in another order differ by this much and mean nothing. */
const ROUNDING = 1e-9;

export function verdictOf(interval: Interval | undefined, below: number | undefined): Verdict {
  if (!interval || !Number.isFinite(interval.value)) return "not measured";
  const bound = below ?? 0;
  const [isAbove, isBelow] = [interval.low > bound + ROUNDING, interval.high < bound - ROUNDING];
  if (!isAbove && !isBelow) return "undecided";
  return isAbove === (below === undefined) ? "true" : "false";
}

export const judge = (results: Results): Judged[] =>
  relations.map((relation) => {
    const interval = intervalOf(results, relation.metric, relation.difference);
    return { ...relation, interval, verdict: verdictOf(interval, relation.below) };
  });

/** The difference in points, with its interval. */
export function showDifference({ interval, metric }: Judged): string {
  if (!interval) return "–";
  const points = (value: number): string => {
    const scaled = metrics[metric].percent ? 100 * value : value;
    return `${scaled >= 0 ? "+" : "−"}${Math.abs(scaled).toFixed(metrics[metric].percent ? 1 : 2)}`;
  };
  return `${points(interval.value)} (${points(interval.low)} to ${points(interval.high)})`;
}
