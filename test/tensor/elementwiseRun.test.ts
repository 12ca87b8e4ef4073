/** Runs of elementwise operations: any program gives what it gives one operation at a time, and which ones are joined. */
import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import fc from "fast-check";
import type { Block } from "../../src/tensor/buffers.ts";
import { type Elementwise, RunFuser } from "../../src/tensor/elementwiseRun.ts";
import { binaryRows, unaryRows } from "../../src/tensor/elementwise.ts";
import type { Kernel, KernelSource } from "../../src/tensor/kernel.ts";
import {
  abs,
  add,
  backward,
  cos,
  type Device,
  div,
  exp,
  gelu,
  geluErf,
  keep,
  log,
  maximum,
  mul,
  neg,
  openDevice,
  relu,
  rsqrt,
  scope,
  sigmoid,
  silu,
  siluMul,
  sin,
  softmax,
  sqrt,
  square,
  sub,
  sum,
  tanh,
  type Tensor,
  tensor,
} from "../../src/tensor/index.ts";

let device: Device;
before(async () => {
  device = await openDevice();
});
after(() => device.close());

/** Operations that keep numbers near 1, so that a program of many of them says something. */
const unary = { neg, sigmoid, tanh, sin, gelu } as const;
const binary = { add, sub, mul, maximum } as const;
const namesOf = <N extends string>(table: Readonly<Record<N, unknown>>): N[] => Object.keys(table) as N[];

/** One step: an operation of earlier values, by number from the last one; or the last but `drop` is let go of. */
type Step =
  | { readonly op: keyof typeof unary; readonly x: number }
  | { readonly op: keyof typeof binary; readonly a: number; readonly b: number }
  | { readonly op: "addNumber"; readonly x: number; readonly s: number }
  | { readonly op: "drop"; readonly x: number };

const back = fc.integer({ min: 0, max: 5 });
const step: fc.Arbitrary<Step> = fc.oneof(
  { weight: 2, arbitrary: fc.record({ op: fc.constantFrom(...namesOf(unary)), x: back }) },
  { weight: 4, arbitrary: fc.record({ op: fc.constantFrom(...namesOf(binary)), a: back, b: back }) },
  {
    weight: 1,
    arbitrary: fc.record({ op: fc.constant("addNumber" as const), x: back, s: fc.integer({ min: -3, max: 3 }) }),
  },
  { weight: 3, arbitrary: fc.record({ op: fc.constant("drop" as const), x: back }) },
);

/** A value of a program: on the device, unless it was let go of, and as it should be. */
interface Value {
  tensor: Tensor | undefined;
  readonly numbers: readonly number[];
}

function perform(values: readonly Value[], steps: readonly Step[]): Value[] {
  const made = [...values];
  for (const step of steps) {
    const live = made.filter((value) => value.tensor);
    const pick = (n: number): Value => live[live.length - 1 - (n % live.length)]!;
    if (step.op === "drop") {
      if (live.length < 3) continue;
      const value = pick(step.x);
      value.tensor!.dispose();
      value.tensor = undefined;
    } else if (step.op === "addNumber") {
      const { tensor: x, numbers } = pick(step.x);
      made.push({ tensor: add(x!, step.s), numbers: numbers.map((n) => n + step.s) });
    } else if ("x" in step) {
      const { tensor: x, numbers } = pick(step.x);
      made.push({ tensor: unary[step.op](x!), numbers: numbers.map((n) => unaryRows[step.op].f(n, 0)) });
    } else {
      const [a, b] = [pick(step.a), pick(step.b)];
      const numbers = a.numbers.map((n, i) => binaryRows[step.op].f(n, b.numbers[i]!));
      made.push({ tensor: binary[step.op](a.tensor!, b.tensor!), numbers });
    }
  }
  return made.slice(values.length);
}

describe("what a program computes", () => {
  test("any program of operations and buffers that are let go of", async () => {
    const program = fc.record({
      N: fc.constantFrom(1, 5, 64, 1027),
      steps: fc.array(step, { minLength: 3, maxLength: 60 }),
    });
    await fc.assert(
      fc.asyncProperty(program, ({ N, steps }) =>
        scope(device, async () => {
          const start = [0, 1].map((k): Value => {
            const numbers = Array.from({ length: N }, (_, i) => Math.fround(Math.sin(7 * i + k + 1)));
            return { tensor: tensor(device, numbers, [N]), numbers };
          });
          for (const { tensor: got, numbers } of perform(start, steps)) {
            if (!got) continue;
            const read = await got.read();
            // Products of products grow; rounding grows with them, relatively.
            numbers.forEach((want, i) => {
              if (Math.abs(want) < 1e6)
                assert.ok(Math.abs(read[i]! - want) <= 1e-4 * (1 + Math.abs(want)), `[${i}]: ${read[i]}, not ${want}`);
            });
          }
        }),
      ),
      { seed: 3, numRuns: 40 },
    );
  });
});

