/** Parameters: weights by name. Names are those of the Hugging Face checkpoints, so that files go both ways. */
import { type Device, DtypeError, keep, RediffError, type Shape, sizeOf, Tensor, tensor } from "../tensor/index.ts";
import { createWeight, disposeWeight, type RowRange, type Weight, type WeightStorage } from "./weight.ts";

/** Name and shape. */
export interface ParameterSpec {
  readonly name: string;
  readonly shape: Shape;
}

/** In the order of the specs: optimiser state and files follow it. Tensors, unless they are only used: `Parameters<Weight>`. */
export type Parameters<W extends Weight = Tensor> = ReadonlyMap<string, W>;

/** The weights below a prefix, as a function of the rest of the name. */
export interface Section {
  /** A norm, a bias, positions: what is a tensor in every storage. */
  (name: string): Tensor;
  /** A matrix, for `linear` and `lookUp`: it may be quantised or split. */
  matrix(name: string): Weight;
}

/** `section(p, "model.layers.0.").matrix("mlp.up_proj.weight")` is `model.layers.0.mlp.up_proj.weight`. Throws on a wrong name. */
export function section(parameters: Parameters<Weight>, prefix: string): Section {
  const matrix = (name: string): Weight => {
    const found = parameters.get(prefix + name);
    if (!found)
      throw new RediffError(`There is no parameter ${prefix + name}; the model has ${parameters.size} parameters.`, {
        name: prefix + name,
      });
    return found;
  };
  const tensorOf = (name: string): Tensor => {
    const found = matrix(name);
    if (!(found instanceof Tensor))
      throw new DtypeError(`${prefix + name} is quantised or split; only \`linear\` and \`lookUp\` take it.`, {
        name: prefix + name,
      });
    return found;
  };
  return Object.assign(tensorOf, { matrix });
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

/** Whether `storage` says how it is stored: matrices, but not positions, which are added. */
export const isMatrix = ({ name, shape }: ParameterSpec): boolean =>
  shape.length === 2 && !name.includes("position_embedding");

/**
 * Weights to use and not to train, in any storage. `rowsOf` makes rows [start, end) of a spec on the device, as f32; it is
 * asked part by part, and each is on the device before the next is made. They belong to no scope.
 */
export async function createWeights(
  device: Device,
  specs: readonly ParameterSpec[],
  storage: WeightStorage,
  rowsOf: (spec: ParameterSpec, range: RowRange) => Tensor,
): Promise<Parameters<Weight>> {
  const weights = new Map<string, Weight>();
  try {
    for (const spec of specs) {
      const [rows, ...rest] = spec.shape as [number, ...number[]];
      weights.set(
        spec.name,
        isMatrix(spec)
          ? await createWeight(device, [rows, sizeOf(rest)], storage, (range) => rowsOf(spec, range), spec.name)
          : keep(rowsOf(spec, { start: 0, end: rows })),
      );
      await device.flush();
    }
  } catch (error) {
    disposeParameters(weights);
    throw error;
  }
  return weights;
}

/** Frees all weights, and their gradients. */
export function disposeParameters(parameters: Parameters<Weight>): void {
  for (const parameter of parameters.values()) disposeWeight(parameter);
}

/** Elements of all specs together. */
export const countParameters = (specs: readonly ParameterSpec[]): number =>
  specs.reduce((sum, { shape }) => sum + sizeOf(shape), 0);
