/** An MLP gives the same, values and gradients, whether its inner activations fit a binding or come row by row in parts. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { gatedMlp } from "../../src/nn/mlp.ts";
import { createParameters, disposeParameters, section } from "../../src/nn/parameters.ts";
import { backward, type Device, noGrad, openDevice, scope, sum, type Tensor, tensor } from "../../src/tensor/index.ts";

const [ROWS, WIDTH, INNER] = [2 * 70, 16, 64];
const wave = (size: number, rate: number): Float32Array =>
  Float32Array.from({ length: size }, (_, i) => Math.sin(rate * i));

async function withMlp<R>(
  maxBindingBytes: number,
  body: (device: Device, mlp: (x: Tensor) => Tensor, weight: Tensor) => Promise<R>,
): Promise<R> {
  const device = await openDevice({ maxBindingBytes });
  const specs = [
    { name: "gate_proj.weight", shape: [INNER, WIDTH] },
    { name: "up_proj.weight", shape: [INNER, WIDTH] },
    { name: "down_proj.weight", shape: [WIDTH, INNER] },
  ];
  const parameters = createParameters(device, specs, ({ name }) => wave(INNER * WIDTH, 0.1 * name.length));
  try {
    return await body(device, (x) => gatedMlp(section(parameters, ""), x), parameters.get("up_proj.weight")!);
  } finally {
    disposeParameters(parameters);
    await device.close();
  }
}

const input = (device: Device): Tensor => tensor(device, wave(ROWS * WIDTH, 0.37), [2, ROWS / 2, WIDTH]);

/** Values, gradients, and the most bytes alive besides what was there. */
const run = (limit: number) =>
  withMlp(limit, (device, mlp, up) =>
    scope(device, async () => {
      const used = () => scope(device, async () => (await mlp(input(device)).read()) as Float32Array);
      device.resetPeak();
      const before = device.memory().liveBytes;
      const values = await noGrad(device, used);
      const peak = device.memory().peakBytes - before;
      const x = input(device);
      x.requiresGrad = true;
      backward(sum(mlp(x)));
      return { values, peak, dx: await x.grad!.read(), dUp: await up.grad!.read() };
    }),
  );

test("in parts of rows it is what it is whole", async () => {
  const whole = await run(2 ** 27);
  // 140 rows of 64 numbers are 35,840 bytes; x and the output take 8,960 each.
  const parts = await run(10_000);
  assert.deepEqual(parts.values, whole.values);
  for (const name of ["dx", "dUp"] as const)
    whole[name].forEach((want, i) => {
      assert.ok(Math.abs(parts[name][i]! - want) <= 1e-5 * (1 + Math.abs(want)), `${name}[${i}]`);
    });
  assert.ok(parts.peak < whole.peak / 2, `${parts.peak} bytes in parts, ${whole.peak} whole`);
});
