/**
 * Facts about Dawn in Node that the engine leans on. None of our own code is tested here: when an upgrade of `webgpu`
 * turns one of these red, read the comment beside it to see what in the engine stands on that fact.
 */
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { after, before, test } from "node:test";
import { create, globals } from "webgpu";
import { prepareDriver } from "../src/tensor/softwareDriver.ts";

Object.assign(globalThis, globals);
prepareDriver();

/** In module scope, or V8 collects it and the process crashes: the first fact. */
const gpu = create([]);

let adapter: GPUAdapter;
let device: GPUDevice;

/** What the device reported late, in order. */
const late: GPUError[] = [];

before(async () => {
  const found = await gpu.requestAdapter();
  assert.ok(found, "no adapter: run `node scripts/setup.mjs`");
  adapter = found;
  device = await found.requestDevice({
    requiredFeatures: (["subgroups"] as const).filter((name) => found.features.has(name)),
  });
  device.addEventListener("uncapturederror", (event) => {
    event.preventDefault();
    late.push(event.error);
  });
});

after(() => device.destroy());

/** A storage buffer that holds these words. */
function storage(words: Uint32Array | Float32Array, on: GPUDevice = device): GPUBuffer {
  const buffer = on.createBuffer({
    size: words.byteLength,
    usage: GPUBufferUsage.STORAGE | GPUBufferUsage.COPY_SRC | GPUBufferUsage.COPY_DST,
  });
  on.queue.writeBuffer(buffer, 0, words);
  return buffer;
}

async function bytesOf(buffer: GPUBuffer, on: GPUDevice = device): Promise<ArrayBuffer> {
  const back = on.createBuffer({ size: buffer.size, usage: GPUBufferUsage.MAP_READ | GPUBufferUsage.COPY_DST });
  const encoder = on.createCommandEncoder();
  encoder.copyBufferToBuffer(buffer, 0, back, 0, buffer.size);
  on.queue.submit([encoder.finish()]);
  await back.mapAsync(GPUMapMode.READ);
  const bytes = back.getMappedRange().slice(0);
  back.destroy();
  return bytes;
}

const floatsOf = async (buffer: GPUBuffer): Promise<number[]> => [...new Float32Array(await bytesOf(buffer))];
const wordsOf = async (buffer: GPUBuffer): Promise<number[]> => [...new Uint32Array(await bytesOf(buffer))];

function pipelineOf(
  code: string,
  constants?: Record<string, number>,
  on: GPUDevice = device,
): Promise<GPUComputePipeline> {
  return on.createComputePipelineAsync({
    layout: "auto",
    compute: { module: on.createShaderModule({ code }), ...(constants && { constants }) },
  });
}

function record(encoder: GPUCommandEncoder, pipeline: GPUComputePipeline, buffers: GPUBuffer[], workgroups = 1): void {
  const pass = encoder.beginComputePass();
  pass.setPipeline(pipeline);
  const entries = buffers.map((buffer, binding) => ({ binding, resource: { buffer } }));
  pass.setBindGroup(0, device.createBindGroup({ layout: pipeline.getBindGroupLayout(0), entries }));
  pass.dispatchWorkgroups(workgroups);
  pass.end();
}

/** Runs a kernel once over buffers bound as 0, 1, 2 … */
async function run(code: string, buffers: GPUBuffer[], constants?: Record<string, number>): Promise<void> {
  const pipeline = await pipelineOf(code, constants);
  const encoder = device.createCommandEncoder();
  record(encoder, pipeline, buffers);
  device.queue.submit([encoder.finish()]);
}

/** y[i] = f(x[i]) for a WGSL expression in x, over f32. `x` arrives in a buffer, so nothing is folded at compile time. */
async function evaluate(expression: string, xs: number[]): Promise<number[]> {
  const x = storage(new Float32Array(xs));
  const y = storage(new Float32Array(xs.length));
  await run(
    /* wgsl */ `
    @group(0) @binding(0) var<storage, read> xs : array<f32>;
    @group(0) @binding(1) var<storage, read_write> ys : array<f32>;
    @compute @workgroup_size(1) fn main() {
      for (var i = 0u; i < ${xs.length}u; i++) { let x = xs[i]; ys[i] = ${expression}; }
    }`,
    [x, y],
  );
  return floatsOf(y);
}

