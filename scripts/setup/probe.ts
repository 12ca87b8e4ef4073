/**
 * Asks Dawn for an adapter and lets it multiply 6 by 7. Run by ./driver.mjs as a process of its own.
 * The last line on stdout is the answer: { ok: true, adapter } or { ok: false, why }.
 */
import { prepareDriver } from "../../src/tensor/softwareDriver.ts";

type Answer = { ok: true; adapter: string } | { ok: false; why: string };

const WGSL = /* wgsl */ `
@group(0) @binding(0) var<storage, read_write> y : array<u32>;
@compute @workgroup_size(1) fn main() { y[0] *= 7u; }
`;

const keptAlive: unknown[] = []; // Dawn crashes when its instance is collected while in use

async function probe(): Promise<Answer> {
  prepareDriver();
  const { create, globals } = await import("webgpu");
  Object.assign(globalThis, globals);
  const gpu = create([]);
  keptAlive.push(gpu);

  const adapter = await gpu.requestAdapter();
  if (!adapter) return { ok: false, why: "Dawn offers no adapter." };
  const { vendor, architecture, description } = adapter.info;
  const name = description || [vendor, architecture].filter(Boolean).join(" ") || "an unnamed adapter";

  const device = await adapter.requestDevice();
  const y = device.createBuffer({
    size: 4,
    usage: GPUBufferUsage.STORAGE | GPUBufferUsage.COPY_SRC | GPUBufferUsage.COPY_DST,
  });
  const back = device.createBuffer({ size: 4, usage: GPUBufferUsage.MAP_READ | GPUBufferUsage.COPY_DST });
  device.queue.writeBuffer(y, 0, new Uint32Array([6]));
  const pipeline = await device.createComputePipelineAsync({
    layout: "auto",
    compute: { module: device.createShaderModule({ code: WGSL }) },
  });
  const encoder = device.createCommandEncoder();
  const pass = encoder.beginComputePass();
  pass.setPipeline(pipeline);
  pass.setBindGroup(
    0,
    device.createBindGroup({ layout: pipeline.getBindGroupLayout(0), entries: [{ binding: 0, resource: y }] }),
  );
  pass.dispatchWorkgroups(1);
  pass.end();
  encoder.copyBufferToBuffer(y, 0, back, 0, 4);
  device.queue.submit([encoder.finish()]);
  await back.mapAsync(GPUMapMode.READ);
  const product = new Uint32Array(back.getMappedRange())[0];
  device.destroy();
  return product === 42
    ? { ok: true, adapter: name }
    : { ok: false, why: `${name} is there, but computes 6 × 7 = ${product}.` };
}

const answer: Answer = await probe().catch((error: unknown) => ({ ok: false, why: String(error) }));
console.log(JSON.stringify(answer));
