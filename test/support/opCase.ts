/**
 * One case object per operation drives its correctness test, its gradient check and its benchmark.
 *
 * The reference is forward only, in f64, in plain loops. The backward pass is checked without a second reference:
 * <u, J·v> by central differences of the f64 reference against <Jᵀ·u, v> from the GPU, for random u and v.
 */
import assert from "node:assert/strict";
import fc from "fast-check";
import { randomStream } from "../../src/tensor/philox.ts";
import {
  backward,
  type Device,
  type Dtype,
  scope,
  slice,
  type Tensor,
  tensor,
  permute,
  zeroGrad,
} from "../../src/tensor/index.ts";

export interface Values {
  readonly shape: readonly number[];
  readonly data: Float64Array;
}

export interface InputSpec {
  readonly shape: readonly number[];
  readonly dtype?: Dtype;
  /** Draws one element; default: a normal variate. */
  readonly draw?: (random: ReturnType<typeof randomStream>, index: number) => number;
}

export interface OpCase<P extends Record<string, number | boolean | string>> {
  readonly name: string;
  /** What the adapter lacks for it, if anything: then it is skipped. */
  readonly lacks?: (device: Device) => string | undefined;
  /** Draws parameters (sizes and attributes). Sizes straddle tile and workgroup edges. */
  readonly params: fc.Arbitrary<P>;
  /** Parameters that are always tried: edges, sizes of the models. */
  readonly always?: readonly P[];
  /** Makes what the operation keeps for the device, so that the count of live bytes begins after it. */
  readonly constants?: (device: Device, params: P) => void;
  readonly inputs: (params: P) => Readonly<Record<string, InputSpec>>;
  readonly reference: (inputs: Readonly<Record<string, Values>>, params: P) => Readonly<Record<string, Values>>;
  readonly run: (inputs: Readonly<Record<string, Tensor>>, params: P) => Readonly<Record<string, Tensor>>;
  /** Names of f32 inputs with a gradient; the gradient of the sum over outputs named in `through` (default: all f32). */
  readonly differentiable?: readonly string[];
  readonly through?: readonly string[];
  /** |got − expected| <= tolerance · (1 + |expected|), with the reason when it is over 1e-5. */
  readonly tolerance: number;
  readonly reason?: string;
  readonly gradientTolerance?: number;
  /** Size of the terms that may cancel in an element of a gradient: what remains of them is rounding. Default 0. */
  readonly cancelling?: (params: P) => number;
  /** Extreme inputs whose results must be finite and right: large magnitudes, ties, constants. */
  readonly edges?: readonly { readonly params: P; readonly values: Readonly<Record<string, readonly number[]>> }[];
  /** Arithmetic operations and bytes moved at best, for the benchmark. */
  readonly flops: (params: P) => number;
  readonly bytes: (params: P) => number;
  readonly bench: readonly P[];
}

/** A planted bug: `find` in the text of a kernel becomes `replace`, and the case's checks must fail. */
export interface Mutant {
  readonly kernel: string;
  readonly find: string;
  readonly replace: string;
  readonly why: string;
  /** The kernel is only chosen on adapters with subgroups of this size. */
  readonly subgroupSize?: number;
}

/** A case whatever its parameters are called. */
export type AnyCase = OpCase<Record<string, number | boolean | string>>;

export const defineCase = <P extends Record<string, number | boolean | string>>(definition: OpCase<P>): OpCase<P> =>
  definition;

/** Sizes that straddle the edges of vectors, tiles and workgroups. */
export const sizes = (max = 130): fc.Arbitrary<number> =>
  fc.oneof(
    fc.constantFrom(
      ...[1, 2, 3, 4, 5, 7, 8, 9, 15, 16, 17, 31, 32, 33, 63, 64, 65, 127, 128, 129].filter((n) => n <= max),
    ),
    fc.integer({ min: 1, max }),
  );

