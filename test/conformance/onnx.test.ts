/**
 * ONNX's public conformance cases of operators, against ours. What the engine does not compute is listed at the
 * end, with reasons. `onnxCases.py` made the file of cases.
 */
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { after, before, describe, test } from "node:test";
import { type Device, openDevice, scope, sizeOf, type Tensor, tensor } from "../../src/tensor/index.ts";
import { close } from "../support/opCase.ts";
import { operators } from "./operators.ts";

interface Stored {
  readonly shape: readonly number[];
  /** Little-endian floats in base64. */
  readonly f32?: string;
  readonly ints?: readonly number[];
}

interface ConformanceCase {
  readonly name: string;
  readonly op: string;
  readonly attributes: Readonly<Record<string, string | number | readonly number[]>>;
  readonly inputs: Readonly<Record<string, Stored>>;
  readonly output: Stored;
}

const { cases, skipped } = JSON.parse(readFileSync(new URL("onnxCases.json", import.meta.url), "utf8")) as {
  cases: readonly ConformanceCase[];
  skipped: readonly { readonly name: string; readonly op: string; readonly reason: string }[];
};

const floats = (base64: string): Float32Array =>
  new Float32Array(Uint8Array.from(Buffer.from(base64, "base64")).buffer);

async function run(device: Device, { op, name, attributes, inputs, output }: ConformanceCase): Promise<void> {
  await scope(device, async () => {
    const tensors: Record<string, Tensor> = {};
    const ints: Record<string, { shape: readonly number[]; values: readonly number[] }> = {};
    for (const [input, { shape, f32, ints: values }] of Object.entries(inputs))
      if (f32 === undefined) ints[input] = { shape, values: values! };
      else tensors[input] = tensor(device, floats(f32), shape);
    const y = operators[op]!({ device, attributes, tensors, ints });
    assert.deepEqual([...y.shape], [...output.shape], `${name}: shape`);
    const got = await y.read();
    if (output.ints) return assert.deepEqual([...got], output.ints, name);
    const want = floats(output.f32!);
    assert.equal(want.length, sizeOf(output.shape));
    close(name, "output", got, want, 1e-5);
  });
}

describe("ONNX conformance", () => {
  let device: Device;
  before(async () => {
    device = await openDevice({ debug: { canary: true } });
  });
  after(() => device.close());

  for (const op of [...new Set(cases.map((each) => each.op))].sort()) {
    const ofOp = cases.filter((each) => each.op === op);
    test(`${op}: ${ofOp.length} cases`, async () => {
      for (const each of ofOp) await run(device, each);
      await device.checkCanaries();
    });
  }
});

/** Cases left out of the file, by reason: how many of which operator. A case that is lost, or could be run by now, is seen here. */
const leftOut = {
  "arithmetic is f32": {
    Add: 6,
    Attention: 11,
    Clip: 3,
    Div: 7,
    Max: 10,
    Min: 10,
    Mul: 6,
    Pad: 3,
    ReduceMax: 2,
    ReduceMin: 1,
    Sub: 6,
    Where: 1,
  },
  "of equal ones the first": { ArgMax: 8 },
  "padded keys beside a mask or a causal one: attention takes lengths alone": { Attention: 6 },
  "a query that sees no key: masks are finite": { Attention: 4 },
  "no windows": { Attention: 10 },
  "an empty tensor: every size is at least 1": {
    ReduceL1: 1,
    ReduceL2: 1,
    ReduceLogSum: 1,
    ReduceMax: 1,
    ReduceMin: 1,
    ReduceSum: 2,
    ReduceSumSquare: 1,
    Reshape: 1,
    Slice: 1,
    Split: 2,
  },
  "steps of 1 only": { Slice: 1 },
  "more than 4000 elements: left out of the file": { SoftmaxCrossEntropyLoss: 4 },
};

test("383 cases run; those left out are these, each for a reason", () => {
  assert.equal(cases.length, 383);
  const counts: Record<string, Record<string, number>> = {};
  for (const { op, reason } of skipped) (counts[reason] ??= {})[op] = (counts[reason]?.[op] ?? 0) + 1;
  assert.deepEqual(counts, leftOut);
  const names = [...cases, ...skipped].map(({ name }) => name);
  assert.equal(new Set(names).size, 494);
  for (const { op, output } of cases) assert.ok(operators[op] && (output.f32 ?? output.ints) !== undefined, op);
});
