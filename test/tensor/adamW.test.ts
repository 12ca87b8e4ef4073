/** adamW, gradNorm and clipScale against ten steps of PyTorch (test/goldens/adamW.py). */
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import { adamW, clipScale, gradNorm, openDevice, scope, type Tensor, tensor, zeros } from "../../src/tensor/index.ts";

type Values = Readonly<Record<string, number[]>>;
interface Golden {
  readonly options: { lr: number; betas: [number, number]; eps: number; weight_decay: number; max_norm: number };
  readonly shapes: Readonly<Record<string, number[]>>;
  readonly start: Values;
  readonly gradients: readonly Values[];
  readonly f64: Values;
}

test("ten steps of AdamW with clipping equal PyTorch's", async () => {
  const { options, shapes, start, gradients, f64 } = JSON.parse(
    readFileSync(new URL("../goldens/adamW.json", import.meta.url), "utf8"),
  ) as Golden;
  const device = await openDevice();
  await scope(device, async () => {
    const names = Object.keys(shapes);
    const states = names.map((name) => ({
      parameter: tensor(device, start[name]!, shapes[name]!),
      m: zeros(device, shapes[name]!),
      v: zeros(device, shapes[name]!),
    }));
    const norms: Tensor[] = [];
    gradients.forEach((step, index) => {
      const grads = names.map((name) => tensor(device, step[name]!, shapes[name]!));
      const norm = gradNorm(grads);
      norms.push(norm);
      const scale = clipScale(norm, options.max_norm);
      states.forEach((state, k) =>
        adamW(
          { ...state, gradient: grads[k]!, scale },
          {
            step: index + 1,
            learningRate: options.lr,
            beta1: options.betas[0],
            beta2: options.betas[1],
            epsilon: options.eps,
            weightDecay: options.weight_decay,
          },
        ),
      );
    });
    // PyTorch clips by maxNorm/(norm + 1e-6): AdamW is blind to the scale of all gradients, so its trace is below 1e-6.
    const equal = (name: string, got: ArrayLike<number>, want: readonly number[]) => {
      want.forEach((value, i) =>
        assert.ok(
          Math.abs(got[i]! - value) <= 1e-6 * (1 + Math.abs(value)),
          `${name}[${i}] is ${got[i]}, PyTorch has ${value}`,
        ),
      );
    };
    for (const [k, name] of names.entries()) equal(name, await states[k]!.parameter.read(), f64[name]!);
    for (const [step, norm] of norms.entries())
      equal(`norm of step ${step}`, [await norm.item()], [f64["norms"]![step]!]);
  });
  await device.close();
});
