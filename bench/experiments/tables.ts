/** Tables 2 to 6 and Appendix A as Markdown, from the results alone. */
import { judge, showDifference } from "./relations.ts";
import type { RepairResult, Results } from "./results.ts";
import { intervalOf, type MetricName, metrics, readingOf, showValue } from "./statistics.ts";

/** A table whose columns are metrics, each at some speeds. */
interface TableSpec {
  readonly title: string;
  readonly metrics: readonly MetricName[];
  /** All that were measured, or those of the paper's table. */
  readonly speeds: "all" | readonly number[];
  readonly readings: readonly string[];
}

const main = ["base", "base-refine", "mask", "rediff", "rediff-mask"];
const stages: readonly MetricName[] = ["f1", "coverage", "factuality", "statements", "grammatical", "capture"];

export const tableSpecs: readonly TableSpec[] = [
  {
    title: "Table 2. Quality by tokens a step, on hold-out flags whose facts are known",
    metrics: ["f1", "coverage", "factuality", "statements", "hallucinations"],
    speeds: "all",
    readings: main,
  },
  {
    title: "Table 3. CAPTURE against people's texts on real flags; whole and grammatical captions on hold-out flags",
    metrics: ["capture", "grammatical", "exact", "echoes"],
    speeds: "all",
    readings: main,
  },
  {
    title: "Table 4. What each stage does",
    metrics: stages,
    speeds: [1, 4, 8],
    readings: ["base", "stage1", "stage2", "rediff", "stage1-long"],
  },
  {
    title: "Table 5. Settings of Stage I",
    metrics: stages,
    speeds: [1, 4, 8],
    readings: ["base", "hallucination", "syntax", "dynamic", "stage1"],
  },
  {
    title: "Table 6. Rounds of Stage II",
    metrics: stages,
    speeds: [1, 4, 8],
    readings: ["stage1", "rediff", "round2"],
  },
  {
    title: "Stage II otherwise, on the same drafts",
    metrics: stages,
    speeds: [1, 4, 8],
    readings: ["stage1", "rediff", "steep", "equal", "complete"],
  },
];

export interface Table {
  readonly title: string;
  readonly head: readonly string[];
  readonly rows: readonly (readonly string[])[];
}

/** The tables for which anything was measured. */
export function tablesOf(results: Results): Table[] {
  const tables = tableSpecs
    .map((spec) => tableOf(results, spec))
    // One line of a comparison, or the base alone, says nothing.
    .filter(({ rows }) => rows.length > 1);
  return [...tables, ...repairTable(results.repairs), relationTable(results)];
}

function tableOf(results: Results, { title, metrics: names, speeds, readings }: TableSpec): Table {
  const shown = results.sizes.speeds.filter((speed) => speeds === "all" || speeds.includes(speed));
  const rows = readings.flatMap((name) => {
    const reading = readingOf(results, name);
    if (!reading) return [];
    const seeds = Math.max(...reading.cells.map(({ runs }) => runs.length));
    const cells = names.flatMap((metric) =>
      shown.map((speed) => {
        const interval = intervalOf(results, metric, (value) => value(name, speed), 1);
        return interval ? showValue(interval.value, metrics[metric]) : "–";
      }),
    );
    return [[reading.title, String(reading.steps), String(seeds), ...cells]];
  });
  return {
    title,
    head: ["", "steps", "seeds", ...names.flatMap((name) => shown.map((speed) => `${metrics[name].title}, ${speed}`))],
    rows,
  };
}

function repairTable(repairs: readonly RepairResult[]): Table[] {
  if (!repairs.length) return [];
  const kinds = [...new Set(repairs[0]!.kinds)].sort();
  const share = (top: number, bottom: number): string => (bottom ? ((100 * top) / bottom).toFixed(1) : "–");
  const rows = repairs.map(({ title, steps, kinds: of, runs }) => {
    const all = (name: "span" | "whole" | "tokens" | "falseEdits"): number[] => runs.flatMap((run) => [...run[name]]);
    const total = (values: readonly number[]): number => values.reduce((sum, value) => sum + value, 0);
    const n = all("span").length;
    const byKind = kinds.map((kind) => {
      const own = all("span").filter((_, i) => of[i % of.length] === kind);
      return share(total(own), own.length);
    });
    return [
      title,
      String(steps),
      String(runs.length),
      String(of.length),
      share(total(all("span")), n),
      share(total(all("whole")), n),
      share(total(all("falseEdits")), total(all("tokens"))),
      share(all("falseEdits").filter((edits) => edits > 0).length, n),
      ...byKind,
    ];
  });
  return [
    {
      title: "Appendix A. One phrase of a right caption made wrong, then refined; %",
      head: [
        "",
        "steps",
        "seeds",
        "captions",
        "phrase recovered",
        "whole text recovered",
        "false edits, tokens of clean captions",
        "false edits, clean captions",
        ...kinds.map((kind) => `recovered, ${kind}`),
      ],
      rows,
    },
  ];
}

function relationTable(results: Results): Table {
  return {
    title: "Relations of the paper, judged by 95 % bootstrap intervals over flags and seeds",
    head: [
      "claim",
      "metric",
      "the paper's (CLAIR, or as the metric)",
      "difference here, with interval",
      "seeds",
      "verdict",
    ],
    rows: judge(results).map((judged) => [
      judged.claim,
      metrics[judged.metric].title,
      judged.paper || "–",
      showDifference(judged),
      judged.interval?.seeds ?? "–",
      judged.verdict,
    ]),
  };
}

export function markdown({ title, head, rows }: Table): string {
  const line = (cells: readonly string[]): string =>
    `| ${cells.map((cell) => cell.replaceAll("|", "\\|")).join(" | ")} |`;
  return [`### ${title}`, "", line(head), line(head.map(() => "---")), ...rows.map(line), ""].join("\n");
}
