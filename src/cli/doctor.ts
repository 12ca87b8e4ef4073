/**
 * `rediff doctor`: what this machine computes on, how fast that is, and the one command that would make it better.
 * It looks below the engine, at Dawn itself, so that it still speaks when the engine cannot start.
 */
import { existsSync, readdirSync } from "node:fs";
import { homedir } from "node:os";
import { join } from "node:path";
import { preset } from "../model/config.ts";
import { isTuned, openDevice, SUBGROUP_MATRIX } from "../tensor/index.ts";
import { awaitWithNaps, nodeGpu } from "../tensor/node.ts";
import { measureMatmul } from "./adapter.ts";
import { weightStorages } from "../nn/weight.ts";
import { describeModel, type ModelQuestion, tryModel } from "./doctorModel.ts";
import { paint } from "./terminal.ts";
import { oneOf, parse, UsageError } from "./usage.ts";
import { machineOf, memoryOption } from "./weights.ts";

/** One measured number, such as { name: "copy", value: 17.2, unit: "GB/s" }. */
export interface Speed {
  readonly name: string;
  readonly value: number;
  readonly unit: string;
}

export interface DoctorOptions {
  /** Where a line goes. Default: the terminal. */
  readonly print?: (line: string) => void;
  /** Says whether this model would fit, instead of how fast the adapter is. */
  readonly model?: ModelQuestion;
}

/** Features that the kernels make use of, each with what it is good for. */
const USEFUL_FEATURES: readonly (readonly [string, string])[] = [
  ["subgroups", "lanes share values without memory: the fast kernels"],
  ["shader-f16", "half the memory for weights"],
  ["timestamp-query", "kernels are timed on the device"],
  [SUBGROUP_MATRIX, "matrix units, for products of f16 (--matmul f16)"],
];

const SOFTWARE = /llvmpipe|lavapipe|swiftshader|warp|software|\bcpu\b/i;

const usage = `rediff doctor [options]

Shows what this machine computes on, how fast, and what would help.

  --model NAME    instead: would this model fit? small, llada-v-8b, …
  --dtype TYPE    its matrices as f32, f16, int8 or int4 (default: all four)
  --memory GB     what your GPU has; WebGPU does not tell
  --run           make it with random weights, and run one step (with --dtype)`;

/** The command itself. */
export async function run(args: readonly string[]): Promise<void> {
  const { values } = parse(args, {
    help: { type: "boolean", short: "h" },
    model: { type: "string" },
    dtype: { type: "string" },
    memory: { type: "string" },
    run: { type: "boolean" },
  });
  if (values.help) return console.log(usage);
  const { model: name, dtype, memory, run: isRun = false } = values;
  if (name === undefined) {
    const alone = Object.keys(values)[0];
    if (alone !== undefined) throw new UsageError(`--${alone} belongs to --model. See --help.`);
    return doctor();
  }
  preset(name);
  if (isRun && dtype === undefined) throw new UsageError("--run makes one model: say which with --dtype. See --help.");
  await doctor({
    model: {
      name,
      ...(dtype === undefined ? {} : { storage: oneOf("dtype", dtype, "f32", weightStorages) }),
      memory: memoryOption(memory),
      run: isRun,
    },
  });
}

