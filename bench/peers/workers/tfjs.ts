/** TensorFlow.js with its WebGPU backend. GELU, layerNorm and attention are composed: it has no operations for them. */
import type { Work } from "../rows.ts";
import { type Inputs, type Job, PARAMETER, type RowRequest, serve, swapHeads, trainingJob } from "../worker.ts";
import { installNavigator, requirePeer, versionOf } from "./node.ts";

interface TfTensor {
  readonly shape: number[];
  data(): Promise<Float32Array>;
  dispose(): void;
}
type Operand = TfTensor | number;

/** What is used of @tensorflow/tfjs-core. */
interface Tf {
  setBackend(name: string): Promise<boolean>;
  backend(): Backend;
  tensor(values: Float32Array | Int32Array, shape: number[], dtype: "float32" | "int32"): TfTensor;
  variable(start: TfTensor): TfTensor;
  tidy<T extends TfTensor | void>(body: () => T): T;
  matMul(a: TfTensor, b: TfTensor, transposeA?: boolean, transposeB?: boolean): TfTensor;
  add(a: Operand, b: Operand): TfTensor;
  sub(a: Operand, b: Operand): TfTensor;
  mul(a: Operand, b: Operand): TfTensor;
  square(x: TfTensor): TfTensor;
  rsqrt(x: TfTensor): TfTensor;
  tanh(x: TfTensor): TfTensor;
  softmax(x: TfTensor): TfTensor;
  sum(x: TfTensor): TfTensor;
  moments(x: TfTensor, axis: number, keepDims: boolean): { mean: TfTensor; variance: TfTensor };
  gather(x: TfTensor, indices: TfTensor): TfTensor;
  oneHot(ids: TfTensor, depth: number): TfTensor;
  reshape(x: TfTensor, shape: number[]): TfTensor;
  transpose(x: TfTensor, order: number[]): TfTensor;
  losses: {
    softmaxCrossEntropy(
      labels: TfTensor,
      logits: TfTensor,
      weights?: TfTensor,
      smoothing?: number,
      reduction?: number,
    ): TfTensor;
  };
  Reduction: { NONE: number; MEAN: number };
  train: {
    adam(
      rate: number,
      beta1: number,
      beta2: number,
      epsilon: number,
    ): {
      minimize(loss: () => TfTensor, returnCost: true, variables: TfTensor[]): TfTensor;
      dispose(): void;
    };
  };
}

interface Backend {
  readonly device: GPUDevice;
  readonly adapterInfo: { readonly description?: string } | undefined;
  ensureCommandEncoderReady(): void;
  endComputePassEncoder(): void;
  submitQueue(): void;
}

await installNavigator();
const tf = requirePeer("@tensorflow/tfjs-core") as Tf;
requirePeer("@tensorflow/tfjs-backend-webgpu");
// The bundle for Node leaves gradients out. These register themselves where the bundle looks, on the global object.
requirePeer("@tensorflow/tfjs-core/dist/register_all_gradients.js");

const gelu = (x: TfTensor): TfTensor => {
  const inner = tf.mul(Math.sqrt(2 / Math.PI), tf.add(x, tf.mul(0.044715, tf.mul(x, tf.square(x)))));
  return tf.mul(tf.mul(0.5, x), tf.add(1, tf.tanh(inner)));
};

const layerNorm = (x: TfTensor, gain: TfTensor, bias: TfTensor): TfTensor => {
  const { mean, variance } = tf.moments(x, -1, true);
  return tf.add(tf.mul(tf.mul(tf.sub(x, mean), tf.rsqrt(tf.add(variance, 1e-6))), gain), bias);
};

/** Heads outside: q, k and v are (B, H, T, D). */
const attention = (q: TfTensor, k: TfTensor, v: TfTensor): TfTensor => {
  const scores = tf.matMul(tf.mul(q, q.shape.at(-1)! ** -0.5), k, false, true);
  return tf.matMul(tf.softmax(scores), v);
};

type Tensors = Readonly<Record<string, TfTensor>>;

const calls: Readonly<Record<Exclude<Work, "trainingStep">, (x: Tensors, params: RowRequest["params"]) => TfTensor>> = {
  matmul: ({ a, b }) => tf.matMul(a!, b!),
  softmax: ({ x }) => tf.softmax(x!),
  layerNorm: ({ x, g, b }) => layerNorm(x!, g!, b!),
  attention: ({ q, k, v }) => attention(q!, k!, v!),
  add: ({ a, b }) => tf.add(a!, b!),
  gelu: ({ x }) => gelu(x!),
  embedding: ({ table, ids }) => tf.gather(table!, ids!),
  crossEntropy: ({ logits, targets, weights }, { V }) =>
    tf.losses.softmaxCrossEntropy(tf.oneHot(targets!, V!), logits!, weights, 0, tf.Reduction.NONE),
  sum: ({ x }) => tf.sum(x!),
  chain: ({ x, b }, { steps }) => {
    let y = x!;
    for (let i = 0; i < steps!; i++) y = tf.add(y, b!);
    return y;
  },
};

