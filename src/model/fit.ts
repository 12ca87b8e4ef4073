/** Whether stored tensors are those that a model needs. */
import type { ParameterSpec } from "../nn/parameters.ts";
import { sameShape, type Shape, showShape } from "../tensor/index.ts";
import { CheckpointError, type StoredDtype } from "./safetensors.ts";
import { holdsWeights } from "./storedValues.ts";

/**
 * Throws CheckpointError with every name that is missing, of another shape or of a type that holds no weights among `stored`, and
 * those given as `unexpected`. `path` stands in the error; `nameOf` says under which name a parameter is stored.
 */
export function checkFit(
  stored: ReadonlyMap<string, { readonly shape: Shape; readonly dtype: StoredDtype }>,
  specs: readonly ParameterSpec[],
  path: string,
  {
    unexpected = [],
    nameOf = (name) => name,
  }: { unexpected?: readonly string[]; nameOf?: (name: string) => string } = {},
): void {
  const wanted = specs.map(({ name, shape }) => ({ name: nameOf(name), shape }));
  const missing = wanted.filter(({ name }) => !stored.has(name)).map(({ name }) => name);
  const misshapen = wanted.flatMap(({ name, shape }) => {
    const found = stored.get(name);
    return found && !sameShape(found.shape, shape)
      ? [`${name} is ${showShape(found.shape)}, not ${showShape(shape)}`]
      : [];
  });
  const mistyped = wanted.flatMap(({ name }) => {
    const found = stored.get(name);
    return found && !holdsWeights(found.dtype) ? [`${name} is ${found.dtype}`] : [];
  });
  if (missing.length + unexpected.length + misshapen.length + mistyped.length)
    throw new CheckpointError(
      `${path} does not fit its config.` +
        list("Missing", missing) +
        list("Unexpected", unexpected) +
        list("Of another shape", misshapen) +
        list("Neither floats (F32, F16, BF16, F64) nor I8, so no weights", mistyped),
      { path, missing, unexpected, misshapen, mistyped },
    );
}

/** A model of 32 layers may lack 291 tensors; so many names show the pattern, and the error's facts have all. */
const MOST_NAMES = 40;

function list(title: string, names: readonly string[]): string {
  if (!names.length) return "";
  const more = names.length - MOST_NAMES;
  return ` ${title} (${names.length}): ${names.slice(0, MOST_NAMES).join(", ")}${more > 0 ? ` and ${more} more` : ""}.`;
}
