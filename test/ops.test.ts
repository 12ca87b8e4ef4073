/** Every case of test/cases: drawn examples, fixed ones and edges, with canaries behind every buffer. */
import { after, before, test } from "node:test";
import fc from "fast-check";
import { type Device, openDevice } from "../src/tensor/index.ts";
import { loadCases } from "./support/cases.ts";
import { checkExample } from "./support/opCase.ts";

const seed = Number(process.env["SEED"] ?? 42);
const runs = Number(process.env["RUNS"] ?? 12);

let device: Device;
before(async () => {
  device = await openDevice({ debug: { canary: true } });
});
after(() => device.close());

for (const { cases } of await loadCases(process.env["OP"])) {
  for (const op of cases) {
    test(op.name, async (context) => {
      if (op.feature && !device.gpu.features.has(op.feature)) return context.skip(`this adapter has no ${op.feature}`);
      for (const params of op.always ?? []) await checkExample(device, op, params, seed);
      for (const { params, values } of op.edges ?? []) await checkExample(device, op, params, seed, values);
      await fc.assert(
        fc.asyncProperty(op.params, fc.nat(), (params, draw) => checkExample(device, op, params, draw)),
        { seed, numRuns: runs },
      );
    });
  }
}
