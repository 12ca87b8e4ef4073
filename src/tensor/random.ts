/**
 * random: numbers that are a function of (seed, counter, index) and of nothing else, by Philox4x32-10 (see philox.ts).
 *
 * Element i of a tensor is word i mod 4 of philox((⌊i/4⌋, 0, counter), seed). A step draws with its own number as counter,
 * so it can be repeated alone, on any device, in any order. No derivative.
 */
import type { Device } from "./device.ts";
import { ShapeError } from "./errors.ts";
import { run, spread } from "./run.ts";
import type { Shape } from "./shape.ts";
import { empty, type Tensor } from "./tensor.ts";

const forms = { bits: 0, uniform: 1, normal: 2 } as const;

function draw(form: keyof typeof forms, device: Device, shape: Shape, seed: number, counter: number): Tensor {
  for (const [name, value] of Object.entries({ seed, counter }))
    if (!Number.isSafeInteger(value) || value < 0)
      throw new ShapeError(`random: ${name} is an integer in [0, 2^53); it is ${value}.`, { name, value });
  const y = empty(device, shape, form === "bits" ? "u32" : "f32", `random ${form}`);
  const count = Math.ceil(y.size / 4);
  const { workgroups, overrides, steps } = spread(device, count);
  const halves = (value: number): [number, number] => [value % 2 ** 32, Math.floor(value / 2 ** 32)];
  const [seedLow, seedHigh] = halves(seed);
  const [counterLow, counterHigh] = halves(counter);
  const params = { count, steps, counterLow, counterHigh, seedLow, seedHigh };
  run("random", { y }, params, { workgroups, overrides: { ...overrides, FORM: forms[form] } }, `random ${form}`);
  return y;
}

/** The random words themselves, u32. */
export const randomBits = (device: Device, shape: Shape, seed: number, counter: number): Tensor =>
  draw("bits", device, shape, seed, counter);
/** f32 in [0, 1), a multiple of 2^-24. PyTorch: torch.rand. */
export const uniform = (device: Device, shape: Shape, seed: number, counter: number): Tensor =>
  draw("uniform", device, shape, seed, counter);
/** f32 from the standard normal distribution; the largest magnitude is 5.8. PyTorch: torch.randn. */
export const normal = (device: Device, shape: Shape, seed: number, counter: number): Tensor =>
  draw("normal", device, shape, seed, counter);
