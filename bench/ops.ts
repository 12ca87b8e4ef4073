/** The table of operations: each case of test/cases is checked, then timed at its bench sizes. */
import { AssertionError } from "node:assert";
import { type Device, LimitError, noGrad, RediffError, scope, tensor, zeros } from "../src/tensor/index.ts";
import { type CaseFile, loadCases } from "../test/support/cases.ts";
import { type AnyCase, close, drawInputs, type Values } from "../test/support/opCase.ts";
import { dispatchesOf } from "./dispatches.ts";
import { type Row, rowColumns } from "./result.ts";
import type { Roof } from "./roof.ts";
import { gpuMilliseconds, sample } from "./sample.ts";
import { headOf, lineOf, show } from "./table.ts";

type Params = Parameters<AnyCase["run"]>[1];

/** A reference in f64 does some 10⁷ operations or 10⁶ numbers a second. */
const CHECK = { flops: 3e7, bytes: 4e6 };

/** The case files of these names, or all. Throws RediffError for an unknown name. */
export async function caseFiles(names: readonly string[]): Promise<readonly CaseFile[]> {
  const files = await loadCases();
  const unknown = names.find((name) => !files.some(({ file }) => file === name));
  if (unknown !== undefined)
    throw new RediffError(
      `bench: there is no op ${unknown}. There are ${files.map(({ file }) => file).join(", ")}; and steps, ladder, roofline, peers.`,
      { unknown },
    );
  return files.filter(({ file }) => !names.length || names.includes(file));
}

/** Times the cases, and prints a line for each. A wrong answer sets the exit code. */
export async function benchOps(
  device: Device,
  roof: Roof,
  files: readonly CaseFile[],
  seconds: number,
): Promise<Row[]> {
  console.log(headOf(rowColumns));
  const rows: Row[] = [];
  for (const op of files.flatMap(({ cases }) => cases)) {
    const lacking = op.lacks?.(device);
    if (lacking !== undefined) {
      console.log(`${op.name}: left out, as this adapter has no ${lacking}.`);
      continue;
    }
    for (const params of op.bench) {
      try {
        const row = await benchCase(device, roof, op, params, seconds);
        console.log(lineOf(rowColumns, row));
        rows.push(row);
      } catch (error) {
        // A smaller adapter cannot bind the largest sizes: no fault, but it is said. A wrong answer is one, and has no time.
        if (error instanceof LimitError) console.log(`${op.name}, ${show(params)}: left out. ${error.message}`);
        else if (error instanceof AssertionError) {
          console.log(`${op.name}, ${show(params)}: WRONG, and not timed. ${error.message}`);
          process.exitCode = 1;
        } else throw error;
      }
    }
  }
  return rows;
}

async function benchCase(device: Device, roof: Roof, op: AnyCase, params: Params, seconds: number): Promise<Row> {
  const small = await checkSizes(device, op, params);
  const inputs = drawInputs(op.inputs(small), 1);
  return noGrad(device, async () => {
    await check(device, op, small, inputs);
    return scope(device, async () => {
      // Larger inputs repeat those that were checked: to draw them takes longer than all the rest.
      const repeated = Object.fromEntries(Object.entries(inputs).map(([name, { data }]) => [name, Array.from(data)]));
      const tensors = upload(device, op, params, drawInputs(op.inputs(params), 1, repeated));
      const work = () => void op.run(tensors, params);
      await gpuMilliseconds(device, work); // compiles
      const ms = await sample(() => gpuMilliseconds(device, work), seconds);
      const [flops, bytes] = [op.flops(params), op.bytes(params)];
      const [gflops, gbs] = [flops / ms.p50 / 1e6, bytes / ms.p50 / 1e6];
      const share = Math.max(gflops / roof.fmaGflops, gbs / roof.copyGBs);
      return {
        name: op.name,
        params: show(params),
        kind: "gpu",
        ms,
        gflops,
        gbs,
        intensity: flops / bytes,
        roof: share,
      };
    });
  });
}

/** Compares one call with the reference. */
export async function check(
  device: Device,
  op: AnyCase,
  params: Params,
  inputs: Record<string, Values>,
): Promise<void> {
  await scope(device, async () => {
    const outputs = op.run(upload(device, op, params, inputs), params);
    for (const [name, want] of Object.entries(op.reference(inputs, params)))
      close(`${op.name} ${show(params)}`, name, await outputs[name]!.read(), want.data, op.tolerance);
  });
}

function upload(device: Device, op: AnyCase, params: Params, inputs: Record<string, Values>) {
  const specs = op.inputs(params);
  return Object.fromEntries(
    Object.entries(inputs).map(([name, { shape, data }]) => [
      name,
      tensor(device, data, shape, specs[name]!.dtype ?? "f32", name),
    ]),
  );
}

/**
 * Sizes at which the reference is quick: those asked for, with the largest axis halved as long as they are too many and the same
 * kernels run. (Sizes are what has a capital letter.)
 */
async function checkSizes(device: Device, op: AnyCase, params: Params): Promise<Params> {
  const wanted = await kernelsOf(device, op, params);
  let at = params;
  for (;;) {
    if (op.flops(at) <= CHECK.flops && op.bytes(at) <= CHECK.bytes) return at;
    const smaller = await firstOf(halves(at), async (half) => (await kernelsOf(device, op, half)) === wanted);
    if (!smaller) return at;
    at = smaller;
  }
}

/** The sizes with one axis halved, the largest axis first. */
function halves(params: Params): Params[] {
  return Object.entries(params)
    .filter((entry): entry is [string, number] => /^[A-Z]/.test(entry[0]) && typeof entry[1] === "number")
    .filter(([, size]) => size >= 16 && size % 8 === 0)
    .sort(([, a], [, b]) => b - a)
    .map(([name, size]) => ({ ...params, [name]: size / 2 }));
}

async function firstOf<T>(items: readonly T[], holds: (item: T) => Promise<boolean>): Promise<T | undefined> {
  for (const item of items) if (await holds(item)) return item;
  return undefined;
}

/** Which kernels run, in order, on inputs of zeros. */
async function kernelsOf(device: Device, op: AnyCase, params: Params): Promise<string> {
  const seen = await dispatchesOf(device, () =>
    noGrad(device, () =>
      scope(device, () => {
        const inputs = Object.entries(op.inputs(params)).map(([name, { shape, dtype }]) => [
          name,
          zeros(device, shape, dtype),
        ]);
        op.run(Object.fromEntries(inputs), params);
      }),
    ),
  );
  await device.flush();
  return seen.map(({ kernel }) => kernel.id).join();
}
