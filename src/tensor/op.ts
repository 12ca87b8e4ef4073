/**
 * defineOp: check sizes -> allocate -> forward -> tape.
 *
 * The specs of an operation are documentation, run-time check and type at once. Axes are named by size letters; a name
 * ending in `*` stands for zero or more leading axes, and its size is their product. In `forward` and `backward`
 * everything that the specs name exists: inputs, outputs and saved tensors, sizes as numbers, attributes, and in
 * `backward` the gradients, with a `d` before the name. `dx` of an input that needs no gradient is undefined.
 */
import { record } from "./autograd.ts";
import type { Dtype } from "./dtype.ts";
import { DtypeError, ShapeError } from "./errors.ts";
import { contiguous } from "./run.ts";
import { type Shape, showShape } from "./shape.ts";
import { empty, type TapeNode, type Tensor } from "./tensor.ts";

export interface Spec<A extends readonly string[] = readonly string[]> {
  readonly dtypes: readonly Dtype[];
  readonly axes: A;
}

const specOf =
  (...dtypes: Dtype[]) =>
  <const A extends readonly string[]>(...axes: A): Spec<A> => ({ dtypes, axes });

export const f32: <const A extends readonly string[]>(...axes: A) => Spec<A> = specOf("f32");
export const u32: <const A extends readonly string[]>(...axes: A) => Spec<A> = specOf("u32");
/** f32, or f16 storage that the kernel widens as it reads. */
export const f32OrF16: <const A extends readonly string[]>(...axes: A) => Spec<A> = specOf("f32", "f16");

type Specs = Readonly<Record<string, Spec>>;
type Attributes = Readonly<Record<string, number | boolean | string>>;
/** Attributes as callers give them: a default of `false` stands for a boolean, not for the value false. */
type Given<A extends Attributes> = { readonly [K in keyof A]: A[K] extends boolean ? boolean : A[K] };
type SizeName<A extends string> = A extends `${infer Name}*` ? Name : A;
type SizeNames<S extends Specs> = SizeName<S[keyof S]["axes"][number]>;
type TensorsOf<S extends Specs> = { readonly [K in keyof S]: Tensor };
type Gradients<S extends Specs> = { readonly [K in keyof S as `d${K & string}`]: Tensor };
type MaybeGradients<S extends Specs> = { readonly [K in keyof S as `d${K & string}`]: Tensor | undefined };
type SizesOf<I extends Specs, O extends Specs, S extends Specs> = {
  readonly [N in SizeNames<I> | SizeNames<O> | SizeNames<S>]: number;
};

/** What a definition's `forward` sees. */
export type ForwardContext<I extends Specs, O extends Specs, S extends Specs, A extends Attributes> = TensorsOf<I> &
  TensorsOf<O> &
  TensorsOf<S> &
  SizesOf<I, O, S> &
  Given<A>;

/** What a definition's `backward` sees. */
export type BackwardContext<I extends Specs, O extends Specs, S extends Specs, A extends Attributes> = ForwardContext<
  I,
  O,
  S,
  A
> &
  Gradients<O> &
  MaybeGradients<I>;

interface Definition<I extends Specs, O extends Specs, S extends Specs, A extends Attributes> {
  readonly inputs: I;
  readonly outputs: O;
  /** Written by `forward` for `backward`: statistics that cost less to keep than to compute again. */
  readonly saved?: S;
  /** Attributes with their defaults. */
  readonly attrs?: A;
  /** Sizes of outputs that no input names, and checks of sizes and attributes that the specs cannot say. */
  readonly derive?: (known: Readonly<Record<string, number>> & Given<A>) => Readonly<Record<string, number>>;
  readonly forward: (context: ForwardContext<I, O, S, A>) => void;
  readonly backward?: (context: BackwardContext<I, O, S, A>) => void;
}

/** An operation: tensors in the order of the spec, then attributes. Returns all outputs by name. */
export type Op<I extends Specs, O extends Specs, A extends Attributes> = (
  inputs: TensorsOf<I>,
  attrs?: Partial<Given<A>>,
) => { readonly [K in keyof O]: Tensor };

export function defineOp<
  const I extends Specs,
  const O extends Specs,
  const S extends Specs = Record<never, never>,
  A extends Attributes = Record<never, never>,
