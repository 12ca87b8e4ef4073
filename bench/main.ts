/**
 * `npm run bench [ops…]`: checks every case of test/cases at its bench sizes, then times it; then a training step and a
 * decoding step of `small` (`npm run bench steps` for these alone). Prints a table and writes a result file.
 *
 * Kernel times are GPU timestamps, summed over the dispatches of one call; steps are wall time. Each row says how much of
 * this device's own copy bandwidth and matrix product, measured in the same run, it reached.
 */
import { execFileSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { Bench, type Statistics } from "tinybench";
import { measureMatmul } from "../src/cli/adapter.ts";
import { shippedCheckpoint, tokenizerFor } from "../src/cli/usage.ts";
import { writeAtomically } from "../src/model/checkpoint.ts";
import { preset } from "../src/model/config.ts";
import { createRediff, disposeRediff } from "../src/model/rediff.ts";
import { captionImages } from "../src/sample/caption.ts";
import { refine } from "../src/sample/refine.ts";
import { type Device, LimitError, noGrad, openDevice, scope, tensor, zeros } from "../src/tensor/index.ts";
import { createTrainer, defaultTrainOptions } from "../src/train/base.ts";
import { disposeState } from "../src/model/checkpoint.ts";
import { loadCases } from "../test/support/cases.ts";
import { type AnyCase, close, drawInputs } from "../test/support/opCase.ts";

interface Row {
  readonly name: string;
  readonly params: string;
  readonly kind: "gpu" | "wall";
  readonly ms: { readonly p50: number; readonly min: number; readonly max: number; readonly samples: number };
  readonly gflops?: number;
  readonly gbs?: number;
  /** Share of the roof that binds: of the measured copy or of the measured matrix product, whichever is larger. */
  readonly roof?: number;
}

const { values, positionals } = parseArgs({
  options: { seconds: { type: "string", default: "0.5" }, out: { type: "string" }, "no-steps": { type: "boolean" } },
  allowPositionals: true,
});
const milliseconds = 1000 * Number(values.seconds);

const device = await openDevice();
if (!device.gpu.features.has("timestamp-query"))
  throw new Error("This adapter has no timestamps, so kernels cannot be timed.");
const root = fileURLToPath(new URL("../", import.meta.url));
const roofs = { copyGBs: await measureCopy(device), matmulGflops: await measureMatmul(device, 1024, 3) };
console.log(
  `${device.info.description || device.info.vendor}: copy ${roofs.copyGBs.toFixed(1)} GB/s, 1024³ f32 matrix product ${roofs.matmulGflops.toFixed(0)} GFLOP/s\n`,
);
console.log(
  `${"".padEnd(62)}${"median ms".padStart(11)}${"min".padStart(9)}${"max".padStart(9)}${"GFLOP/s".padStart(9)}${"GB/s".padStart(7)}${"roof".padStart(7)}`,
);

const rows: Row[] = [];
for (const { file, cases } of await loadCases()) {
  if (positionals.length && !positionals.includes(file)) continue;
  for (const op of cases) {
    if (op.feature && !device.gpu.features.has(op.feature)) continue;
    for (const params of op.bench) {
      try {
        rows.push(await timeCase(op, params));
      } catch (error) {
        // A smaller adapter cannot bind the largest sizes. That is no fault, but it is said.
        if (!(error instanceof LimitError)) throw error;
        console.log(`${op.name.padEnd(20)}${show(params).slice(0, 41).padEnd(42)}   left out: ${error.message}`);
      }
    }
  }
}
if (positionals.length ? positionals.includes("steps") : !values["no-steps"]) rows.push(...(await timeSteps()));

const result = { date: new Date().toISOString(), ...provenance(), adapter: adapterFacts(device), roofs, rows };
const out =
  values.out ??
  join(
    root,
    "bench/results",
    `${result.date.slice(0, 10)}-${device.info.device || device.info.vendor || "adapter"}.local.json`.replaceAll(
      /[^\w./-]+/g,
      "-",
    ),
  );
await writeAtomically(out, `${JSON.stringify(result, null, 1)}\n`);
console.log(`\n${rows.length} rows in ${out}`);
await device.close();

/** Median GPU time of one call, after its outputs have been compared with the f64 reference. */
async function timeCase(op: AnyCase, params: Parameters<AnyCase["run"]>[1]): Promise<Row> {
  const inputs = drawInputs(op.inputs(params), 1);
  return noGrad(device, () =>
    scope(device, async () => {
      const specs = op.inputs(params);
      const tensors = Object.fromEntries(
        Object.entries(inputs).map(([name, { shape, data }]) => [
          name,
          tensor(device, data, shape, specs[name]!.dtype ?? "f32", name),
        ]),
      );
      const outputs = op.run(tensors, params);
      for (const [name, want] of Object.entries(op.reference(inputs, params)))
        close(`${op.name} ${JSON.stringify(params)}`, name, await outputs[name]!.read(), want.data, op.tolerance);
      const latency = await sample(op.name, async () => {
        device.recorder.startProfile();
        scope(device, () => void op.run(tensors, params));
        await device.flush();
        const times = [...device.recorder.stopProfile().values()];
        return times.reduce((sum, { ns }) => sum + ns, 0) / 1e6;
      });
      const gflops = op.flops(params) / latency.p50 / 1e6;
      const gbs = op.bytes(params) / latency.p50 / 1e6;
      const roof = Math.max(gflops / roofs.matmulGflops, gbs / roofs.copyGBs);
      return report({ name: op.name, params: show(params), kind: "gpu", ms: milli(latency), gflops, gbs, roof });
    }),
  );
}

async function timeSteps(): Promise<Row[]> {
  const tokenizer = tokenizerFor(shippedCheckpoint);
  const options = { ...defaultTrainOptions, curriculum: [{ until: 1, canvas: 64, shares: [0, 0, 1] as const }] };
  const trainer = createTrainer(device, options, tokenizer);
  await trainer.step();
  const training = await sample("training step", async () => {
    const start = performance.now();
    await trainer.step();
    return performance.now() - start;
  });
  const trained = report({
    name: "training step",
    params: `small, batch ${options.batch}, canvas 64`,
    kind: "wall",
    ms: milli(training),
  });
  disposeState(trainer.state);

  const config = preset("small");
  const model = createRediff(device, config, 1);
  const pixels = new Float32Array(3 * config.vision.imageSize ** 2);
  const caption = () => captionImages(model, tokenizer, [pixels], refine, { tokensPerStep: 8 });
  await caption();
  const decoding = await sample("caption", async () => {
    const start = performance.now();
    const [captioned] = await caption();
    return (performance.now() - start) / captioned!.steps;
  });
  disposeRediff(model);
  return [
    trained,
    report({
      name: "decoding step",
      params: `small, refine, canvas ${config.text.canvas}, 8 tokens`,
      kind: "wall",
      ms: milli(decoding),
    }),
  ];
}

/** tinybench's statistics of a function that measures itself, in milliseconds. */
async function sample(name: string, measure: () => Promise<number>): Promise<Statistics> {
  const bench = new Bench({ time: milliseconds, iterations: 5, warmup: false });
  bench.add(name, async () => ({ overriddenDuration: await measure() }));
  const [task] = await bench.run();
  const { result: measured } = task!;
  if (!("latency" in measured))
    throw new Error(`${name} could not be timed: ${"error" in measured ? String(measured.error) : measured.state}`);
  return measured.latency;
}

/** GB/s of a buffer copy, counting bytes read and written. The buffers are larger than any cache here. */
async function measureCopy(on: Device): Promise<number> {
  return scope(on, async () => {
    const bytes = 64 * 2 ** 20;
    const [a, b] = [zeros(on, [bytes / 4]), zeros(on, [bytes / 4])];
    await on.flush();
    let best = Infinity;
    for (let i = 0; i < 4; i++) {
      const start = performance.now();
      on.recorder.copy(a.block.buffer, b.block.buffer, bytes);
      await on.flush();
      best = Math.min(best, performance.now() - start);
    }
    return (2 * bytes) / best / 1e6;
  });
}

function report(row: Row): Row {
  const number = (value: number | undefined, width: number, digits: number) =>
    (value === undefined ? "" : value.toFixed(digits)).padStart(width);
  const { p50, min, max } = row.ms;
  console.log(
    `${row.name.padEnd(20)}${row.params.slice(0, 41).padEnd(42)}${number(p50, 11, 3)}${number(min, 9, 3)}${number(max, 9, 3)}` +
      `${number(row.gflops, 9, 1)}${number(row.gbs, 7, 1)}${row.roof === undefined ? "" : `${(100 * row.roof).toFixed(0)} %`.padStart(7)}`,
  );
  return row;
}

function milli({ p50, min, max, samplesCount }: Statistics): Row["ms"] {
  return { p50, min, max, samples: samplesCount };
}

function show(params: object): string {
  return Object.entries(params)
    .map(([name, value]) =>
      typeof value === "string" ? value : value === true ? name : value === false ? "" : `${name} ${String(value)}`,
    )
    .filter(Boolean)
    .join(", ");
}

function provenance(): Record<string, unknown> {
  const git = (...args: string[]) => {
    try {
      return execFileSync("git", args, { cwd: root, stdio: ["ignore", "pipe", "ignore"] })
        .toString()
        .trim();
    } catch {
      return "";
    }
  };
  const dawn = JSON.parse(readFileSync(join(root, "node_modules/webgpu/package.json"), "utf8")) as { version: string };
  return {
    commit: git("rev-parse", "HEAD"),
    dirty: git("status", "--porcelain") !== "",
    node: process.version,
    webgpu: dawn.version,
  };
}

function adapterFacts({ gpu, info, subgroupSize }: Device): Record<string, unknown> {
  const { vendor, architecture, device: name, description } = info;
  const {
    maxBufferSize,
    maxStorageBufferBindingSize,
    maxComputeInvocationsPerWorkgroup,
    maxComputeWorkgroupStorageSize,
  } = gpu.limits;
  return {
    vendor,
    architecture,
    device: name,
    description,
    subgroupSize,
    features: [...gpu.features].sort(),
    limits: {
      maxBufferSize,
      maxStorageBufferBindingSize,
      maxComputeInvocationsPerWorkgroup,
      maxComputeWorkgroupStorageSize,
    },
  };
}
