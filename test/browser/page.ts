/** What the browser test runs inside the page. `run` is called once; what it returns goes back to the test as JSON. */
import { kernels } from "virtual:kernels";
import { openDevice } from "../../src/tensor/index.ts";
import { type NanoPass, nanoPass } from "./nanoPass.ts";

export async function run(): Promise<{ adapter: string; pass: NanoPass }> {
  const device = await openDevice({ gpu: navigator.gpu, kernels: Object.fromEntries(kernels) });
  const pass = await nanoPass(device);
  const { vendor, architecture } = device.info;
  await device.close();
  return { adapter: `${vendor} ${architecture}`, pass };
}