>(name: string, definition: Definition<I, O, S, A>): Op<I, O, A> {
  const { inputs: inputSpecs, outputs: outputSpecs } = definition;
  const savedSpecs: Specs = definition.saved ?? {};
  const inputNames = Object.keys(inputSpecs);
  const outputNames = Object.keys(outputSpecs);

  return (given, changes) => {
    const attrs = { ...definition.attrs, ...changes } as Given<A>;
    const bindings = new SizeBindings(name);
    const originals = inputNames.map((input) => given[input]!);
    const inputs: Record<string, Tensor> = {};
    inputNames.forEach((input, i) => {
      bindings.match(input, originals[i]!, inputSpecs[input]!);
      inputs[input] = contiguous(originals[i]!, `${name}.${input}`);
    });
    bindings.assign(definition.derive?.({ ...bindings.sizes, ...attrs }) ?? {});
    const { device } = originals[0]!;
    const allocate = (specs: Specs): Record<string, Tensor> =>
      Object.fromEntries(
        Object.entries(specs).map(([tensor, spec]) => [
          tensor,
          empty(device, bindings.shape(spec), spec.dtypes[0], `${name}.${tensor}`),
        ]),
      );
    const outputs = allocate(outputSpecs);
    const { backward } = definition;
    const tracked = backward && device.gradEnabled && originals.some((input) => input.requiresGrad);
    const saved = allocate(savedSpecs);
    const context = { ...inputs, ...outputs, ...saved, ...bindings.sizes, ...attrs };
    definition.forward(context as ForwardContext<I, O, S, A>);
    // What only backward needs: statistics, and contiguous copies of inputs that were views.
    const kept = [
      ...Object.values(saved),
      ...inputNames.flatMap((input, i) => (inputs[input] === originals[i] ? [] : [inputs[input]!])),
    ];
    if (!tracked) for (const tensor of kept) tensor.dispose();
    else {
      const inputGradientsOf: TapeNode["backward"] = (outputGradients) => {
        const gradients: Record<string, Tensor | undefined> = {};
        outputNames.forEach((output, i) => {
          const gradient = outputGradients[i];
          gradients[`d${output}`] = gradient && contiguous(gradient, `${name}.d${output}`);
        });
        const inputGradients = inputNames.map((input, i) => {
          const original = originals[i]!;
          if (!original.requiresGrad) return undefined;
          return (gradients[`d${input}`] = empty(device, original.shape, "f32", `${name}.d${input}`));
        });
        backward({ ...context, ...gradients } as BackwardContext<I, O, S, A>);
        return inputGradients;
      };
      record(name, originals, Object.values(outputs), inputGradientsOf, kept);
    }
    return outputs as { readonly [K in keyof O]: Tensor };
  };
}

/** Size letters of one call, bound as inputs are matched. */
class SizeBindings {
  readonly sizes: Record<string, number> = {};
  readonly #op: string;
  readonly #leading = new Map<string, Shape>();
  readonly #from = new Map<string, string>();

  constructor(op: string) {
    this.#op = op;
  }

  match(input: string, { shape, dtype }: Tensor, { axes, dtypes }: Spec): void {
    if (!dtypes.includes(dtype))
      throw new DtypeError(`${this.#op}: ${input} must be ${dtypes.join(" or ")}; it is ${dtype}. Use cast().`, {
        op: this.#op,
        input,
        dtype,
      });
    const wanted = `${this.#op}: ${input} must be (${axes.join(", ")})`;
    const star = axes[0]?.endsWith("*") ? 1 : 0;
    if (star ? shape.length < axes.length - 1 : shape.length !== axes.length)
      throw new ShapeError(
        `${wanted}, ${axes.length - star} ${star ? "or more " : ""}axes; it is ${showShape(shape)}.`,
        { input, shape },
      );
    const lead = shape.length - (axes.length - star);
    if (star) this.#bindLeading(axes[0]!, shape.slice(0, lead), input, wanted, shape);
    axes.slice(star).forEach((axis, i) => this.#bind(axis, shape[lead + i]!, input, wanted, shape));
  }

  assign(sizes: Readonly<Record<string, number>>): void {
    Object.assign(this.sizes, sizes);
  }

  shape({ axes }: Spec): number[] {
    return axes.flatMap((axis) => {
      if (axis.endsWith("*")) return [...this.#leading.get(axis)!];
      const size = this.sizes[axis];
      if (size === undefined)
        throw new ShapeError(`${this.#op}: size ${axis} of an output is not known. Return it from \`derive\`.`, {
          axis,
        });
      return [size];
    });
  }

  #bind(axis: string, size: number, input: string, wanted: string, shape: Shape): void {
    const bound = this.sizes[axis];
    if (bound === undefined) {
      this.sizes[axis] = size;
      this.#from.set(axis, input);
    } else if (bound !== size)
      throw new ShapeError(
        `${wanted} with ${axis} = ${bound} as in ${this.#from.get(axis)}; it is ${showShape(shape)}, so ${axis} would be ${size}.`,
        {
          input,
          shape,
          axis,
          expected: bound,
          got: size,
        },
      );
  }

  #bindLeading(star: string, lead: Shape, input: string, wanted: string, shape: Shape): void {
    const bound = this.#leading.get(star);
    if (!bound) {
      this.#leading.set(star, lead);
      this.sizes[star.slice(0, -1)] = lead.reduce((product, n) => product * n, 1);
      this.#from.set(star, input);
    } else if (bound.length !== lead.length || bound.some((n, i) => n !== lead[i]))
      throw new ShapeError(
        `${wanted} with leading axes ${showShape(bound)} as in ${this.#from.get(star)}; it is ${showShape(shape)}.`,
        { input, shape },
      );
  }
}
