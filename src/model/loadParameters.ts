/** Weights from a file to the device, part by part: a model may be larger than the memory of the processor. */
import { createParameters, createWeights, type Parameters, type ParameterSpec, isMatrix } from "../nn/parameters.ts";
import type { Weight, WeightStorage } from "../nn/weight.ts";
import { type Device, LimitError, sizeOf, tensor } from "../tensor/index.ts";
import type { LanguageConfig, RediffConfig } from "./config.ts";
import { inGB } from "./memory.ts";
import { CheckpointError, type StoredTensor } from "./safetensors.ts";
import { storedToF32 } from "./storedValues.ts";
import type { TensorFile } from "./tensorFile.ts";

/** Under which name a parameter is stored. */
export type NameOf = (name: string) => string;

/** A checkpoint whose headers have been read and checked: all that loading needs. Close `file` when done. */
export interface OpenModel<Config extends LanguageConfig = RediffConfig> {
  readonly config: Config;
  readonly file: TensorFile;
  readonly specs: readonly ParameterSpec[];
  readonly nameOf: NameOf;
}

/**
 * The parameters of `specs` as trainable leaves, in f32. Names and shapes have been checked. Throws LimitError, before anything is
 * read, where one is larger than the adapter binds: what is trained is never split.
 */
export function loadParameters(
  device: Device,
  file: TensorFile,
  specs: readonly ParameterSpec[],
  nameOf: NameOf,
): Parameters {
  const limit = device.maxBindingBytes;
  const large = specs.filter(({ shape }) => 4 * sizeOf(shape) > limit).map(({ name }) => name);
  if (large.length)
    throw new LimitError(
      `Weights to train are f32 and whole, but of ${file.name} ${large.length} are larger than the ${inGB(limit)} that this adapter binds, such as ${large[0]} (${inGB(4 * sizeOf(specs.find(({ name }) => name === large[0])!.shape))}). To use them without training take loadModelAs, as commands with --dtype do: caption, draft, eval, demo.`,
      { large, limit },
    );
  return createParameters(device, specs, ({ name }) => storedToF32(file.read(nameOf(name))));
}

/**
 * The weights of `specs` to use and not to train. Rows are read, sent and stored one part after the other, so that memory
 * holds no tensor whole. Names and shapes have been checked. Throws CheckpointError for values that the storage cannot hold.
 */
export const loadForUse = (
  device: Device,
  file: TensorFile,
  specs: readonly ParameterSpec[],
  nameOf: NameOf,
  storage: WeightStorage,
): Promise<Parameters<Weight>> =>
  createWeights(device, specs, storage, (spec, { start, end }) => {
    const whole = start === 0 && end === spec.shape[0];
    const stored = whole ? file.read(nameOf(spec.name)) : file.read(nameOf(spec.name), start, end);
    const values = storedToF32(stored);
    if (isMatrix(spec)) checkRange(values, stored, storage);
    return tensor(device, values, [end - start, ...spec.shape.slice(1)], "f32", spec.name);
  });

/**
 * Largest magnitude of each storage. f16 has more digits than bf16 and less range: a bf16 value from 2⁻¹⁷ to 65,504 is
 * exact in it, and a smaller one off by at most 2⁻²⁵. Small integers need finite values.
 */
const largest: Readonly<Record<WeightStorage, number>> = {
  f32: Infinity,
  f16: 65_504,
  int8: 3e38,
  int4: 3e38,
};

function checkRange(values: Float32Array, { name, shape }: StoredTensor, storage: WeightStorage): void {
  const limit = largest[storage];
  if (limit === Infinity) return;
  for (let i = 0; i < values.length; i++)
    if (!(Math.abs(values[i]!) <= limit))
      throw new CheckpointError(
        `Tensor ${name} has a value of ${values[i]} (row ${Math.floor(i / sizeOf(shape.slice(1)))} of the part read), which ${storage} cannot hold. Load it in another storage.`,
        { name, value: values[i], storage },
      );
}
