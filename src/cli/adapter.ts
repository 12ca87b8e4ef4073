/** The first line of every command: which adapter, and how fast it multiplies today. */
import { type Device, isTuned, matmul, noGrad, scope, tensor } from "../tensor/index.ts";

/** GFLOP/s of a square f32 product: the best of a few, after one to compile. */
export async function measureMatmul(device: Device, size = 512, tries = 3): Promise<number> {
  return noGrad(device, () =>
    scope(device, async () => {
      const values = Float32Array.from({ length: size * size }, (_, i) => Math.sin(i));
      const a = tensor(device, values, [size, size]);
      const b = tensor(device, values, [size, size]);
      matmul(a, b);
      await device.flush();
      let best = Infinity;
      for (let i = 0; i < tries; i++) {
        const start = performance.now();
        scope(device, () => void matmul(a, b));
        await device.flush();
        best = Math.min(best, performance.now() - start);
      }
      return (2 * size ** 3) / best / 1e6;
    }),
  );
}

/** The adapter's name and its speed today, in one line; and whether measuring its kernels might make it faster. */
export async function adapterLine(device: Device): Promise<string> {
  const { description, vendor, architecture, device: name } = device.info;
  const title = description || [vendor, architecture, name].filter(Boolean).join(" ") || "unnamed adapter";
  const speed = await measureMatmul(device);
  const place = device.isSoftware ? ", on the processor" : "";
  const hint = isTuned(device.info) ? "" : " (not tuned: npm run tune)";
  return `${title}${place}: ${speed.toFixed(0)} GFLOP/s in a 512³ f32 matrix product${hint}`;
}
