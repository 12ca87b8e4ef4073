/**
 * Every case of test/cases: drawn examples, fixed ones and edges, with canaries behind every buffer. On adapters with
 * subgroups a second time without them, so that the kernels that other adapters get are checked too.
 *
 * OP=softmax runs one file of cases, RUNS=100 draws more examples, SEED=7 draws others.
 */
import { after, before, describe, test } from "node:test";
import fc from "fast-check";
import { type Device, type DeviceOptions, openDevice } from "../src/tensor/index.ts";
import { loadCases } from "./support/cases.ts";
import { checkExample } from "./support/opCase.ts";

const seed = Number(process.env["SEED"] ?? 42);
const runs = Number(process.env["RUNS"] ?? 12);
const files = await loadCases(process.env["OP"]);

function checkAll(title: string, options: DeviceOptions, numRuns: number): void {
  describe(title, () => {
    let device: Device;
    before(async () => {
      device = await openDevice({ ...options, debug: { canary: true } });
    });
    after(() => device.close());

    for (const op of files.flatMap(({ cases }) => cases)) {
      test(op.name, async (context) => {
        const lacking = op.lacks?.(device);
        if (lacking !== undefined) return context.skip(`this adapter has no ${lacking}`);
        // A seed says which inputs are views, and with views a kernel of another layout may run.
        for (const params of op.always ?? [])
          for (const views of [seed, seed + 1, seed + 2]) await checkExample(device, op, params, views);
        for (const { params, values } of op.edges ?? []) await checkExample(device, op, params, seed, values);
        const property = fc.asyncProperty(op.params, fc.nat(), (params, draw) =>
          checkExample(device, op, params, draw),
        );
        await fc.assert(property, { seed, numRuns });
      });
    }
  });
}

checkAll("the adapter as it is", {}, runs);
checkAll("without subgroups", { without: ["subgroups"] }, Math.ceil(runs / 4));
