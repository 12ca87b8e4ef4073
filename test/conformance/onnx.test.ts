/**
 * ONNX's public conformance cases of operators, against ours. What the engine does not compute is skipped with its reason,
 * and counted. `onnxCases.py` made the file of cases.
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

  // Grouped, or the list would be longer than the one of what is tested.
  const reasons = new Map<string, string[]>();
  for (const { op, reason, name } of skipped)
    reasons.set(`${op}: ${reason}`, [...(reasons.get(`${op}: ${reason}`) ?? []), name]);
  for (const [reason, names] of reasons) test(`${reason} (${names.length})`, { skip: names.join(", ") });
});

test("270 cases run and 102 are left out, and none is lost", () => {
  assert.deepEqual([cases.length, skipped.length], [270, 102]);
  const names = [...cases, ...skipped].map(({ name }) => name);
  assert.equal(new Set(names).size, 372);
  for (const { op, output } of cases) assert.ok(operators[op] && output.f32 !== undefined, op);
});
