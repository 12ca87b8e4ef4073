/** `npm run bench roofline`: how near each operation comes to what memory and arithmetic allow. */
import * as Plot from "@observablehq/plot";
import { writeFigure } from "./plot.ts";
import { readResult, type Row } from "./result.ts";
import { attainable, type Roof } from "./roof.ts";
import { type Column, headOf, lineOf } from "./table.ts";

/** A row that does arithmetic, and so has a place in the figure. */
type Point = Row & { readonly intensity: number; readonly gflops: number; readonly roof: number };

const pointsOf = (rows: readonly Row[]): Point[] =>
  rows.filter((row): row is Point => row.kind === "gpu" && (row.intensity ?? 0) > 0);

const columns: readonly Column<Point & { allowed: number; bound: string }>[] = [
  { title: "", width: -30, value: ({ name }) => name },
  { title: "", width: -42, value: ({ params }) => params },
  { title: "flop/byte", width: 10, value: ({ intensity }) => intensity, digits: 2 },
  { title: "GFLOP/s", width: 9, value: ({ gflops }) => gflops },
  { title: "allowed", width: 9, value: ({ allowed }) => allowed },
  { title: "of roof", width: 9, value: ({ roof }) => `${(100 * roof).toFixed(0)} %` },
  { title: "bound by", width: 12, value: ({ bound }) => bound },
];

/** Best use of the roof first. */
export function printRoofline(roof: Roof, rows: readonly Row[]): void {
  const ridge = roof.fmaGflops / roof.copyGBs;
  console.log(
    `\nroof: ${roof.copyGBs.toFixed(1)} GB/s and ${roof.fmaGflops.toFixed(0)} GFLOP/s, ridge at ${ridge.toFixed(1)} flop/byte`,
  );
  console.log(headOf(columns));
  for (const point of pointsOf(rows).sort((a, b) => b.roof - a.roof))
    console.log(
      lineOf(columns, {
        ...point,
        allowed: attainable(roof, point.intensity),
        bound: point.intensity < ridge ? "memory" : "arithmetic",
      }),
    );
}

/** Writes the figure beside the result file: the same name with .svg and .png. */
export async function drawRoofline(title: string, roof: Roof, rows: readonly Row[], file: string): Promise<void> {
  const points = pointsOf(rows);
  if (!points.length) return console.log("no figure: none of these rows counts arithmetic");
  const ridge = roof.fmaGflops / roof.copyGBs;
  const [least, most] = [
    Math.min(ridge, ...points.map(({ intensity }) => intensity)) / 2,
    Math.max(ridge, ...points.map(({ intensity }) => intensity)) * 2,
  ];
  const line = [least, ridge, most].map((intensity) => ({ intensity, gflops: attainable(roof, intensity) }));
  const bottom = Math.min(line[0]!.gflops, ...points.map(({ gflops }) => gflops));
  const top = Math.max(roof.fmaGflops, ...points.map(({ gflops }) => gflops));
  const [width, height] = [900, 560];
  await writeFigure(file.replace(/\.json$/, ""), {
    width,
    height,
    marginLeft: 60,
    marginRight: 110,
    marginBottom: 45,
    x: { type: "log", grid: true, label: "arithmetic intensity, flop/byte →", tickFormat: "~g" },
    y: { type: "log", grid: true, label: "↑ GFLOP/s", tickFormat: "~g" },
    marks: [
      Plot.line(line, { x: "intensity", y: "gflops", stroke: "crimson", strokeWidth: 2 }),
      Plot.text(
        [`copy ${roof.copyGBs.toFixed(1)} GB/s, multiply-adds ${roof.fmaGflops.toFixed(0)} GFLOP/s: ${title}`],
        {
          frameAnchor: "bottom-right",
          dx: -8,
          dy: -8,
          fill: "crimson",
        },
      ),
      Plot.dot(points, { x: "intensity", y: "gflops", r: 3, fill: "steelblue" }),
      Plot.text(namedOf(points, width / Math.log(most / least), height / Math.log(top / bottom)), {
        x: "intensity",
        y: "gflops",
        text: "name",
        dx: 6,
        textAnchor: "start",
        stroke: "white",
        fill: "black",
      }),
    ],
  });
}

/** The points that get their name: fastest first, if no other name is in the way. Pixels are for each factor of e. */
function namedOf(points: readonly Point[], perX: number, perY: number): Point[] {
  const named: Point[] = [];
  for (const point of [...points].sort((a, b) => b.gflops - a.gflops)) {
    const isFree = named.every(
      ({ intensity, gflops }) =>
        Math.abs(Math.log(intensity / point.intensity)) * perX > 130 ||
        Math.abs(Math.log(gflops / point.gflops)) * perY > 16,
    );
    if (isFree && named.every(({ name }) => name !== point.name)) named.push(point);
  }
  return named;
}

/** The table and figure of an earlier result; the figure goes beside it, or to `out`. */
export async function rooflineOfFile(path: string, out: string = path): Promise<void> {
  const { adapter, roof, rows } = readResult(path);
  printRoofline(roof, rows);
  await drawRoofline(adapter.description || adapter.device || adapter.vendor, roof, rows, out);
}
