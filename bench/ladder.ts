/** `npm run bench ladder`: every rung is checked, then all rungs of an operation are timed by turns. */
import { type Device, noGrad, RediffError, scope, tensor } from "../src/tensor/index.ts";
import { loadCases } from "../test/support/cases.ts";
import { type AnyCase, close, drawInputs } from "../test/support/opCase.ts";
import { dispatchesOf } from "./dispatches.ts";
import { plotLadder } from "./ladderPlot.ts";
import { type Row, writeResult } from "./result.ts";
import type { Roof } from "./roof.ts";
import { climb, type Ladder, ladders, nameOf, obstacle } from "./rungs.ts";
import { gpuMilliseconds, interleave, settled } from "./sample.ts";
import { type Column, headOf, lineOf, show } from "./table.ts";

/** A rung as it was timed. */
export interface Step extends Row {
  readonly op: string;
  readonly rung: number;
  readonly idea: string;
  readonly unit: Ladder["unit"];
  /** GFLOP/s or GB/s, as the unit says. */
  readonly speed: number;
  /** How many times as fast as the rung before, and as the first. */
  readonly overBefore: number;
  readonly overNaive: number;
  /** Until the first result has come: WGSL to machine code, without the driver's disk cache. */
  readonly compileMs: number;
}

const columns: readonly Column<Step>[] = [
  { title: "", width: -26, value: ({ name }) => name },
  { title: "new", width: -52, value: ({ idea }) => idea },
  { title: "median ms", width: 10, value: ({ ms }) => ms.p50, digits: 2 },
  { title: "p10", width: 9, value: ({ ms }) => ms.p10, digits: 2 },
  { title: "p90", width: 9, value: ({ ms }) => ms.p90, digits: 2 },
  { title: "speed", width: 8, value: ({ speed }) => speed },
  { title: "× before", width: 10, value: ({ overBefore }) => overBefore, digits: 2 },
  { title: "× naive", width: 9, value: ({ overNaive }) => overNaive, digits: 2 },
  { title: "compile ms", width: 12, value: ({ compileMs }) => compileMs, digits: 0 },
];

/** The ladders of these operations, or all. Throws RediffError for an unknown name. */
export function laddersOf(names: readonly string[]): readonly Ladder[] {
  const unknown = names.find((name) => !ladders.some(({ op }) => op === name));
  if (unknown !== undefined)
    throw new RediffError(`bench ladder: ${unknown} has none. There are ${ladders.map(({ op }) => op).join(", ")}.`, {
      unknown,
    });
  return ladders.filter(({ op }) => !names.length || names.includes(op));
}

/** Climbs the ladders; writes the result and a figure. */
export async function benchLadder(
  device: Device,
  roof: Roof,
  chosen: readonly Ladder[],
  seconds: number,
  file: string,
): Promise<void> {
  const steps: Step[] = [];
  for (const ladder of chosen) steps.push(...(await climbAll(device, roof, ladder, seconds)));
  await writeResult(file, device, roof, steps);
  await plotLadder(steps, file.replace(/\.json$/, ""));
}

async function climbAll(device: Device, roof: Roof, ladder: Ladder, seconds: number): Promise<Step[]> {
  const { bench: sizes, unit } = ladder;
  console.log(`${ladder.op} ${show(sizes)}; speed in ${unit}`);
  console.log(headOf(columns));
  const op = await caseOf(ladder);
  const params = ladder.paramsOf(sizes);
  const rungs = ladder.rungs.filter((rung) => {
    const reason = obstacle(device, rung, sizes);
    if (reason) console.log(`${nameOf(ladder, rung)}: left out, ${reason}.`);
    return !reason;
  });
  const inputs = drawInputs(op.inputs(params), 1);
  const want = op.reference(inputs, params)[ladder.output.name]!.data;
  return noGrad(device, () =>
    scope(device, async () => {
      const tensors = Object.fromEntries(
        Object.entries(inputs).map(([name, { shape, data }]) => [name, tensor(device, data, shape, "f32", name)]),
      );
      await device.flush();
      const works = rungs.map((rung) => () => climb(ladder, rung, op, tensors, sizes));
      const compiled: number[] = [];
      for (const [i, work] of works.entries()) {
        const start = performance.now();
        scope(device, () => void work());
        await settled(device);
        compiled.push(performance.now() - start);
        await scope(device, async () =>
          close(nameOf(ladder, rungs[i]!), show(sizes), await work().read(), want, op.tolerance),
        );
      }
      const measured = await interleave(
        works.map((work) => () => gpuMilliseconds(device, () => void work())),
        seconds,
      );
      const steps: Step[] = [];
      for (const [i, ms] of measured.entries()) {
        const rung = rungs[i]!;
        const [gflops, gbs] = [op.flops(params) / ms.p50 / 1e6, op.bytes(params) / ms.p50 / 1e6];
        steps.push({
          op: ladder.op,
          rung: rung.rung,
          name: nameOf(ladder, rung),
          idea: rung.kernel ? rung.idea : `${rung.idea} (${await kernelsOf(device, works[i]!)})`,
          params: show(sizes),
          kind: "gpu",
          ms,
          gflops,
          gbs,
          intensity: op.flops(params) / op.bytes(params),
          roof: Math.max(gflops / roof.fmaGflops, gbs / roof.copyGBs),
          unit,
          speed: unit === "GB/s" ? gbs : gflops,
          overBefore: measured[Math.max(i - 1, 0)]!.p50 / ms.p50,
          overNaive: measured[0]!.p50 / ms.p50,
          compileMs: Math.max(compiled[i]! - ms.p50, 0),
        });
        console.log(lineOf(columns, steps.at(-1)!));
      }
      console.log();
      return steps;
    }),
  );
}

/** The case that a ladder's rungs are checked against. */
export async function caseOf({ op }: Ladder): Promise<AnyCase> {
  const [file] = await loadCases(op);
  return file!.cases[0]!;
}

/** Names of the kernels that an operation runs. */
async function kernelsOf(device: Device, work: () => unknown): Promise<string> {
  const seen = await dispatchesOf(device, () => scope(device, () => void work()));
  await device.flush();
  return [...new Set(seen.map(({ kernel }) => kernel.source.name))].join(", ");
}
