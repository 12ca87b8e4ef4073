/** Figure 1c: quality against tokens a step, with intervals, from the results alone. */
import * as Plot from "@observablehq/plot";
import type { Results } from "./results.ts";
import { intervalOf, type MetricName, metrics } from "./statistics.ts";

/** Lines of the figure: how a reading is drawn. */
const lines: Readonly<Record<string, { readonly label: string; readonly colour: string; readonly dash?: string }>> = {
  base: { label: "base", colour: "#888888" },
  "base-refine": { label: "base, refined untrained", colour: "#888888", dash: "4 3" },
  mask: { label: "mask prediction", colour: "#3b6fb5" },
  rediff: { label: "ReDiff", colour: "#c8442c" },
  "rediff-mask": { label: "ReDiff, mask prediction", colour: "#c8442c", dash: "4 3" },
};

const panels: readonly MetricName[] = ["f1", "grammatical", "factuality", "statements", "capture"];

interface Point {
  readonly panel: string;
  readonly reading: string;
  readonly speed: number;
  readonly value: number;
  readonly low: number;
  readonly high: number;
}

export function speedPoints(results: Results): Point[] {
  return panels.flatMap((metric) =>
    Object.keys(lines).flatMap((name) =>
      results.sizes.speeds.flatMap((speed) => {
        const interval = intervalOf(results, metric, (value) => value(name, speed), 500);
        if (!interval || !Number.isFinite(interval.value)) return [];
        const scale = metrics[metric].percent ? 100 : 1;
        const [value, low, high] = [interval.value, interval.low, interval.high].map((x) => scale * x) as [
          number,
          number,
          number,
        ];
        return [{ panel: metrics[metric].title, reading: name, speed, value, low, high }];
      }),
    ),
  );
}

/** One panel a metric, one line a reading. A panel has its own scale, so each is a figure of its own. */
export function speedFigures(results: Results): { readonly name: string; readonly plot: Plot.PlotOptions }[] {
  const points = speedPoints(results);
  return panels.flatMap((metric) => {
    const own = points.filter(({ panel }) => panel === metrics[metric].title);
    if (!own.length) return [];
    const names = [...new Set(own.map(({ reading }) => reading))];
    const last = results.sizes.speeds.at(-1)!;
    const plot: Plot.PlotOptions = {
      width: 460,
      height: 300,
      marginRight: 170,
      marginBottom: 40,
      x: { type: "log", base: 2, label: "tokens a step →", ticks: [...results.sizes.speeds], tickFormat: "d" },
      y: { label: `↑ ${metrics[metric].title}${metrics[metric].percent ? ", %" : ""}`, grid: true, zero: true },
      marks: [
        ...names.flatMap((name) => {
          const { colour: stroke, dash } = lines[name]!;
          const mine = own.filter(({ reading }) => reading === name);
          const dashed = dash ? { strokeDasharray: dash } : {};
          return [
            Plot.ruleX(mine, { x: "speed", y1: "low", y2: "high", stroke, strokeOpacity: 0.5 }),
            Plot.line(mine, { x: "speed", y: "value", stroke, strokeWidth: 2, ...dashed }),
            Plot.dot(mine, { x: "speed", y: "value", fill: stroke, r: 3 }),
          ];
        }),
        Plot.text(
          spread(
            own.filter(({ speed }) => speed === last),
            Math.max(...own.map(({ high }) => high)),
          ),
          {
            x: "speed",
            y: "at",
            text: (point: Point) => lines[point.reading]!.label,
            dx: 8,
            textAnchor: "start",
            fill: (point: Point) => lines[point.reading]!.colour,
          },
        ),
      ],
    };
    return [{ name: metric, plot }];
  });
}

/** Labels at the ends of lines, pushed apart so that they can be read on an axis that ends at `top`. */
function spread(points: readonly Point[], top: number): (Point & { readonly at: number })[] {
  let free = Number.NEGATIVE_INFINITY;
  return points
    .toSorted((a, b) => a.value - b.value)
    .map((point) => {
      const at = Math.max(point.value, free);
      free = at + 0.07 * top;
      return { ...point, at };
    });
}
