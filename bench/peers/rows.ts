/**
 * The work that is compared: for each row its inputs (from a seed), its answer in f64, and what it is called.
 *
 * Inputs and answers are those of test/cases where a case is fast enough at these sizes. Libraries get the inputs as files
 * of raw little-endian numbers, so all of them start from the same bits.
 */
import { randomStream } from "../../src/tensor/index.ts";
import { loadCases } from "../../test/support/cases.ts";
import { drawInputs, elements, filled, type Values } from "../../test/support/opCase.ts";
import { trainingInputs, trainingSizes } from "./trainingStep.ts";

const WORKS = [
  "matmul",
  "softmax",
  "layerNorm",
  "attention",
  "add",
  "gelu",
  "embedding",
  "crossEntropy",
  "sum",
  "chain",
  "trainingStep",
] as const;
/** What a library has to be able to do; each worker has a table with an entry for each. */
export type Work = (typeof WORKS)[number];

export interface Input {
  readonly shape: readonly number[];
  readonly dtype: "f32" | "u32";
  readonly data: ArrayLike<number>;
}

export interface Row {
  /** As the table prints it. */
  readonly name: string;
  readonly work: Work;
  readonly params: Readonly<Record<string, number>>;
  /** Multiply-adds count two. 0 where the row is not about arithmetic. */
  readonly flops: number;
  /** Draws the inputs, and works out the answer in f64; for the training step no answer, its losses are compared. */
  readonly draw: () => Promise<{ inputs: Readonly<Record<string, Input>>; answer?: Float64Array }>;
}

const SEED = 1;

const normal = (shape: readonly number[], salt: number): Values => {
  const random = randomStream(SEED, salt);
  return filled(shape, () => Math.fround(random.normal()));
};
const f32 = ({ shape, data }: Values): Input => ({ shape, dtype: "f32", data });

/** A row whose inputs and reference are those of a case: file and name in test/cases. */
function fromCase(
  name: string,
  work: Work,
  params: Readonly<Record<string, number>>,
  file: string,
  caseName: string,
): Row {
  return {
    name,
    work,
    params,
    flops: 0,
    draw: async () => {
      const op = (await loadCases(file))[0]?.cases.find((one) => one.name === caseName);
      if (!op)
        throw new Error(`test/cases/${file}.ts has no case "${caseName}", which the row "${name}" is drawn from.`);
      const specs = op.inputs(params);
      const values = drawInputs(specs, SEED);
      const inputs = Object.entries(values).map(([key, { shape, data }]): [string, Input] => [
        key,
        { shape, dtype: specs[key]!.dtype === "u32" ? "u32" : "f32", data },
      ]);
      const [answer] = Object.values(op.reference(values, params));
      return { inputs: Object.fromEntries(inputs), answer: answer!.data };
    },
  };
}

/** a (M, K) · b (K, N). The case looks each element up through its shape, too slow for a billion products. */
function matmulRow(M: number, K: number, N: number): Row {
  return {
    name: M === K && K === N ? `matmul ${M}³` : `matmul [${M}×${K}]·[${K}×${N}]`,
    work: "matmul",
    params: { M, K, N },
    flops: 2 * M * K * N,
    draw: () => {
      const [a, b] = [normal([M, K], 1), normal([K, N], 2)];
      const answer = new Float64Array(M * N);
      for (let m = 0; m < M; m++)
        for (let k = 0; k < K; k++) {
          const left = a.data[m * K + k]!;
          for (let n = 0; n < N; n++) answer[m * N + n]! += left * b.data[k * N + n]!;
        }
      return Promise.resolve({ inputs: { a: f32(a), b: f32(b) }, answer });
    },
  };
}

function attentionRow(B: number, H: number, T: number, D: number): Row {
  const name = `attention ${B > 1 ? `${B}×` : ""}${H} heads, ${T}×${D}`;
  return {
    ...fromCase(name, "attention", { B, Tq: T, Tk: T, H, D }, "attention", "attention"),
    flops: 4 * B * H * T * T * D,
  };
}

function sumRow(N: number, C: number): Row {
  return {
    name: `sum of ${N}×${C}`,
    work: "sum",
    params: { N, C },
    flops: 0,
    draw: () => {
      const x = normal([N, C], 1);
      return Promise.resolve({ inputs: { x: f32(x) }, answer: Float64Array.of(x.data.reduce((a, b) => a + b, 0)) });
    },
  };
}

/** x + b + b + … : what one operation costs when there is nothing to compute. All sums are exact in f32. */
function chainRow(steps: number, N: number): Row {
  return {
    name: `chain of ${steps} adds of ${N} numbers`,
    work: "chain",
    params: { steps, N },
    flops: 0,
    draw: () => {
      const random = randomStream(SEED, 1);
      const draw = (): Values => filled([N], () => (random.int(2048) - 1024) / 1024);
      const [x, b] = [draw(), draw()];
      return Promise.resolve({
        inputs: { x: f32(x), b: f32(b) },
        answer: x.data.map((value, i) => value + steps * b.data[i]!),
      });
    },
  };
}

function trainingRow(): Row {
  const { layers, width: C, length: T, batch: B, vocabulary: V } = trainingSizes;
  const weights = layers * 12 * C * C + C * V;
  return {
    name: "training step",
    work: "trainingStep",
    params: trainingSizes,
    flops: B * T * (6 * weights + 12 * layers * T * C),
    draw: () => Promise.resolve({ inputs: trainingInputs(SEED) }),
  };
}

export const rows: readonly Row[] = [
  ...[128, 256, 512, 1024].map((size) => matmulRow(size, size, size)),
  matmulRow(2048, 256, 1024),
  matmulRow(1760, 128, 384),
  fromCase("softmax 4096×1024", "softmax", { N: 4096, C: 1024 }, "softmax", "softmax"),
  fromCase("layerNorm 4096×512", "layerNorm", { N: 4096, C: 512 }, "layerNorm", "layerNorm"),
  attentionRow(1, 16, 256, 64),
  attentionRow(8, 4, 112, 32),
  fromCase("add 2048×1024", "add", { N: 2048, C: 1024 }, "elementwise", "add, same"),
  fromCase("gelu 2048×1024", "gelu", { N: 2048, C: 1024 }, "elementwise", "gelu"),
  fromCase(
    "embedding 4096 of 8192×256",
    "embedding",
    { N: 4096, V: 8192, C: 256 },
    "embedding",
    "embedding, f32 table",
  ),
  fromCase("crossEntropy 2048×1024", "crossEntropy", { N: 2048, V: 1024 }, "crossEntropy", "crossEntropy"),
  sumRow(4096, 1024),
  chainRow(1000, 4096),
  trainingRow(),
];

/** The bytes of a worker's input file. */
export function bytesOf({ dtype, data, shape }: Input): Uint8Array {
  if (data.length !== elements(shape)) throw new Error(`An input of ${elements(shape)} numbers has ${data.length}.`);
  return new Uint8Array((dtype === "u32" ? Uint32Array.from(data) : Float32Array.from(data)).buffer);
}
