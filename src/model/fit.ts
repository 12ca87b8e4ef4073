/** Whether stored tensors are those that a model needs. */
import type { ParameterSpec } from "../nn/parameters.ts";
import { sameShape, type Shape, showShape } from "../tensor/index.ts";
import { CheckpointError } from "./safetensors.ts";

/**
 * Throws CheckpointError with every name that is missing or of another shape among `stored`, and those given as `unexpected`.
 * `path` stands in the error; `nameOf` says under which name a parameter is stored.
 */
export function checkFit(
  stored: ReadonlyMap<string, { readonly shape: Shape }>,
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
  if (missing.length + unexpected.length + misshapen.length)
    throw new CheckpointError(
      `${path} does not fit its config.` +
        list("Missing", missing) +
        list("Unexpected", unexpected) +
        list("Of another shape", misshapen),
      { path, missing, unexpected, misshapen },
    );
}

/** The first names in words; the error's facts have all. */
function list(title: string, names: readonly string[]): string {
  if (!names.length) return "";
  const shown = names.slice(0, 8).join(", ");
  return ` ${title} (${names.length}): ${shown}${names.length > 8 ? ", …" : ""}.`;
}
