/** A model of any size with random weights, made on the device part by part: to see whether it fits, and how fast it is. */
import { createWeights, type ParameterSpec } from "../nn/parameters.ts";
import type { RowRange, WeightStorage } from "../nn/weight.ts";
import { type Device, mul, noGrad, normal, scope, sizeOf, type Tensor, tensor } from "../tensor/index.ts";
import type { RediffConfig } from "./config.ts";
import { initialRule, parameterSpecs } from "./parameterSpecs.ts";
import type { AnyRediff } from "./rediff.ts";

/**
 * Weights by `initialRule`, in a storage, a function of (config, seed) that differs from `createRediff`'s: the device draws
 * them. JavaScript holds none of them. What was made is freed when the device runs out of memory.
 */
export async function createRandomModel(
  device: Device,
  config: RediffConfig,
  seed: number,
  storage: WeightStorage,
): Promise<AnyRediff> {
  const specs = parameterSpecs(config);
  const numbers = new Map(specs.map(({ name }, i) => [name, i]));
  const rowsOf = (spec: ParameterSpec, { start, end }: RowRange): Tensor =>
    scope(device, () => {
      const shape = [end - start, ...spec.shape.slice(1)];
      const rule = initialRule(spec, config);
      if ("constant" in rule)
        return tensor(device, new Float32Array(sizeOf(shape)).fill(rule.constant), shape, "f32", spec.name);
      // Parts of one weight, and weights, draw with counters of their own.
      return mul(normal(device, shape, seed, numbers.get(spec.name)! * 2 ** 32 + start), rule.std);
    });
  const parameters = await noGrad(device, () => createWeights(device, specs, storage, rowsOf));
  device.pool.trim();
  return { device, config, parameters };
}
