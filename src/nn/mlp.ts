import { gelu, geluErf, siluMul, type Tensor } from "../tensor/index.ts";
import { linear } from "./linear.ts";
import type { Section } from "./parameters.ts";

/** SwiGLU: down(silu(gate(x)) · up(x)), without biases. Source: Shazeer 2020; LLaMA's and LLaDA's MLP. */
export const gatedMlp = (p: Section, x: Tensor): Tensor =>
  linear(
    siluMul(linear(x, p.matrix("gate_proj.weight")), linear(x, p.matrix("up_proj.weight"))),
    p.matrix("down_proj.weight"),
  );

/** fc2(gelu(fc1(x))) with the tanh form of GELU, as SigLIP has it. */
export const tanhMlp = (p: Section, x: Tensor): Tensor =>
  linear(gelu(linear(x, p.matrix("fc1.weight"), p("fc1.bias"))), p.matrix("fc2.weight"), p("fc2.bias"));

/** LLaVA's mlp2x_gelu projector: two linear layers with the exact (erf) GELU between them. */
export const erfMlp = (p: Section, x: Tensor): Tensor =>
  linear(geluErf(linear(x, p.matrix("0.weight"), p("0.bias"))), p.matrix("2.weight"), p("2.bias"));