/** Runs a script in a fresh Node, with Dawn opened as `gpu`, `adapter`, `device`. */
function inFreshNode(body: string, ...flags: string[]): { status: number | null; stdout: string; stderr: string } {
  const script = `
    import { create, globals } from "webgpu";
    import { prepareDriver } from "./src/tensor/softwareDriver.ts";
    Object.assign(globalThis, globals);
    prepareDriver();
    const gpu = create([]);
    const adapter = await gpu.requestAdapter();
    const device = await adapter.requestDevice();
    ${body}
    globalThis.kept = [gpu];`;
  const options = { encoding: "utf8", timeout: 60_000, cwd: new URL("../", import.meta.url) } as const;
  return spawnSync(process.execPath, [...flags, "--import", "tsx", "--input-type=module", "-e", script], options);
}

// ---- order of work -------------------------------------------------------------------------------------------------

// commands.ts uploads through the encoder and never by writeBuffer while commands are pending.
test("a writeBuffer between two recorded passes is seen by both", async () => {
  const x = storage(new Float32Array([1]));
  const first = storage(new Float32Array(1));
  const second = storage(new Float32Array(1));
  const copy = await pipelineOf(/* wgsl */ `
    @group(0) @binding(0) var<storage, read> x : array<f32>;
    @group(0) @binding(1) var<storage, read_write> y : array<f32>;
    @compute @workgroup_size(1) fn main() { y[0] = x[0]; }`);
  const encoder = device.createCommandEncoder();
  record(encoder, copy, [x, first]);
  device.queue.writeBuffer(x, 0, new Float32Array([2]));
  record(encoder, copy, [x, second]);
  device.queue.submit([encoder.finish()]);
  assert.deepEqual([await floatsOf(first), await floatsOf(second)], [[2], [2]]);
});

// One pass may hold a whole chain of dispatches: no barrier has to be asked for.
test("dispatches of one pass see each other's writes", async () => {
  const x = storage(new Float32Array([1]));
  const double = await pipelineOf(/* wgsl */ `
    @group(0) @binding(0) var<storage, read_write> x : array<f32>;
    @compute @workgroup_size(1) fn main() { x[0] *= 2.0; }`);
  const group = device.createBindGroup({
    layout: double.getBindGroupLayout(0),
    entries: [{ binding: 0, resource: x }],
  });
  const encoder = device.createCommandEncoder();
  const pass = encoder.beginComputePass();
  pass.setPipeline(double);
  pass.setBindGroup(0, group);
  for (let i = 0; i < 10; i++) pass.dispatchWorkgroups(1);
  pass.end();
  device.queue.submit([encoder.finish()]);
  assert.deepEqual(await floatsOf(x), [1024]);
});

// The pool hands out buffers without clearing them for the first user.
test("a new buffer is all zeros", async () => {
  const fresh = device.createBuffer({ size: 4096, usage: GPUBufferUsage.STORAGE | GPUBufferUsage.COPY_SRC });
  assert.ok((await wordsOf(fresh)).every((word) => word === 0));
});

// Parameters are packed with a DataView; what is uploaded is its buffer.
test("writeBuffer takes typed arrays and ArrayBuffers, but no DataView", () => {
  const x = storage(new Float32Array(4));
  device.queue.writeBuffer(x, 0, new Uint8Array(16), 4, 8);
  device.queue.writeBuffer(x, 0, new ArrayBuffer(16), 4, 8);
  assert.throws(() => device.queue.writeBuffer(x, 0, new DataView(new ArrayBuffer(16))), TypeError);
});

// ---- numbers -------------------------------------------------------------------------------------------------------

const NAN_BITS = "(bitcast<u32>(x) & 0x7fffffffu) > 0x7f800000u";

// Kernels look for NaN by its bits. What x != x gives is the compiler's choice, so we state only what holds everywhere.
test("NaN is found by its bits", async () => {
  assert.deepEqual(await evaluate(`select(0.0, 1.0, ${NAN_BITS})`, [NaN, Infinity, -Infinity, 0, 1]), [1, 0, 0, 0, 0]);
});

/** lavapipe or SwiftShader: what they do is known, and not promised by anybody else. */
const isKnownSoftware = (): boolean => /llvmpipe|swiftshader/i.test(adapter.info.description);

test("x != x does not find NaN on lavapipe and SwiftShader", async (t) => {
  const [found] = await evaluate("select(0.0, 1.0, x != x)", [NaN]);
  if (!isKnownSoftware()) return t.skip(`here it gives ${found}`);
  assert.equal(found, 0);
});

