/** The figure of `npm run bench ladder`: a bar for each rung, the speed on a logarithmic scale. */
import * as Plot from "@observablehq/plot";
import type { Step } from "./ladder.ts";
import { writeFigure } from "./plot.ts";

/** Writes `<stem>.svg` and `<stem>.png`. Bars end at the median; the line on them reaches from p10 to p90. */
export async function plotLadder(steps: readonly Step[], stem: string): Promise<void> {
  const speedAt = (step: Step, ms: number): number => (step.speed * step.ms.p50) / ms;
  const slowest = Math.min(...steps.map((step) => speedAt(step, step.ms.p90)));
  const floor = 10 ** Math.floor(Math.log10(slowest));
  await writeFigure(stem, {
    width: 900,
    height: 80 + 26 * steps.length,
    marginLeft: 190,
    marginRight: 110,
    marginBottom: 45,
    x: { type: "log", grid: true, label: "speed, median (line: p10 to p90) →", tickFormat: "~g" },
    y: { label: null, domain: steps.map(({ name }) => name) },
    marks: [
      Plot.barX(steps, { x1: () => floor, x2: "speed", y: "name", fill: "op", fillOpacity: 0.7 }),
      Plot.ruleY(steps, {
        x1: (step: Step) => speedAt(step, step.ms.p90),
        x2: (step: Step) => speedAt(step, step.ms.p10),
        y: "name",
      }),
      Plot.text(steps, {
        x: (step: Step) => speedAt(step, step.ms.p10),
        y: "name",
        dx: 6,
        textAnchor: "start",
        text: (step: Step) => `${step.speed.toPrecision(3)} ${step.unit}`,
      }),
    ],
  });
}
