/**
 * What the browser test runs inside the page. `run` is called once; what it returns goes back to the test as JSON.
 * For now: one kernel over three numbers, by plain WebGPU.
 */
import { kernels } from "virtual:kernels";

export async function run(): Promise<unknown> {
  const adapter = await navigator.gpu?.requestAdapter();
  if (!adapter) throw new Error("The page sees no WebGPU adapter.");
  const device = await adapter.requestDevice();
  const code = /* wgsl */ `
    @group(0) @binding(0) var<storage, read_write> y : array<f32>;
    @compute @workgroup_size(1) fn main(@builtin(global_invocation_id) at : vec3u) { y[at.x] *= y[at.x]; }`;
  const pipeline = await device.createComputePipelineAsync({
    layout: "auto",
    compute: { module: device.createShaderModule({ code }) },
  });
  const usage = GPUBufferUsage.STORAGE | GPUBufferUsage.COPY_SRC | GPUBufferUsage.COPY_DST;
  const y = device.createBuffer({ size: 12, usage });
  const back = device.createBuffer({ size: 12, usage: GPUBufferUsage.MAP_READ | GPUBufferUsage.COPY_DST });
  device.queue.writeBuffer(y, 0, new Float32Array([1, 2, 3]));

  const encoder = device.createCommandEncoder();
  const pass = encoder.beginComputePass();
  pass.setPipeline(pipeline);
  const entries = [{ binding: 0, resource: { buffer: y } }];
  pass.setBindGroup(0, device.createBindGroup({ layout: pipeline.getBindGroupLayout(0), entries }));
  pass.dispatchWorkgroups(3);
  pass.end();
  encoder.copyBufferToBuffer(y, 0, back, 0, 12);
  device.queue.submit([encoder.finish()]);
  await back.mapAsync(GPUMapMode.READ);
  const squares = [...new Float32Array(back.getMappedRange())];
  device.destroy();
  return { adapter: `${adapter.info.vendor} ${adapter.info.architecture}`, squares, kernels: [...kernels.keys()] };
}
