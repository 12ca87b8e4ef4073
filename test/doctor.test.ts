/** `rediff doctor --model`: what it says about a machine, and what it refuses. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { run } from "../src/cli/doctor.ts";
import { describeModel, type ModelQuestion, tryModel } from "../src/cli/doctorModel.ts";
import type { Machine } from "../src/model/memory.ts";

const GPU: Machine = { maxBindingBytes: 2 ** 27, hasF16: true };

function answer(question: ModelQuestion, machine: Machine): string {
  const lines: string[] = [];
  describeModel(question, machine, (name, ...rest) => lines.push(...rest.map((line) => `${name} ${line}`)));
  return lines.join("\n");
}

test("an 8 GB GPU takes the 8 B model in int4 alone, and each other storage says why not", () => {
  const text = answer({ name: "llada-v-8b", memory: 8e9 }, { ...GPU, freeBytes: 8e9 });
  assert.match(text, /8\.43 billion parameters/);
  assert.match(text, /8\.00 GB, as --memory says/);
  assert.match(text, /int4 +4\.49 GB +796\.8 MB – 1\.86 GB +5\.29 GB – 6\.35 GB +fits/);
  assert.match(text, /int8 +8\.71 GB .* no: 1\.50 GB of memory are missing/);
  assert.match(text, /f16 +16\.87 GB .* no: /);
  assert.match(text, /f32 +33\.74 GB .* no: /);
  assert.match(text, /98 weights are split by rows as they are made, lm_head\.weight into 16 parts/);
  assert.match(text, /one picture of 1485 tokens \(square, one tile\) to 4341 \(the most that tiles make\)/);
  assert.match(
    text,
    /--cache prompt keeps keys and values besides, 1\.62 GB – 4\.62 GB; with int4: not every picture: for the largest 3\.11 GB/,
  );
  // 4,533 rows of 12,288 numbers are 223 MB, which 128 MiB do not bind: they come in two parts.
  assert.match(text, /bindings the largest in int4 is 111\.7 MB: inner activations of the MLP/);
});

test("a GPU that takes a square picture and not the largest is told so", () => {
  const question = { name: "llada-v-8b", storage: "int4", memory: 6e9 } as const;
  const text = answer(question, { ...GPU, freeBytes: 6e9 });
  assert.match(text, /5\.29 GB – 6\.35 GB +not every picture: for the largest 347\.3 MB of memory are missing/);
});

test("what cannot be known is said, and what an adapter lacks", () => {
  const text = answer({ name: "small" }, { ...GPU, hasF16: false });
  assert.match(text, /unknown: WebGPU does not tell what a GPU has/);
  assert.match(text, /f16 .* no: the adapter has no shader-f16/);
  assert.match(text, /int4 .* if the GPU has as much/);
  assert.match(text, /no weight is split/);
  assert.doesNotMatch(answer({ name: "small", storage: "int4" }, GPU), /int8/);
});

test("a small model is made and runs; one that does not fit is refused before anything is made", async () => {
  const lines: string[] = [];
  await tryModel("nano", "int4", GPU, (name, ...rest) => lines.push(`${name} ${rest.join(" ")}`));
  assert.match(
    lines[0]!,
    /takes about \d\S* (ms|s) to make the weights and \d\S* (ms|s) for a step, besides compilation: 0\.0056 GFLOP at/,
  );
  assert.match(lines.join("\n"), /made random weights in int4: \d+\.\d kB in .*\nstep .* all logits are finite/);
  const small = { ...GPU, freeBytes: 4e9 };
  await assert.rejects(
    tryModel("llada-v-8b", "int4", small, () => assert.fail("something was made")),
    /does not fit in int4: 1\.29 GB of memory are missing \(it needs 5\.29 GB, 4\.00 GB are free\)/,
  );
});

test("options that do not go together are refused", async () => {
  await assert.rejects(run(["--run"]), /--run belongs to --model/);
  await assert.rejects(run(["--model", "small", "--run"]), /say which with --dtype/);
  await assert.rejects(run(["--model", "large"]), /There is no preset large; there are nano, small, llada-v-8b/);
  await assert.rejects(run(["--model", "small", "--dtype", "int2"]), /must be one of f32, f16, int8, int4; it is int2/);
  await assert.rejects(run(["--model", "small", "--memory", "none"]), /--memory must be a number/);
});
