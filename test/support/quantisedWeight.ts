/** Weights that a format holds exactly, so that a product of them has one right answer. */
import type { QuantisedFormat } from "../../src/tensor/index.ts";
import type { InputSpec } from "./opCase.ts";

/** (N, K) about as large as 1: every group has its own scale, a bf16 of either sign, and its first integer is the one that fixes it. */
export function exactWeight(N: number, K: number, { bits, group }: QuantisedFormat): InputSpec {
  const L = 2 ** (bits - 1);
  return {
    shape: [N, K],
    draw: (random, i) => {
      const [n, k] = [Math.floor(i / K), i % K];
      const scale = ([1, -0.75, 0.3125, -0.8515625][(n + 3 * Math.floor(k / group)) % 4]! * 2) / L;
      const q = k % group === 0 ? -L : random.int(2 * L) - L;
      return q * scale;
    },
  };
}
