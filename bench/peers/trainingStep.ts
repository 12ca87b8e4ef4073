/**
 * The training step that each library takes: sizes, parameters, data. Each worker writes the model itself:
 *
 *   x = tokens[ids] + positions
 *   per layer   x += attention(q, k, v of layerNorm(x)) · o        bidirectional, scale 1/√D
 *               x += gelu(layerNorm(x) · up) · down                tanh form of GELU
 *   loss = mean over all tokens of −log softmax(layerNorm(x) · head)[target]
 *   Adam (β 0.9 and 0.999, ε 1e-8), no clipping, no decay
 *
 * Matrices are (in, out), without bias; layerNorm has gain and bias, and ε 1e-6.
 */
import { randomStream } from "../../src/tensor/index.ts";
import { elements } from "../../test/support/opCase.ts";
import type { Input } from "./rows.ts";
import { PARAMETER } from "./worker.ts";

export const trainingSizes = {
  layers: 4,
  width: 256,
  heads: 4,
  length: 128,
  batch: 8,
  vocabulary: 512,
  learningRate: 1e-3,
} as const;

function parameterShapes(): [string, readonly number[]][] {
  const { layers, width: C, length: T, vocabulary: V } = trainingSizes;
  const norm = (name: string): [string, readonly number[]][] => [
    [`${name}.gain`, [C]],
    [`${name}.bias`, [C]],
  ];
  const layer = (i: number): [string, readonly number[]][] => [
    ...norm(`${i}.attentionNorm`),
    ...["q", "k", "v", "o"].map((name): [string, readonly number[]] => [`${i}.${name}`, [C, C]]),
    ...norm(`${i}.mlpNorm`),
    [`${i}.up`, [C, 4 * C]],
    [`${i}.down`, [4 * C, C]],
  ];
  return [
    ["tokens", [V, C]],
    ["positions", [T, C]],
    ...Array.from({ length: layers }, (_, i) => layer(i)).flat(),
    ...norm("norm"),
    ["head", [C, V]],
  ];
}

/** Gains 1, biases 0, tables with standard deviation 0.02, matrices with 1/√in. */
export function trainingInputs(seed: number): Readonly<Record<string, Input>> {
  const { length, batch, vocabulary } = trainingSizes;
  const ids = (salt: number): Input => {
    const random = randomStream(seed, salt);
    const data = Uint32Array.from({ length: batch * length }, () => random.int(vocabulary));
    return { shape: [batch, length], dtype: "u32", data };
  };
  const parameters = parameterShapes().map(([name, shape], i): [string, Input] => {
    const random = randomStream(seed, 10 + i);
    const scale = name === "tokens" || name === "positions" ? 0.02 : shape[0]! ** -0.5;
    const start = name.endsWith("gain") ? () => 1 : name.endsWith("bias") ? () => 0 : () => scale * random.normal();
    return [PARAMETER + name, { shape, dtype: "f32", data: Float32Array.from({ length: elements(shape) }, start) }];
  });
  return { ids: ids(1), targets: ids(2), ...Object.fromEntries(parameters) };
}