export const elements = (shape: readonly number[]): number => shape.reduce((product, n) => product * n, 1);
export const filled = (shape: readonly number[], at: (i: number) => number): Values => ({
  shape,
  data: Float64Array.from({ length: elements(shape) }, (_, i) => at(i)),
});

/** Values as f32 or f16 would hold them, so that reference and GPU start from the same numbers. */
function drawInput({ shape, dtype = "f32", draw }: InputSpec, seed: number, salt: number): Values {
  const random = randomStream(seed, salt);
  const half = (value: number) => Math.round(value * 64) / 64; // Exact in f16 for |value| < 16.
  return filled(shape, (i) => {
    const value = draw ? draw(random, i) : random.normal();
    return dtype === "f16" ? half(value) : Math.fround(value);
  });
}

/** All inputs of an example; those in `fixed` repeat the values given there. */
export function drawInputs(
  specs: Readonly<Record<string, InputSpec>>,
  seed: number,
  fixed?: Readonly<Record<string, readonly number[]>>,
): Record<string, Values> {
  const draw = ([name, spec]: [string, InputSpec], i: number): [string, Values] => {
    const values = fixed?.[name];
    return [
      name,
      values ? filled(spec.shape, (j) => Math.fround(values[j % values.length]!)) : drawInput(spec, seed, i),
    ];
  };
  return Object.fromEntries(Object.entries(specs).map(draw));
}

/** Uploads values so that the tensor is a view: permuted, or cut out of a larger one. Kind 0 is plain. */
function asView(device: Device, { shape, data }: Values, dtype: Dtype, kind: number): Tensor {
  if (kind === 1 && shape.length >= 2) {
    const order = shape.map((_, i) => (i + 1) % shape.length);
    const stored = order.map((axis) => shape[axis]!);
    const strides = stridesOf(shape);
    const turned = filled(
      stored,
      (i) => data[unravel(i, stored).reduce((sum, n, axis) => sum + n * strides[order[axis]!]!, 0)]!,
    );
    return permute(
      tensor(device, turned.data, stored, dtype),
      order.map((_, i) => order.indexOf(i)),
    );
  }
  if (kind === 2 && shape.length >= 1) {
    const axis = shape.length - 1;
    const stored = shape.map((n, i) => (i === axis ? n + 3 : n));
    const n = shape[axis]!;
    const larger = filled(stored, (i) => {
      const c = i % (n + 3);
      return c < 2 || c >= n + 2 ? 99 : data[Math.floor(i / (n + 3)) * n + c - 2]!;
    });
    return slice(tensor(device, larger.data, stored, dtype), axis, 2, n + 2);
  }
  return tensor(device, data, shape, dtype);
}

const stridesOf = (shape: readonly number[]): number[] => shape.map((_, i) => elements(shape.slice(i + 1)));
const unravel = (index: number, shape: readonly number[]): number[] =>
  stridesOf(shape).map((stride, axis) => Math.floor(index / stride) % shape[axis]!);

/** Correctness, hygiene and gradient of one drawn example. Throws with the operation, parameters, index and both numbers. */
export async function checkExample<P extends Record<string, number | boolean | string>>(
  device: Device,
  op: OpCase<P>,
  params: P,
  seed: number,
  fixed?: Readonly<Record<string, readonly number[]>>,
): Promise<void> {
  const where = `${op.name} ${JSON.stringify(params)} seed ${seed}`;
  const specs = op.inputs(params);
  const names = Object.keys(specs);
  const inputs = drawInputs(specs, seed, fixed);
  const expected = op.reference(inputs, params);
  op.constants?.(device, params);
  const before = device.memory().liveBytes;
  await scope(device, async () => {
    const kinds = randomStream(seed, 1000);
    const tensors: Record<string, Tensor> = {};
    for (const name of names) tensors[name] = asView(device, inputs[name]!, specs[name]!.dtype ?? "f32", kinds.int(3));
    for (const name of op.differentiable ?? []) {
      tensors[name]!.node = undefined;
      tensors[name]!.requiresGrad = true;
    }
    const outputs = op.run(tensors, params);
    const again = op.run(tensors, params);
    for (const [name, want] of Object.entries(expected)) {
      const output = outputs[name];
      assert.ok(output, `${where}: no output ${name}`);
      assert.deepEqual([...output.shape], [...want.shape], `${where}: shape of ${name}`);
      const got = await output.read();
      close(where, name, got, want.data, op.tolerance);
      assert.deepEqual(await again[name]!.read(), got, `${where}: ${name} differs between two runs`);
    }
    if (op.differentiable?.length) await checkGradient(device, op, params, seed, where, inputs, tensors, outputs);
    for (const name of names) {
      const got = await tensors[name]!.read();
      assert.ok(
        inputs[name]!.data.every((value, i) => Object.is(value, got[i]) || value === got[i]),
        `${where}: input ${name} was changed`,
      );
    }
    zeroGrad(Object.values(tensors));
    if (device.debug.canary) await device.checkCanaries();
  });
  assert.equal(device.memory().liveBytes, before, `${where}: live bytes do not return to where they began`);
}