// A row maximum hides a NaN, so the finite check of debug mode looks at inputs before any max.
test("max lets a NaN vanish on lavapipe and SwiftShader", async (t) => {
  const [larger] = await evaluate("max(x, 1.0)", [NaN]);
  if (!isKnownSoftware()) return t.skip(`here max(NaN, 1) is ${larger}`);
  assert.equal(larger, 1);
});

// No kernel uses pow. With numbers from a buffer pow(-2, 3) is NaN on lavapipe and 8 on SwiftShader; never -8.
test("pow of a negative base is wrong on lavapipe and SwiftShader", async (t) => {
  const [power] = await evaluate("pow(-2.0 * x / x, x)", [3]);
  if (!isKnownSoftware()) return t.skip(`here pow(-2, 3) is ${power}`);
  assert.notEqual(power, -8);
});

// Kernels use stable forms.
test("the plain form of a sigmoid overflows to NaN, the stable one does not", async () => {
  const [plain] = await evaluate("exp(x) / (1.0 + exp(x))", [100]);
  const [stable] = await evaluate("1.0 / (1.0 + exp(-x))", [100]);
  assert.ok(Number.isNaN(plain), `exp(100) / (1 + exp(100)) gave ${plain}`);
  assert.equal(stable, 1);
});

// Tests compare integers through f32: these have to be exact.
test("f32 holds whole numbers up to 2^24, and the device keeps them", async () => {
  assert.deepEqual(await evaluate("x + 1.0", [16_777_214, -16_777_216]), [16_777_215, -16_777_215]);
});

// ---- what a kernel may say -----------------------------------------------------------------------------------------

const wrongText = async (code: string): Promise<string> => {
  const info = await device.createShaderModule({ code }).getCompilationInfo();
  return info.messages.filter(({ type }) => type === "error").map(({ message }) => message).join("\n"); // prettier-ignore
};

/** The errors of broken shaders also arrive late; this test made them, so it takes them. */
async function takeLate(): Promise<GPUError[]> {
  await device.queue.onSubmittedWorkDone();
  await new Promise((resolve) => setTimeout(resolve, 20));
  return late.splice(0);
}

test("a workgroup array can be sized by an override", async () => {
  const y = storage(new Float32Array(1));
  const code = /* wgsl */ `
    override LANES = 4u;
    @group(0) @binding(0) var<storage, read_write> y : array<f32>;
    var<workgroup> part : array<f32, LANES>;
    @compute @workgroup_size(LANES) fn main(@builtin(local_invocation_index) i : u32) {
      part[i] = f32(i + 1u);
      workgroupBarrier();
      if (i == 0u) { for (var k = 0u; k < LANES; k++) { y[0] += part[k]; } }
    }`;
  await run(code, [y], { LANES: 64 });
  assert.deepEqual(await floatsOf(y), [2080]);
});

// kernel.ts compiles by the async call only: the other one returns a pipeline and tells the mistake later.
test("a constant that the kernel does not have is refused by createComputePipelineAsync", async () => {
  const code = "override A = 1u; @compute @workgroup_size(A) fn main() {}";
  await assert.rejects(pipelineOf(code, { B: 2 }), (error: Error) => /B/.test(error.message));
});

test("createComputePipeline hides the same mistake until later", async () => {
  const module = device.createShaderModule({ code: "override A = 1u; @compute @workgroup_size(A) fn main() {}" });
  await takeLate();
  device.createComputePipeline({ layout: "auto", compute: { module, constants: { B: 2 } } });
  const errors = await takeLate();
  assert.equal(errors.length, 1);
  assert.ok(errors[0] instanceof GPUValidationError);
});

// Hence no early return in a kernel with barriers, and clamped indices instead.
test("a return before a barrier, by invocation, does not compile", async () => {
  const said = await wrongText(/* wgsl */ `
    var<workgroup> a : u32;
    @compute @workgroup_size(8) fn main(@builtin(local_invocation_index) i : u32) {
      if (i > 4u) { return; }
      workgroupBarrier();
      a = i;
    }`);
  assert.match(said, /uniform control flow/);
  assert.ok((await takeLate()).length > 0);
});

// Hence one shared lowest number, written in hexadecimal.
test("1.0 / 0.0 does not compile, the lowest f32 does in hexadecimal", async () => {
  assert.notEqual(await wrongText("@compute @workgroup_size(1) fn main() { var x = 1.0 / 0.0; }"), "");
  assert.equal(await wrongText("@compute @workgroup_size(1) fn main() { var x : f32 = -0x1.fffffep+127f; }"), "");
  await takeLate();
});

