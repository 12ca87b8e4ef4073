import fc from "fast-check";
import { attentionComposed } from "../../src/tensor/index.ts";
import { sizes } from "../support/opCase.ts";
import { attentionCase } from "./attention.ts";

export default attentionCase("attentionComposed", (q, k, v) => attentionComposed(q, k, v), {
  params: fc.record({
    B: fc.integer({ min: 1, max: 2 }),
    Tq: sizes(20),
    Tk: sizes(20),
    H: fc.integer({ min: 1, max: 3 }),
    D: fc.constantFrom(4, 8, 32),
    P: fc.constant(0),
    ragged: fc.constant(false),
  }),
  bench: [{ B: 16, Tq: 134, Tk: 134, H: 4, D: 32, P: 0, ragged: false }],
});