/** Prints what this machine has, or whether a model would fit. Without an adapter the exit code is 2. */
export async function doctor({ print = console.log, model }: DoctorOptions = {}): Promise<void> {
  const row = (name: string, ...lines: readonly string[]): void =>
    lines.forEach((line, i) => print(`  ${paint("bold", (i === 0 ? name : "").padEnd(10))}${line}`));

  const adapter = await openAdapter(); // before the first line, as Dawn may print warnings of its own
  print("");
  row("machine", `${process.platform} ${process.arch}, Node ${process.versions.node}`);
  if (process.platform === "linux") row("driver", ...driverFiles());

  if (!adapter) {
    row("adapter", paint("red", "none"), "What Dawn said stands above.");
    row("help", ...(await adviceWithout()));
    process.exitCode = 2;
    return;
  }

  const { vendor, architecture, device: chip, description, subgroupMinSize, subgroupMaxSize } = adapter.info;
  const name = description || chip || `${vendor} ${architecture}`;
  const isSoftware = SOFTWARE.test(`${name} ${architecture} ${chip}`);
  row("adapter", `${paint("green", name)}${isSoftware ? ", a driver that computes on the CPU" : ""}`);
  row(
    "",
    paint(
      "dim",
      [`vendor ${vendor}`, architecture && `architecture ${architecture}`, chip].filter(Boolean).join(" · "),
    ),
  );
  row("backend", { linux: "Vulkan", darwin: "Metal", win32: "Direct3D 12" }[process.platform as string] ?? "unknown");

  row(
    "features",
    ...USEFUL_FEATURES.map(([feature, use]) => {
      const there = (adapter.features as ReadonlySet<string>).has(feature);
      const width = subgroupMinSize === subgroupMaxSize ? subgroupMinSize : `${subgroupMinSize} to ${subgroupMaxSize}`;
      const detail = feature === "subgroups" && there ? `${width} lanes; ${use}` : use;
      return `${there ? paint("green", "yes") : "no "} ${feature.replace("chromium-experimental-", "").padEnd(16)}${paint("dim", detail)}`;
    }),
  );

  const { limits } = adapter;
  row(
    "limits",
    `${inBytes(limits.maxStorageBufferBindingSize)} a binding, ${inBytes(limits.maxBufferSize)} a buffer`,
    `${limits.maxStorageBuffersPerShaderStage} storage buffers a kernel`,
    `${limits.maxComputeInvocationsPerWorkgroup} invocations and ${inBytes(limits.maxComputeWorkgroupStorageSize)} of memory a workgroup`,
  );

  if (model) {
    const machine = machineOf(adapter, isSoftware, model.memory);
    describeModel(model, machine, row);
    if (model.run && model.storage) await tryModel(model.name, model.storage, machine, row);
    return;
  }

  const device = await adapter.requestDevice();
  const speeds = [
    ...(await (isSoftware ? awaitWithNaps(measureRoof(device)) : measureRoof(device))),
    ...(await measureEngine()),
  ];
  row(
    "speed",
    ...speeds.map(
      ({ name, value, unit }) => `${value.toPrecision(3).padStart(6)} ${unit.padEnd(8)} ${paint("dim", name)}`,
    ),
  );
  device.destroy();

  const advice = isSoftware ? await adviceForSoftware(name) : [];
  if (!isTuned(adapter.info)) advice.push("Kernels were not measured here yet, which may make it faster: npm run tune");
  row("help", ...(advice.length > 0 ? advice : ["nothing to do"]));
}

function inBytes(count: number): string {
  const unit = count >= 2 ** 30 ? 30 : count >= 2 ** 20 ? 20 : 10;
  return `${Math.round((count / 2 ** unit) * 10) / 10} ${{ 30: "GiB", 20: "MiB", 10: "KiB" }[unit]}`;
}

async function openAdapter(): Promise<GPUAdapter | null> {
  return (await nodeGpu()).requestAdapter();
}

// ---- what could be better ------------------------------------------------------------------------------------------

/** The manifests that a Vulkan loader would find, as lines. */
function driverFiles(): string[] {
  const chosen = process.env["VK_DRIVER_FILES"] ?? process.env["VK_ICD_FILENAMES"] ?? process.env["REDIFF_SWIFTSHADER"];
  if (chosen !== undefined) return [`${chosen}, by the environment`];
  const home = process.env["XDG_DATA_HOME"] ?? join(homedir(), ".local/share");
  const found = ["/etc", "/usr/local/share", "/usr/share", home]
    .map((folder) => join(folder, "vulkan/icd.d"))
    .filter((folder) => existsSync(folder))
    .flatMap((folder) => {
      const names = readdirSync(folder).filter((name) => name.endsWith(".json"));
      return names.length > 0
        ? [`${folder}: ${names.map((name) => name.replace(/_icd.*|\.json$/, "")).join(", ")}`]
        : [];
    });
  return found.length > 0 ? found : ["no Vulkan driver is installed"];
}

async function adviceWithout(): Promise<string[]> {
  if (process.platform !== "linux") return ["Update the system's graphics driver."];
  return existsSync(packageFile("scripts/setup.mjs")) ? ["node scripts/setup.mjs"] : [await mesaCommand()];
}

/** A GPU that lies idle comes first; then the faster of the two CPU drivers. */
async function adviceForSoftware(name: string): Promise<string[]> {
  const devices = existsSync("/dev/dri") ? readdirSync("/dev/dri") : [];
  if (existsSync("/dev/nvidiactl")) {
    return [
      "There is an NVIDIA GPU, but its Vulkan driver is not to be found. It comes in the package libnvidia-gl-<version>;",
      "a container needs NVIDIA_DRIVER_CAPABILITIES=all.",
    ];
  }
  const isSwiftShader = /swiftshader/i.test(name);
  if (devices.some((file) => file.startsWith("renderD"))) {
    return isSwiftShader
      ? [`There is a GPU. This brings its driver: ${await mesaCommand()}`]
      : ["There is a GPU, but you may not open it. Join its group: sudo usermod -aG render $USER"];
  }
  return isSwiftShader ? [`Mesa computes about five times faster on this CPU: ${await mesaCommand()}`] : [];
}