// Hence explicit layouts: kernel.ts reads the bindings from the text.
test("layout auto drops a binding that the kernel does not use", async () => {
  const pipeline = await pipelineOf(/* wgsl */ `
    @group(0) @binding(0) var<storage, read> unused : array<f32>;
    @group(0) @binding(1) var<storage, read_write> y : array<f32>;
    @compute @workgroup_size(1) fn main() { y[0] = 1.0; }`);
  await takeLate();
  const entries = [0, 1].map((binding) => ({ binding, resource: { buffer: storage(new Float32Array(1)) } }));
  device.createBindGroup({ layout: pipeline.getBindGroupLayout(0), entries });
  assert.equal((await takeLate()).length, 1);
});

// ---- bounds --------------------------------------------------------------------------------------------------------

// Hence canaries inside the bound range: a stray write past it leaves no trace anywhere.
test("a write past the end is dropped and not reported", async () => {
  const y = device.createBuffer({ size: 512, usage: GPUBufferUsage.STORAGE | GPUBufferUsage.COPY_SRC });
  const pipeline = await pipelineOf(/* wgsl */ `
    @group(0) @binding(0) var<storage, read_write> y : array<u32>;
    @compute @workgroup_size(1) fn main() { y[arrayLength(&y) + 3u] = 7u; y[1] = 5u; }`);
  const encoder = device.createCommandEncoder();
  const pass = encoder.beginComputePass();
  pass.setPipeline(pipeline);
  const resource = { buffer: y, offset: 0, size: 256 };
  pass.setBindGroup(
    0,
    device.createBindGroup({ layout: pipeline.getBindGroupLayout(0), entries: [{ binding: 0, resource }] }),
  );
  pass.dispatchWorkgroups(1);
  pass.end();
  device.queue.submit([encoder.finish()]);
  const words = await wordsOf(y);
  assert.equal(words[1], 5);
  assert.ok(
    words.slice(64).every((word) => word === 0),
    "the bytes behind the bound range are untouched",
  );
  assert.deepEqual(await takeLate(), []);
});

// commands.ts keeps all uniforms of a step in one buffer and binds them by offset.
test("one uniform buffer serves many dispatches by dynamic offsets", async () => {
  const step = device.limits.minUniformBufferOffsetAlignment;
  assert.ok(step <= 256, `alignment is ${step}`);
  const layout = device.createBindGroupLayout({
    entries: [
      { binding: 0, visibility: GPUShaderStage.COMPUTE, buffer: { type: "uniform", hasDynamicOffset: true } },
      { binding: 1, visibility: GPUShaderStage.COMPUTE, buffer: { type: "storage" } },
    ],
  });
  const code = /* wgsl */ `
    struct Params { at : u32, value : f32 }
    @group(0) @binding(0) var<uniform> params : Params;
    @group(0) @binding(1) var<storage, read_write> y : array<f32>;
    @compute @workgroup_size(1) fn main() { y[params.at] = params.value; }`;
  const pipeline = await device.createComputePipelineAsync({
    layout: device.createPipelineLayout({ bindGroupLayouts: [layout] }),
    compute: { module: device.createShaderModule({ code }) },
  });
  const uniforms = device.createBuffer({ size: 768, usage: GPUBufferUsage.UNIFORM | GPUBufferUsage.COPY_DST });
  const y = storage(new Float32Array(3));
  const group = device.createBindGroup({
    layout,
    entries: [
      { binding: 0, resource: { buffer: uniforms, size: 16 } },
      { binding: 1, resource: { buffer: y } },
    ],
  });
  const encoder = device.createCommandEncoder();
  const pass = encoder.beginComputePass();
  pass.setPipeline(pipeline);
  for (let i = 0; i < 3; i++) {
    const params = new DataView(new ArrayBuffer(8));
    params.setUint32(0, i, true);
    params.setFloat32(4, 10 + i, true);
    device.queue.writeBuffer(uniforms, 256 * i, params.buffer);
    pass.setBindGroup(0, group, [256 * i]);
    pass.dispatchWorkgroups(1);
  }
  pass.end();
  device.queue.submit([encoder.finish()]);
  assert.deepEqual(await floatsOf(y), [10, 11, 12]);
});

// ---- limits and features -------------------------------------------------------------------------------------------

