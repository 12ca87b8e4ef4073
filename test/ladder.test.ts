/** The ladder: every rung gives the reference's answer and that of the kernel in use, and every file is a rung. */
import assert from "node:assert/strict";
import { readdirSync } from "node:fs";
import { after, before, describe, test } from "node:test";
import { caseOf } from "../bench/ladder.ts";
import { climb, type Ladder, ladders, nameOf, obstacle, type Rung, type Sizes } from "../bench/rungs.ts";
import { type Device, noGrad, openDevice, scope, type Tensor, tensor } from "../src/tensor/index.ts";
import { type AnyCase, close, drawInputs, type Values } from "./support/opCase.ts";

/** Values that a rung must survive: their exps overflow unless the maximum is subtracted. */
const LARGE: Readonly<Record<string, readonly number[]>> = { x: [1e4, -1e4, 9999, 0], q: [5, -5, 5], k: [5, 5, -5, 5] };

let device: Device;
before(async () => {
  device = await openDevice({ debug: { canary: true } });
});
after(() => device.close());

test("every file in kernels/ladder is a rung, and every rung is a file", () => {
  const files = readdirSync(new URL("../kernels/ladder/", import.meta.url)).map((file) => `ladder/${file}`);
  const rungs = ladders.flatMap(({ rungs }) => rungs.flatMap(({ kernel }) => kernel ?? []));
  assert.deepEqual(
    rungs.filter((kernel) => kernel.startsWith("ladder/")).map((kernel) => `${kernel}.wgsl`),
    files.sort((a, b) => rungs.indexOf(a.replace(".wgsl", "")) - rungs.indexOf(b.replace(".wgsl", ""))),
  );
});

test("rungs are numbered as their files are, from the formula to the kernel in use", () => {
  for (const { op, rungs } of ladders) {
    assert.deepEqual(
      rungs.map(({ rung }) => rung),
      rungs.map((_, i) => i + 1),
      op,
    );
    for (const { rung, kernel } of rungs)
      if (kernel?.startsWith("ladder/")) assert.ok(kernel.startsWith(`ladder/${op}.${rung}.`), kernel);
    assert.deepEqual(
      rungs.filter(({ kernel }) => kernel === undefined),
      rungs.slice(-1),
      `${op}: the top, and only the top, is the operation itself`,
    );
  }
});

for (const ladder of ladders)
  describe(ladder.op, () => {
    for (const rung of ladder.rungs)
      test(`${nameOf(ladder, rung)}: ${rung.idea}`, async (context) => {
        const missing = obstacle(device, { ...rung, inFours: [] }, {});
        if (missing) return context.skip(missing);
        const possible = ladder.ragged.filter((sizes) => !obstacle(device, rung, sizes));
        assert.ok(possible.length >= 4, `${nameOf(ladder, rung)} computes only ${possible.length} of the sizes`);
        const op = await caseOf(ladder);
        for (const [i, sizes] of possible.entries()) {
          const specs = op.inputs(ladder.paramsOf(sizes));
          await agrees(ladder, rung, op, sizes, drawInputs(specs, i));
          const fixed = Object.fromEntries(
            Object.keys(specs).flatMap((name) => (LARGE[name] ? [[name, LARGE[name]]] : [])),
          );
          if (Object.keys(fixed).length) await agrees(ladder, rung, op, sizes, drawInputs(specs, i, fixed));
        }
      });
  });

/** Reference, top rung, same bits twice, and nothing written behind a buffer's end. */
async function agrees(ladder: Ladder, rung: Rung, op: AnyCase, sizes: Sizes, inputs: Readonly<Record<string, Values>>) {
  const where = `${nameOf(ladder, rung)} ${JSON.stringify(sizes)}`;
  const { name } = ladder.output;
  const want = op.reference(inputs, ladder.paramsOf(sizes))[name]!.data;
  await noGrad(device, () =>
    scope(device, async () => {
      const tensors: Record<string, Tensor> = {};
      for (const [name, { shape, data }] of Object.entries(inputs)) tensors[name] = tensor(device, data, shape);
      const got = await climb(ladder, rung, op, tensors, sizes).read();
      close(where, name, got, want, op.tolerance);
      close(
        `${where}, top rung`,
        name,
        await climb(ladder, ladder.rungs.at(-1)!, op, tensors, sizes).read(),
        got,
        2 * op.tolerance,
      );
      assert.deepEqual(await climb(ladder, rung, op, tensors, sizes).read(), got, `${where}: differs between two runs`);
      await device.checkCanaries();
    }),
  );
}