/** The command that brings Mesa to this system; set-up knows it where we run from the sources. */
async function mesaCommand(): Promise<string> {
  const file = packageFile("scripts/setup/mesa.mjs");
  if (!existsSync(file)) return "install mesa-vulkan-drivers (version 24 or newer) and libvulkan1";
  const setup = (await import(file.href)) as { mesaCommand(): string };
  return setup.mesaCommand();
}

const packageFile = (path: string): URL => new URL(`../../${path}`, import.meta.url);

// ---- how fast it is ------------------------------------------------------------------------------------------------

/** Multiply-adds on four vectors that wait for nothing but each other; 32 a round, so that the loop itself costs little. */
const MULTIPLY_ADD = /* wgsl */ `
override ROUNDS : u32;
@group(0) @binding(0) var<storage, read> x : array<vec4f>;
@group(0) @binding(1) var<storage, read_write> y : array<vec4f>;
@compute @workgroup_size(64) fn main(@builtin(global_invocation_id) at : vec3u) {
  let f = x[at.x & 1023u];
  var a = f; var b = f + 1.0; var c = f + 2.0; var d = f + 3.0;
  for (var i = 0u; i < ROUNDS; i++) {
    ${"a = fma(a, f, f); b = fma(b, f, f); c = fma(c, f, f); d = fma(d, f, f);".repeat(8)}
  }
  y[at.x & 1023u] = a + b + c + d;
}`;

/** The two numbers that bound every kernel: arithmetic in registers, and traffic through memory. */
export async function measureRoof(device: GPUDevice): Promise<Speed[]> {
  const ROUNDS = 64;
  const bytes = 2 ** 26;
  const usage = GPUBufferUsage.STORAGE | GPUBufferUsage.COPY_SRC | GPUBufferUsage.COPY_DST;
  const [x, y] = ["doctor x", "doctor y"].map((label) => device.createBuffer({ label, size: bytes, usage })) as [
    GPUBuffer,
    GPUBuffer,
  ];

  const work = await dispatcher(device, MULTIPLY_ADD, [x, y], { ROUNDS });
  const perGroup = 64 * ROUNDS * 32 * 4 * 2; // invocations · rounds · multiply-adds · lanes · two operations
  // Few groups where a second is long, many where it is short.
  const trial = await secondsOf(device, () => work(256), 1);
  const groups = Math.min(65_535, Math.max(256, Math.round((256 * 0.1) / trial)));
  const flops = (perGroup * groups) / (await secondsOf(device, () => work(groups), 5));

  const traffic =
    (2 * bytes) /
    (await secondsOf(device, () => submit(device, (encoder) => encoder.copyBufferToBuffer(x, 0, y, 0, bytes)), 5));
  x.destroy();
  y.destroy();
  return [
    { name: "multiply-adds in registers, f32", value: flops / 1e9, unit: "GFLOP/s" },
    { name: "copying 64 MiB, read and written", value: traffic / 1e9, unit: "GB/s" },
  ];
}

/** What the engine makes of it. */
async function measureEngine(): Promise<Speed[]> {
  const device = await openDevice();
  const value = await measureMatmul(device);
  await device.close();
  return [{ name: "the engine's 512³ matrix product, f32", value, unit: "GFLOP/s" }];
}

async function dispatcher(
  device: GPUDevice,
  code: string,
  buffers: readonly GPUBuffer[],
  constants: Record<string, number>,
): Promise<(groups: number) => void> {
  const module = device.createShaderModule({ code });
  const pipeline = await device.createComputePipelineAsync({ layout: "auto", compute: { module, constants } });
  const entries = buffers.map((buffer, binding) => ({ binding, resource: { buffer } }));
  const group = device.createBindGroup({ layout: pipeline.getBindGroupLayout(0), entries });
  return (groups) =>
    submit(device, (encoder) => {
      const pass = encoder.beginComputePass();
      pass.setPipeline(pipeline);
      pass.setBindGroup(0, group);
      pass.dispatchWorkgroups(groups);
      pass.end();
    });
}

function submit(device: GPUDevice, record: (encoder: GPUCommandEncoder) => void): void {
  const encoder = device.createCommandEncoder();
  record(encoder);
  device.queue.submit([encoder.finish()]);
}

/** The fastest of some runs, after one that warms up. */
async function secondsOf(device: GPUDevice, work: () => void, runs: number): Promise<number> {
  let best = Infinity;
  for (let i = 0; i <= runs; i++) {
    const start = performance.now();
    work();
    await device.queue.onSubmittedWorkDone();
    if (i > 0) best = Math.min(best, performance.now() - start);
  }
  return best / 1000;
}