/** Submits what is recorded and waits for it. */
async function done(): Promise<void> {
  const backend = tf.backend();
  backend.ensureCommandEncoderReady();
  backend.endComputePassEncoder();
  backend.submitQueue();
  await backend.device.queue.onSubmittedWorkDone();
}

function upload(inputs: Inputs): Tensors {
  return Object.fromEntries(
    Object.entries(inputs).map(([name, { shape, data }]) => [
      name,
      data instanceof Uint32Array
        ? tf.tensor(Int32Array.from(data), shape, "int32")
        : tf.tensor(data, shape, "float32"),
    ]),
  );
}

function operation({ work, params }: RowRequest, inputs: Inputs): Job {
  if (work === "trainingStep") throw new Error("A training step is no single operation.");
  const heads = work === "attention";
  const laid = heads ? Object.fromEntries(Object.entries(inputs).map(([name, x]) => [name, swapHeads(x)])) : inputs;
  const tensors = upload(laid);
  const call = (): TfTensor => tf.tidy(() => calls[work](tensors, params));
  return {
    async run(count) {
      for (let i = 0; i < count; i++) call().dispose();
      await done();
    },
    async answer() {
      const y = call();
      const data = Float32Array.from(await y.data());
      y.dispose();
      return heads ? swapHeads({ shape: y.shape, data }).data : data;
    },
    dispose: () => Object.values(tensors).forEach((x) => x.dispose()),
  };
}

function training({ params }: RowRequest, inputs: Inputs): Job {
  const {
    layers,
    heads,
    width: C,
    vocabulary: V,
    learningRate,
  } = params as Record<string, number> & {
    layers: number;
    heads: number;
    width: number;
    vocabulary: number;
    learningRate: number;
  };
  const tensors = upload(inputs);
  const [B, T] = tensors["ids"]!.shape as [number, number];
  const parameters = Object.fromEntries(
    Object.entries(tensors)
      .filter(([name]) => name.startsWith(PARAMETER))
      .map(([name, start]) => [name.slice(PARAMETER.length), tf.variable(start)]),
  );
  const p = (name: string): TfTensor => parameters[name]!;
  const optimizer = tf.train.adam(learningRate, 0.9, 0.999, 1e-8);

  const norm = (x: TfTensor, name: string): TfTensor => layerNorm(x, p(`${name}.gain`), p(`${name}.bias`));
  const loss = (): TfTensor => {
    const ids = tf.reshape(tensors["ids"]!, [B * T]);
    let x = tf.reshape(tf.add(tf.reshape(tf.gather(p("tokens"), ids), [B, T, C]), p("positions")), [B * T, C]);
    for (let i = 0; i < layers; i++) {
      const h = norm(x, `${i}.attentionNorm`);
      const project = (name: string): TfTensor =>
        tf.transpose(tf.reshape(tf.matMul(h, p(`${i}.${name}`)), [B, T, heads, C / heads]), [0, 2, 1, 3]);
      const mixed = tf.transpose(attention(project("q"), project("k"), project("v")), [0, 2, 1, 3]);
      x = tf.add(x, tf.matMul(tf.reshape(mixed, [B * T, C]), p(`${i}.o`)));
      x = tf.add(x, tf.matMul(gelu(tf.matMul(norm(x, `${i}.mlpNorm`), p(`${i}.up`))), p(`${i}.down`)));
    }
    const targets = tf.oneHot(tf.reshape(tensors["targets"]!, [B * T]), V);
    return tf.losses.softmaxCrossEntropy(
      targets,
      tf.matMul(norm(x, "norm"), p("head")),
      undefined,
      0,
      tf.Reduction.MEAN,
    );
  };
  const step = (): TfTensor => optimizer.minimize(loss, true, Object.values(parameters));
  return trainingJob(
    async (count) => {
      for (let i = 1; i < count; i++) step().dispose();
      const last = step();
      // Reading the loss waits for its value alone; the update comes behind it.
      const [value] = await last.data();
      await done();
      last.dispose();
      return value!;
    },
    () => {
      for (const x of [...Object.values(tensors), ...Object.values(parameters)]) x.dispose();
      optimizer.dispose();
    },
  );
}

await serve(async () => {
  if (!(await tf.setBackend("webgpu"))) throw new Error("tfjs does not start its WebGPU backend.");
  return {
    name: "tfjs",
    version: versionOf("@tensorflow/tfjs-backend-webgpu"),
    adapter: tf.backend().device.adapterInfo.description,
    prepare: (row, inputs) => (row.work === "trainingStep" ? training : operation)(row, inputs),
  };
});
