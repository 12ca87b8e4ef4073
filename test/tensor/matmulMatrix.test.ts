/**
 * The kernel for matrix units compiles for the adapters that have them. Dawn's null adapter offers the feature on every
 * machine and computes nothing; what the kernel computes, test/cases/matmulMatrix.ts checks where the feature is real.
 */
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { create, globals } from "webgpu";
import type { MatmulPrecision, MatrixUnit } from "../../src/tensor/device.ts";
import { KernelCache } from "../../src/tensor/kernel.ts";
import { readKernelFile } from "../../src/tensor/node.ts";
import { matmulChoice, type MatmulLayout, type MatmulSizes } from "../../src/tensor/ops/matmulPlan.ts";
import { prepareDriver } from "../../src/tensor/softwareDriver.ts";
import type { AdapterTraits } from "../../src/tensor/tuning.ts";

Object.assign(globalThis, globals);
prepareDriver();
/** In module scope, or V8 collects it and the process crashes. */
const gpu = create(["backend=null", "enable-dawn-features=allow_unsafe_apis"]);

let device: GPUDevice;
before(async () => {
  const adapter = await gpu.requestAdapter();
  assert.ok(adapter);
  device = await adapter.requestDevice({
    requiredFeatures: ["subgroups", "shader-f16", "chromium-experimental-subgroup-matrix" as GPUFeatureName],
    requiredLimits: { maxComputeWorkgroupStorageSize: adapter.limits.maxComputeWorkgroupStorageSize },
  });
});
after(() => device.destroy());

/** NVIDIA and AMD; Intel; Apple, which has both. */
const units: readonly (MatrixUnit & { readonly component: MatmulPrecision; readonly subgroupSize: number })[] = [
  { M: 16, N: 16, K: 16, component: "f16", subgroupSize: 32 },
  { M: 8, N: 16, K: 16, component: "f16", subgroupSize: 32 },
  { M: 8, N: 8, K: 8, component: "f16", subgroupSize: 32 },
  { M: 8, N: 8, K: 8, component: "f32", subgroupSize: 32 },
];

for (const { subgroupSize, component, ...unit } of units)
  test(`${unit.M}×${unit.N}×${unit.K} of ${component}`, async () => {
    const errors: string[] = [];
    const kernels = new KernelCache(device, readKernelFile, ({ message }) => errors.push(message));
    const matrix = { [component]: unit };
    const traits: AdapterTraits = { kind: "other", subgroupSize, matrix, threads: 256, workgroupBytes: 32_768 };
    for (const layout of ["NN", "NT", "TN"] as const satisfies readonly MatmulLayout[])
      for (const [N, weight] of [
        [64, "f32"],
        [64, "f16"],
        [63, "f32"],
      ] as const) {
        const [M, K] = [N, N];
        const sizes: MatmulSizes = {
          layout,
          batch: 1,
          M,
          N,
          K,
          aStride: M * K,
          bStride: K * N,
          weight,
          precision: component,
        };
        assert.ok(matmulChoice.variants.matrices.fits(sizes, traits));
        const [launch] = matmulChoice.variants.matrices.plan(sizes, traits);
        assert.ok(typeof launch === "object");
        await kernels.get(launch.kernel, launch).ready;
      }
    assert.deepEqual(errors, []);
    assert.equal(kernels.size, 9);
  });

test("a matrix of another kind is refused, so that the checks above can fail", async () => {
  const errors: string[] = [];
  const kernels = new KernelCache(device, readKernelFile, ({ message }) => errors.push(message));
  await kernels.get("matmulMatrix", { types: { MatrixB: "subgroup_matrix_left<f32, 8, 8>" } }).ready;
  assert.match(errors.join(), /subgroupMatrixMultiplyAccumulate/);
});
