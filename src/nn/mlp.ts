import { gelu, geluErf, reshape, scope, siluMul, sizeOf, slice, type Tensor } from "../tensor/index.ts";
import { joined, linear } from "./linear.ts";
import type { Section } from "./parameters.ts";
import { rowRanges } from "./weight.ts";

/** SwiGLU: down(silu(gate(x)) · up(x)), without biases. Source: Shazeer 2020; LLaMA's and LLaDA's MLP. */
export const gatedMlp = (p: Section, x: Tensor): Tensor =>
  byRows(x, p.matrix("gate_proj.weight").shape[0], (rows) =>
    linear(
      siluMul(linear(rows, p.matrix("gate_proj.weight")), linear(rows, p.matrix("up_proj.weight"))),
      p.matrix("down_proj.weight"),
    ),
  );

/** fc2(gelu(fc1(x))) with the tanh form of GELU, as SigLIP has it. */
export const tanhMlp = (p: Section, x: Tensor): Tensor =>
  byRows(x, p.matrix("fc1.weight").shape[0], (rows) =>
    linear(gelu(linear(rows, p.matrix("fc1.weight"), p("fc1.bias"))), p.matrix("fc2.weight"), p("fc2.bias")),
  );

/** LLaVA's mlp2x_gelu projector: two linear layers with the exact (erf) GELU between them. */
export const erfMlp = (p: Section, x: Tensor): Tensor =>
  byRows(x, p.matrix("0.weight").shape[0], (rows) =>
    linear(geluErf(linear(rows, p.matrix("0.weight"), p("0.bias"))), p.matrix("2.weight"), p("2.bias")),
  );

/**
 * `mlp` of x (…, in), which has `inner` numbers for each row on its way, in as few parts of x's rows as keep them within one
 * binding: they are the widest that a model has, 12,288 a token in LLaDA-8B, where a tiled picture is thousands of tokens.
 */
function byRows(x: Tensor, inner: number, mlp: (rows: Tensor) => Tensor): Tensor {
  const { device } = x;
  const lead = x.shape.slice(0, -1);
  const N = sizeOf(lead);
  const ranges = rowRanges(N, inner, "f32", device.maxBindingBytes, "inner activations of an MLP");
  if (ranges.length === 1) return mlp(x);
  const flat = reshape(x, [N, x.shape.at(-1)!]);
  const parts = ranges.map(({ start, end }) => {
    const part = () => mlp(slice(flat, 0, start, end));
    return device.gradEnabled ? part() : scope(device, part);
  });
  const y = joined(parts, 0);
  return reshape(y, [...lead, y.shape.at(-1)!]);
}
