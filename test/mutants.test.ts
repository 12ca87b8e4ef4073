/** Planted bugs: each case must notice that one of its kernels is wrong. A test that cannot fail is found here. */
import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { openDevice } from "../src/tensor/index.ts";
import { readKernelFile } from "../src/tensor/node.ts";
import { loadCases } from "./support/cases.ts";
import { type AnyCase, checkExample, type Mutant } from "./support/opCase.ts";

const SEED = 42;

/** Whether the checks of some case of the file fail with the bug in place. */
async function isCaught({ kernel, find, replace }: Mutant, cases: readonly AnyCase[]): Promise<boolean> {
  const text = readKernelFile(kernel);
  assert.ok(text.includes(find), `${kernel}.wgsl has no "${find}": the mutant is out of date`);
  const device = await openDevice({ debug: { canary: true }, kernels: { [kernel]: text.replace(find, replace) } });
  try {
    for (const op of cases) {
      // A seed says which inputs are views, and with views a kernel of another layout may run.
      for (const params of op.always ?? [])
        for (const seed of [SEED, SEED + 1, SEED + 2]) await checkExample(device, op, params, seed);
      for (const { params, values } of op.edges ?? []) await checkExample(device, op, params, SEED, values);
      const property = fc.asyncProperty(op.params, fc.nat(), (params, draw) => checkExample(device, op, params, draw));
      const { failed } = await fc.check(property, { seed: SEED, numRuns: 12, endOnFailure: true });
      if (failed) return true;
    }
    return false;
  } catch (error) {
    // A check that failed, or a shader that no longer compiles: both are noticed. Anything else is a fault of the test.
    if (error instanceof Error && ["AssertionError", "CanaryError"].includes(error.name)) return true;
    throw error;
  } finally {
    await device.close();
  }
}

for (const { file, cases, mutants } of await loadCases()) {
  for (const mutant of mutants) {
    test(`${file}, ${mutant.kernel}: ${mutant.why}`, async (context) => {
      const device = await openDevice();
      const lacking = cases.map(({ lacks }) => lacks?.(device)).find((what) => what !== undefined);
      const { subgroupSize } = device;
      await device.close();
      if (lacking !== undefined) return context.skip(`this adapter has no ${lacking}`);
      if (mutant.subgroupSize && mutant.subgroupSize !== subgroupSize)
        return context.skip(`needs subgroups of ${mutant.subgroupSize}`);
      assert.ok(await isCaught(mutant, cases), `not noticed: "${mutant.find}" as "${mutant.replace}"`);
    });
  }
}
