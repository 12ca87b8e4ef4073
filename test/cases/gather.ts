import fc from "fast-check";
import { gather, scatterRows } from "../../src/tensor/index.ts";
import { defineCase, filled, sizes } from "../support/opCase.ts";

const params = fc.record({ N: sizes(300), M: sizes(), C: sizes(70) });

export default [
  defineCase({
    name: "gather",
    params,
    always: [{ N: 1, M: 9, C: 1 }],
    inputs: ({ N, M, C }) => ({ x: { shape: [N, C] }, index: { shape: [M], dtype: "u32", draw: (random) => random.int(N) } }),
    reference: ({ x, index }, { M, C }) => ({ y: filled([M, C], (i) => x!.data[index!.data[Math.floor(i / C)]! * C + (i % C)]!) }),
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
    inputs: ({ N, M, C }) => ({ x: { shape: [M, C] }, index: { shape: [M], dtype: "u32", draw: (random) => random.int(N) } }),
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
