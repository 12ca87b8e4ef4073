/** Parameters: tensors by name. Names are those of the Hugging Face checkpoints, so that files go both ways. */
import { type Device, keep, RediffError, type Shape, type Tensor, tensor } from "../tensor/index.ts";

/** Name, shape and how the values begin. */
export interface ParameterSpec {
  readonly name: string;
  readonly shape: Shape;
}

/** In the order of the specs: optimiser state and files follow it. */
export type Parameters = ReadonlyMap<string, Tensor>;

/** The tensors below a prefix, as a function of the rest of the name. */
export type Section = (name: string) => Tensor;

/** `section(p, "model.layers.0.")("mlp.up_proj.weight")` is `model.layers.0.mlp.up_proj.weight`. Throws on a wrong name. */
export function section(parameters: Parameters, prefix: string): Section {
  return (name) => {
    const found = parameters.get(prefix + name);
    if (!found)
      throw new RediffError(`There is no parameter ${prefix + name}; the model has ${parameters.size} parameters.`, {
        name: prefix + name,
      });
    return found;
  };
}

/** Uploads values for all specs as trainable leaves. They belong to no scope; free them with `disposeParameters`. */
export function createParameters(
  device: Device,
  specs: readonly ParameterSpec[],
  values: (spec: ParameterSpec) => Float32Array,
): Parameters {
  return new Map(
    specs.map((spec) => {
      const parameter = keep(tensor(device, values(spec), spec.shape, "f32", spec.name));
      parameter.requiresGrad = true;
      return [spec.name, parameter];
    }),
  );
}

export function disposeParameters(parameters: Parameters): void {
  for (const parameter of parameters.values()) {
    parameter.grad?.dispose();
    parameter.grad = undefined;
    parameter.dispose();
  }
}

export const countParameters = (specs: readonly ParameterSpec[]): number =>
  specs.reduce((sum, { shape }) => sum + shape.reduce((product, n) => product * n, 1), 0);