export function close(
  where: string,
  name: string,
  got: ArrayLike<number>,
  want: ArrayLike<number>,
  tolerance: number,
): void {
  for (let i = 0; i < want.length; i++)
    if (!(Math.abs(got[i]! - want[i]!) <= tolerance * (1 + Math.abs(want[i]!))))
      assert.fail(
        `${where}: ${name}[${i}] is ${got[i]}, expected ${want[i]} within ${tolerance} relative to 1 + |expected|`,
      );
}

async function checkGradient<P extends Record<string, number | boolean | string>>(
  device: Device,
  op: OpCase<P>,
  params: P,
  seed: number,
  where: string,
  inputs: Readonly<Record<string, Values>>,
  tensors: Readonly<Record<string, Tensor>>,
  outputs: Readonly<Record<string, Tensor>>,
): Promise<void> {
  const through = op.through ?? Object.keys(outputs).filter((name) => outputs[name]!.dtype === "f32");
  const weights: Record<string, Values> = {};
  through.forEach((name, i) => {
    weights[name] = drawInput({ shape: outputs[name]!.shape }, seed, 2000 + i);
    backward(outputs[name]!, tensor(device, weights[name].data, outputs[name]!.shape));
  });
  const project = (perturbed: Readonly<Record<string, Values>>): number => {
    const results = op.reference(perturbed, params);
    return through.reduce((sum, name) => sum + dot(results[name]!.data, weights[name]!.data), 0);
  };
  for (const [i, name] of (op.differentiable ?? []).entries()) {
    const { shape, data } = inputs[name]!;
    const direction = drawInput({ shape }, seed, 3000 + i);
    const moved = (h: number) =>
      project({ ...inputs, [name]: filled(shape, (j) => data[j]! + h * direction.data[j]!) });
    const h = 1e-5;
    const expected = (moved(h) - moved(-h)) / (2 * h);
    const gradient = tensors[name]!.grad;
    assert.ok(gradient, `${where}: ${name} got no gradient`);
    const values = Float64Array.from(await gradient.read());
    const got = dot(values, direction.data);
    // The scale is what f32 rounding acts on: the sum of magnitudes, in root-mean-square growth.
    const scale =
      Math.sqrt(values.reduce((sum, value, j) => sum + (value * direction.data[j]!) ** 2, 0)) +
      1e-3 +
      Math.abs(expected);
    const tolerance = op.gradientTolerance ?? 2e-4;
    const remains = 2 ** -23 * (op.cancelling?.(params) ?? 0) * Math.sqrt(values.length);
    assert.ok(
      Math.abs(got - expected) <= tolerance * scale + remains,
      `${where}: gradient of ${name} along a random direction is ${got}, expected ${expected} (scale ${scale})`,
    );
  }
}

const dot = (a: ArrayLike<number>, b: ArrayLike<number>): number => {
  let sum = 0;
  for (let i = 0; i < a.length; i++) sum += a[i]! * b[i]!;
  return sum;
};