// Kernels are written for what every device has.
test("a device asked for nothing has 8 storage buffers a stage and 256 invocations a workgroup", async () => {
  const plain = await (await gpu.requestAdapter())!.requestDevice();
  assert.ok(plain.limits.maxStorageBuffersPerShaderStage >= 8);
  assert.equal(plain.limits.maxComputeInvocationsPerWorkgroup, 256);
  assert.equal(plain.limits.maxStorageBufferBindingSize, 128 * 2 ** 20);
  plain.destroy();
});

test("an adapter gives one device and is spent", async () => {
  const once = (await gpu.requestAdapter())!;
  (await once.requestDevice()).destroy();
  const again = await once.requestDevice().catch((error: unknown) => error);
  assert.ok(again instanceof Error || (await (again as GPUDevice).lost).reason === "unknown");
});

// Kernels for subgroups take the width from the adapter.
test("a kernel sees the subgroup width that the adapter names", async (t) => {
  if (!device.features.has("subgroups")) return t.skip("this adapter has no subgroups");
  const { subgroupMinSize, subgroupMaxSize } = adapter.info;
  const y = storage(new Uint32Array(2));
  await run(
    /* wgsl */ `
    enable subgroups;
    @group(0) @binding(0) var<storage, read_write> y : array<u32>;
    @compute @workgroup_size(64) fn main(
      @builtin(local_invocation_index) i : u32, @builtin(subgroup_size) width : u32, @builtin(subgroup_invocation_id) lane : u32,
    ) {
      let last = subgroupMax(lane) + 1u;
      if (i == 0u) { y[0] = width; y[1] = last; }
    }`,
    [y],
  );
  const [width, lanes] = await wordsOf(y);
  assert.ok(
    width! >= subgroupMinSize && width! <= subgroupMaxSize,
    `${width} is not in ${subgroupMinSize}..${subgroupMaxSize}`,
  );
  assert.equal(lanes, width);
});

// buffers.ts checks sizes itself.
test("a buffer over the limit comes back as an object, and the error arrives late", async () => {
  await takeLate();
  const tooLarge = device.createBuffer({ size: device.limits.maxBufferSize + 4, usage: GPUBufferUsage.STORAGE });
  assert.equal(typeof tooLarge, "object");
  assert.ok((await takeLate()).length > 0);
});

// ---- life and death ------------------------------------------------------------------------------------------------

// Tests open and close devices in one process.
test("create, destroy, create again", async () => {
  for (let round = 0; round < 3; round++) {
    const other = await (await gpu.requestAdapter())!.requestDevice();
    const x = storage(new Float32Array([round]), other);
    assert.deepEqual([...new Float32Array(await bytesOf(x, other))], [round]);
    other.destroy();
    assert.equal((await other.lost).reason, "destroyed");
  }
});

// The command line does not call process.exit.
test("a process with an open device ends by itself", () => {
  const { status, stdout, stderr } = inFreshNode(`console.log("opened", device.limits.maxBufferSize > 0);`);
  assert.equal(stdout.trim(), "opened true", stderr);
  assert.equal(status, 0, stderr);
});

// close() waits for reads before it destroys the device.
test("destroying a device under a pending mapAsync rejects the promise", () => {
  const { status, stdout, stderr } = inFreshNode(`
    const back = device.createBuffer({ size: 4, usage: GPUBufferUsage.MAP_READ | GPUBufferUsage.COPY_DST });
    const read = back.mapAsync(GPUMapMode.READ);
    device.destroy();
    console.log(await read.then(() => "mapped", (error) => error.name));`);
  assert.equal(stdout.trim(), "AbortError", stderr);
  assert.equal(status, 0, stderr);
});

// node.ts keeps what create() returned in module scope. Here the same life is led by the book, with forced collections.
test("a kept instance survives garbage collection", () => {
  const { status, stdout, stderr } = inFreshNode(
    `for (let i = 0; i < 5; i++) { gc(); await new Promise((resolve) => setTimeout(resolve, 20)); }
     const buffer = device.createBuffer({ size: 16, usage: GPUBufferUsage.COPY_DST });
     device.queue.writeBuffer(buffer, 0, new Uint32Array(4));
     await device.queue.onSubmittedWorkDone();
     console.log("alive");`,
    "--expose-gc",
  );
  assert.equal(stdout.trim(), "alive", stderr);
  assert.equal(status, 0, stderr);
});

test("no error was left over", async () => assert.deepEqual(await takeLate(), []));
