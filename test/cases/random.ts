import fc from "fast-check";
import { normal, randomBits, uniform } from "../../src/tensor/index.ts";
import { philox } from "../../src/tensor/philox.ts";
import { defineCase, filled, sizes } from "../support/opCase.ts";

type Sizes = Readonly<Record<"N" | "C" | "seed" | "counter", number>>;

/** Words of a block, and element i as a uniform, from src/tensor/philox.ts. */
const high = (value: number): number => Math.floor(value / 2 ** 32);
const word = (i: number, { seed, counter }: Sizes): number =>
  philox([Math.floor(i / 4), 0, counter >>> 0, high(counter)], [seed >>> 0, high(seed)])[i % 4]!;
const unit = (i: number, sizes: Sizes): number => Math.floor(word(i, sizes) / 256) * 2 ** -24;

const common = {
  params: fc.record({
    N: sizes(),
    C: sizes(),
    seed: fc.nat({ max: 2 ** 53 - 1 }),
    counter: fc.nat({ max: 2 ** 53 - 1 }),
  }),
  always: [
    { N: 1, C: 1, seed: 0, counter: 0 },
    { N: 129, C: 67, seed: 2 ** 53 - 1, counter: 2 ** 32 + 5 },
  ],
  // Only to give the device.
  inputs: () => ({ x: { shape: [1] } }),
  bytes: ({ N, C }: Sizes) => 4 * N * C,
  bench: [{ N: 4096, C: 1024, seed: 1, counter: 1 }],
};

export default [
  defineCase({
    ...common,
    name: "randomBits, uniform",
    reference: (_, sizes) => ({
      bits: filled([sizes.N, sizes.C], (i) => word(i, sizes)),
      uniform: filled([sizes.N, sizes.C], (i) => unit(i, sizes)),
    }),
    run: ({ x }, { N, C, seed, counter }) => ({
      bits: randomBits(x!.device, [N, C], seed, counter),
      uniform: uniform(x!.device, [N, C], seed, counter),
    }),
    tolerance: 0,
    flops: ({ N, C }) => 25 * N * C,
  }),
  defineCase({
    ...common,
    name: "normal",
    // With elements whose first uniform is nearly 0.
    always: [...common.always, { N: 512, C: 64, seed: 1, counter: 1 }],
    reference: (_, sizes) => ({
      normal: filled([sizes.N, sizes.C], (i) => {
        const radius = Math.sqrt(-2 * Math.log(1 - unit(i - (i % 2), sizes)));
        const angle = 2 * Math.PI * unit(i - (i % 2) + 1, sizes);
        return radius * (i % 2 ? Math.sin(angle) : Math.cos(angle));
      }),
    }),
    run: ({ x }, { N, C, seed, counter }) => ({ normal: normal(x!.device, [N, C], seed, counter) }),
    tolerance: 2e-6,
    flops: ({ N, C }) => 35 * N * C,
  }),
];

export const mutants = [
  { kernel: "random", find: "(carry >> 16u)", replace: "0u", why: "carry of the product is lost" },
  { kernel: "random", find: "round < 10", replace: "round < 9", why: "Philox with nine rounds" },
  { kernel: "random", find: "words >> vec4u(8)", replace: "words >> vec4u(9)", why: "uniforms in [0, 1/2)" },
  { kernel: "random", find: "u < vec2f(0.02)", replace: "u < vec2f(0.9)", why: "the series far from 0" },
  { kernel: "random", find: ".xzyw", replace: "", why: "pairs out of order" },
];
