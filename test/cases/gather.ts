import fc from "fast-check";
import { empty, gather, scatterRows, zeros } from "../../src/tensor/index.ts";
import { contiguous, run } from "../../src/tensor/run.ts";
import { defineCase, filled, type Mutant, sizes } from "../support/opCase.ts";

const params = fc.record({ N: sizes(300), M: sizes(), C: sizes(70) });

/** Both kernels that link positions into chains, on any device: they must agree with each other and with plain loops. */
const linked = ["linkRows", "linkRowsSerial"].map((kernel) =>
  defineCase({
    name: kernel,
    params,
    inputs: ({ N, M }) => ({ index: { shape: [M], dtype: "u32", draw: (random) => random.int(N) } }),
    reference: ({ index }, { N, M }) => {
      const head = filled([N], () => 0);
      const next = filled([M], () => 0);
      index!.data.forEach((n, m) => {
        next.data[m] = head.data[n]!;
        head.data[n] = m + 1;
      });
      return { head, next };
    },
    run: ({ index }, { N, M }) => {
      const plain = contiguous(index!);
      const head = zeros(plain.device, [N], "u32");
      const next = empty(plain.device, [M], "u32");
      const launch =
        kernel === "linkRows" ? { workgroups: Math.ceil(N / 64), overrides: { LANES: 64 } } : { workgroups: 1 };
      run(kernel, { index: plain, head, next }, { M, N }, launch);
      return { head, next };
    },
    tolerance: 0,
    flops: () => 0,
    bytes: ({ N, M }) => 4 * (N + 2 * M),
    bench: [{ N: 1024, M: 1536, C: 1 }],
  }),
);

export default [
  ...linked,
  defineCase({
    name: "gather",
    params,
    always: [{ N: 1, M: 9, C: 1 }],
    inputs: ({ N, M, C }) => ({
      x: { shape: [N, C] },
      index: { shape: [M], dtype: "u32", draw: (random) => random.int(N) },
    }),
    reference: ({ x, index }, { M, C }) => ({
      y: filled([M, C], (i) => x!.data[index!.data[Math.floor(i / C)]! * C + (i % C)]!),
    }),
    run: ({ x, index }) => ({ y: gather(x!, index!) }),
    differentiable: ["x"],
    tolerance: 0,
    flops: () => 0,
    bytes: ({ M, C }) => 8 * M * C,
    bench: [{ N: 2688, M: 1536, C: 128 }],
  }),
  defineCase({
    name: "scatterRows",
    params,
    inputs: ({ N, M, C }) => ({
      x: { shape: [M, C] },
      index: { shape: [M], dtype: "u32", draw: (random) => random.int(N) },
    }),
    reference: ({ x, index }, { N, C }) => {
      const y = filled([N, C], () => 0);
      x!.data.forEach((value, i) => (y.data[index!.data[Math.floor(i / C)]! * C + (i % C)]! += value));
      return { y };
    },
    run: ({ x, index }, { N }) => ({ y: scatterRows(x!, index!, N) }),
    differentiable: ["x"],
    tolerance: 1e-5,
    flops: ({ M, C }) => M * C,
    bytes: ({ N, M, C }) => 4 * (N + M) * C,
    bench: [{ N: 2688, M: 1536, C: 128 }],
  }),
];

/** Planted bugs that the checks above must catch. */
export const mutants: readonly Mutant[] = [
  {
    kernel: "linkRows",
    find: "last = m + 1u;",
    replace: "last = m;",
    why: "positions are counted from 0, which means the end",
  },
  {
    kernel: "gatherRows",
    find: "n += groups.x",
    replace: "n += groups.x + 1u",
    why: "rows are left out where a workgroup has several",
  },
  {
    kernel: "linkRowsSerial",
    find: "m < params.M",
    replace: "m + 1u < params.M",
    why: "the last position is not linked",
  },
  { kernel: "sumChains", find: "m = next[m - 1u]", replace: "m = 0u", why: "only the head of the chain is added" },
];
