/** Every case of test/cases: drawn examples, fixed ones and edges, with canaries behind every buffer. */
import { readdirSync } from "node:fs";
import { after, before, test } from "node:test";
import fc from "fast-check";
import { type Device, openDevice } from "../src/tensor/index.ts";
import { checkExample, type OpCase } from "./support/opCase.ts";

type AnyCase = OpCase<Record<string, number | boolean | string>>;

const seed = Number(process.env["SEED"] ?? 42);
const runs = Number(process.env["RUNS"] ?? 12);
const only = process.env["OP"];
const folder = new URL("cases/", import.meta.url);
const names = readdirSync(folder).filter((file) => file.endsWith(".ts") && (!only || file === `${only}.ts`)).sort();

let device: Device;
before(async () => {
  device = await openDevice({ debug: { canary: true } });
});
after(() => device.close());

for (const file of names) {
  const module = (await import(new URL(file, folder).href)) as { default: AnyCase | readonly AnyCase[] };
  for (const op of [module.default].flat() as AnyCase[]) {
    test(op.name, async (context) => {
      if (op.feature && !device.gpu.features.has(op.feature)) return context.skip(`this adapter has no ${op.feature}`);
      for (const params of op.always ?? []) await checkExample(device, op, params, seed);
      for (const { params, values } of op.edges ?? []) await checkExample(device, op, params, seed, values);
      await fc.assert(
        fc.asyncProperty(op.params, fc.integer({ min: 0, max: 2 ** 31 - 1 }), (params, draw) => checkExample(device, op, params, draw)),
        { seed, numRuns: runs },
      );
    });
  }
}