describe("every row of the table in a run", () => {
  /** x, y and their gradients after a function of x, joined with what follows it or dispatched by itself. */
  async function results(f: (x: Tensor) => Tensor, numbers: readonly number[], joined: boolean): Promise<number[][]> {
    return scope(device, async () => {
      const x = tensor(device, numbers, [numbers.length]);
      x.requiresGrad = true;
      if (joined) device.recorder.startProfile();
      const y = f(x);
      if (!joined) await device.submit();
      const z = mul(add(y, 0.25), y);
      if (!joined) await device.submit();
      backward(sum(z));
      await device.flush();
      const labels = joined ? [...device.recorder.stopProfile().keys()] : [];
      if (joined)
        assert.equal(
          labels.filter((label) => label.includes(" + ")).length,
          2,
          `forward and backward: ${labels.join()}`,
        );
      return Promise.all([y, z, x.grad!].map(async (one) => Array.from(await one.read())));
    });
  }
  const signed = [-3, -1.5, -0.5, 0.25, 0.75, 1.25, 2, 4];
  const positive = signed.map(Math.abs);
  const functions: Readonly<Record<string, (x: Tensor) => Tensor>> = {
    neg,
    exp,
    sin,
    cos,
    tanh,
    sigmoid,
    silu,
    gelu,
    geluErf,
    relu,
    square,
    abs,
    log,
    sqrt,
    rsqrt,
    addNumber: (x) => add(x, 1.5),
    mulNumber: (x) => mul(x, 1.5),
    siluMul: (x) => siluMul(x, x),
    div: (x) => div(x, square(x)),
  };
  for (const [name, f] of Object.entries(functions))
    test(name, async () => {
      const numbers = ["log", "sqrt", "rsqrt"].includes(name) ? positive : signed;
      const [alone, joined] = [await results(f, numbers, false), await results(f, numbers, true)];
      alone.forEach((values, k) =>
        values.forEach((want, i) =>
          assert.ok(
            Math.abs(joined[k]![i]! - want) <= 1e-5 * (1 + Math.abs(want)),
            `${k}: ${joined[k]![i]}, not ${want}`,
          ),
        ),
      );
    });
});

/** Dispatches of `body`. */
async function dispatchesOf(body: () => void): Promise<number> {
  await device.flush();
  const before = device.recorder.counters.dispatches;
  body();
  await device.flush();
  return device.recorder.counters.dispatches - before;
}

describe("what is joined", () => {
  let x: Tensor;
  let w: Tensor;
  before(() => {
    [x, w] = [tensor(device, [1, 2, 3], [3]), tensor(device, [4, 5, 6], [3])].map(keep) as [Tensor, Tensor];
  });
  after(() => [x, w].forEach((one) => one.dispose()));

  const chain = (length: number): Tensor => Array.from({ length }).reduce<Tensor>((y) => add(y, w), x);

  test("three operations and more; two are not worth a kernel", () =>
    scope(device, async () => {
      assert.equal(await dispatchesOf(() => chain(2)), 2);
      assert.equal(await dispatchesOf(() => chain(3)), 1);
    }));

  test("as many as there are bindings for", () =>
    scope(device, async () => {
      const buffers = Math.min(16, device.gpu.limits.maxStorageBuffersPerShaderStage);
      assert.equal(await dispatchesOf(() => chain(buffers - 2)), 1);
      assert.equal(await dispatchesOf(() => chain(buffers - 2 + 3)), 2);
    }));

  test("the same whether buffers are used again or not", () =>
    scope(device, async () => {
      const inPlace = (length: number): void => {
        let y = chain(1);
        for (let i = 1; i < length; i++) {
          const next = add(y, w);
          y.dispose();
          y = next;
        }
      };
      const most = Math.min(16, device.gpu.limits.maxStorageBuffersPerShaderStage) - 2;
      assert.equal(await dispatchesOf(() => inPlace(most)), 1);
      assert.equal(await dispatchesOf(() => inPlace(most + 3)), 2);
    }));

  test("not across another kernel, another size, or a broadcast", () =>
    scope(device, async () => {
      assert.equal(await dispatchesOf(() => add(softmax(add(add(x, w), w)), w)), 4);
      const longer = tensor(device, Array.from({ length: 5 }, Number), [5]);
      assert.equal(await dispatchesOf(() => [add(x, w), add(longer, longer), add(x, w)]), 3);
      const one = tensor(device, [2], [1]);
      assert.equal(await dispatchesOf(() => mul(add(mul(x, one), one), one)), 3);
    }));

  test("the same program makes the same kernels, whether they are compiled or not", () =>
    scope(device, async () => {
      const program = (): Tensor => sum(mul(chain(150), chain(7)));
      const first = await program().read();
      const kernels = device.kernels.size;
      assert.deepEqual(await program().read(), first);
      assert.equal(device.kernels.size, kernels);
    }));

  test("kernels are not made without end", () => {
    const made: string[] = [];
    const kernels = {
      source: (): KernelSource => ({ name: "", text: "", bindings: [], params: [], overrides: [] }),
      define: (name: string) => void made.push(name),
      get: () => ({}) as Kernel,
    };
    const fuser = new RunFuser(kernels, { maxStorageBuffersPerShaderStage: 8 });
    const block = (id: number): Block => ({ id, buffer: {} as GPUBuffer, capacity: 64, bytes: 64, label: "" });
    const [from, to] = [block(1), block(2)];
    const program = (n: number): Elementwise[] =>
      [0, 1, 2].map(() => ({
        names: ["x"],
        operands: [from],
        expressions: [`x + ${n}.0`],
        results: [to],
        s: 0,
        count: 4,
        steps: 1,
        lanes: 8,
        workgroups: [1, 1],
      }));
    const dispatches = (n: number): number =>
      fuser.fuse(
        program(n),
        true,
        (one) => one,
        () => undefined,
        ([one]) => one!,
      ).done.length;
    for (let n = 0; n < 256; n++) assert.equal(dispatches(n), 1);
    assert.equal(dispatches(256), 3, "one by one");
    assert.equal(dispatches(7), 1, "known before");
    assert.equal(made.length, 256);
  });

  test("times are told under the names of the operations", () =>
    scope(device, async () => {
      device.recorder.startProfile();
      mul(add(add(x, w), w), w);
      await device.flush();
      assert.deepEqual([...device.recorder.stopProfile().keys()], ["add + mul"]);
    }));
});
