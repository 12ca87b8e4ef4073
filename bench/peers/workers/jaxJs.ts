/**
 * jax-js on WebGPU. Every function takes ownership of its arguments: `.ref` keeps one for later. Each row is a `jit` function,
 * so that jax-js fuses what it can; the chain alone runs eagerly, because it measures what one operation costs.
 */
import type { Work } from "../rows.ts";
import { type Inputs, type Job, PARAMETER, type RowRequest, serve, trainingJob } from "../worker.ts";
import { installIteratorHelpers, installNavigator, versionOf } from "./node.ts";

interface JaxArray {
  readonly ref: JaxArray;
  readonly shape: number[];
  add(other: JaxArray | number): JaxArray;
  sub(other: JaxArray | number): JaxArray;
  mul(other: JaxArray | number): JaxArray;
  div(other: JaxArray | number): JaxArray;
  sum(axis?: number): JaxArray;
  mean(axis?: number | null, options?: { keepdims: boolean }): JaxArray;
  reshape(shape: number[]): JaxArray;
  data(): Promise<Float32Array>;
  gpuBuffer(): Promise<GPUBuffer>;
  dispose(): void;
}
type Tree = Record<string, JaxArray>;

/** What is used of @jax-js/jax. */
interface Jax {
  init(device: "webgpu"): Promise<string[]>;
  defaultDevice(device: "webgpu"): string;
  getWebGPUDevice(): GPUDevice;
  jit<F>(body: F): F & { dispose(): void };
  valueAndGrad(loss: (parameters: Tree) => JaxArray): (parameters: Tree) => [JaxArray, Tree];
  blockUntilReady<T>(tree: T): Promise<T>;
  numpy: {
    array(values: Float32Array | Int32Array, options: { shape: number[] }): JaxArray;
    matmul(a: JaxArray, b: JaxArray): JaxArray;
    sqrt(x: JaxArray): JaxArray;
    square(x: JaxArray): JaxArray;
    take(x: JaxArray, indices: JaxArray, axis: number): JaxArray;
  };
  nn: {
    softmax(x: JaxArray, axis: number): JaxArray;
    logSoftmax(x: JaxArray, axis: number): JaxArray;
    gelu(x: JaxArray): JaxArray;
    oneHot(ids: JaxArray, classes: number): JaxArray;
    standardize(x: JaxArray, axis: number, options: { epsilon: number }): JaxArray;
    dotProductAttention(q: JaxArray, k: JaxArray, v: JaxArray): JaxArray;
  };
}

await installNavigator();
installIteratorHelpers();
// By a name that the compiler does not follow: the package is optional.
const name: string = "@jax-js/jax";
const jax = (await import(name)) as Jax;
const { numpy: np, nn } = jax;

const layerNorm = (x: JaxArray, gain: JaxArray, bias: JaxArray): JaxArray =>
  nn.standardize(x, -1, { epsilon: 1e-6 }).mul(gain).add(bias);

/** −log softmax(logits)[target], row by row. */
const crossEntropy = (logits: JaxArray, targets: JaxArray, classes: number): JaxArray =>
  nn.logSoftmax(logits, -1).mul(nn.oneHot(targets, classes)).sum(-1).mul(-1);

type Params = RowRequest["params"];
const calls: Readonly<Record<Exclude<Work, "trainingStep">, (x: Tree, params: Params) => JaxArray>> = {
  matmul: ({ a, b }) => np.matmul(a!, b!),
  softmax: ({ x }) => nn.softmax(x!, -1),
  layerNorm: ({ x, g, b }) => layerNorm(x!, g!, b!),
  attention: ({ q, k, v }) => nn.dotProductAttention(q!, k!, v!),
  add: ({ a, b }) => a!.add(b!),
  gelu: ({ x }) => nn.gelu(x!),
  embedding: ({ table, ids }) => np.take(table!, ids!, 0),
  crossEntropy: ({ logits, targets, weights }, { V }) => crossEntropy(logits!, targets!, V!).mul(weights!),
  sum: ({ x }) => x!.sum(),
  chain: ({ x, b }, { steps }) => {
    let y = x!;
    for (let i = 0; i < steps!; i++) y = y.add(b!.ref);
    b!.dispose();
    return y;
  },
};

function upload(inputs: Inputs): Tree {
  return Object.fromEntries(
    Object.entries(inputs).map(([name, { shape, data }]) => [
      name,
      np.array(data instanceof Uint32Array ? Int32Array.from(data) : data, { shape }),
    ]),
  );
}

/** The same arrays, to be given away. */
const refs = (tree: Tree): Tree => Object.fromEntries(Object.entries(tree).map(([name, x]) => [name, x.ref]));

function operation({ work, params }: RowRequest, inputs: Inputs): Job {
  if (work === "trainingStep") throw new Error("A training step is no single operation.");
  const arrays = upload(inputs);
  const body = (tree: Tree): JaxArray => calls[work](tree, params);
  const fused = work === "chain" ? undefined : jax.jit(body);
  const call = (): JaxArray => (fused ?? body)(refs(arrays));
  return {
    async run(count) {
      // Taking the buffer dispatches the work and lets go of the array; only the queue is waited for.
      for (let i = 0; i < count; i++) await call().gpuBuffer();
      await jax.getWebGPUDevice().queue.onSubmittedWorkDone();
    },
    answer: async () => Float32Array.from(await call().data()),
    dispose() {
      for (const x of Object.values(arrays)) x.dispose();
      fused?.dispose();
    },
  };
}

interface State {
  parameters: Tree;
  m: Tree;
  v: Tree;
}

/** Forward pass; owns the parameters. */
function lossOf(parameters: Tree, ids: JaxArray, targets: JaxArray, params: Params): JaxArray {
  const {
    layers,
    heads,
    width: C,
    vocabulary: V,
  } = params as Record<"layers" | "heads" | "width" | "vocabulary", number>;
  const [B, T] = ids.shape as [number, number];
  const p = (name: string): JaxArray => parameters[PARAMETER + name]!;
  const norm = (x: JaxArray, name: string): JaxArray => layerNorm(x, p(`${name}.gain`), p(`${name}.bias`));
  let x = np.take(p("tokens"), ids, 0).add(p("positions"));
  for (let i = 0; i < layers; i++) {
    const h = norm(x.ref, `${i}.attentionNorm`);
    const project = (name: string): JaxArray => np.matmul(h.ref, p(`${i}.${name}`)).reshape([B, T, heads, C / heads]);
    const mixed = nn.dotProductAttention(project("q"), project("k"), project("v")).reshape([B, T, C]);
    h.dispose();
    x = x.add(np.matmul(mixed, p(`${i}.o`)));
    const inner = nn.gelu(np.matmul(norm(x.ref, `${i}.mlpNorm`), p(`${i}.up`)));
    x = x.add(np.matmul(inner, p(`${i}.down`)));
  }
  return crossEntropy(np.matmul(norm(x, "norm"), p("head")), targets, V).mean();
}

function training({ params }: RowRequest, inputs: Inputs): Job {
  const rate = params["learningRate"]!;
  const uploaded = upload(inputs);
  const { ids, targets, ...parameters } = uploaded as Tree & { ids: JaxArray; targets: JaxArray };
  const nothing = (): Tree =>
    Object.fromEntries(
      Object.entries(parameters).map(([name, { shape }]) => {
        const size = shape.reduce((product, n) => product * n, 1);
        return [name, np.array(new Float32Array(size), { shape })];
      }),
    );
  let state: State = { parameters, m: nothing(), v: nothing() };

  // The corrections of Adam are arrays, so that the function is compiled once and not for every step.
  const step = jax.jit(
    (before: State, ids: JaxArray, targets: JaxArray, correctM: JaxArray, correctV: JaxArray): [JaxArray, State] => {
      const after: State = { parameters: {}, m: {}, v: {} };
      const differentiate = jax.valueAndGrad((parameters) => lossOf(parameters, ids, targets, params));
      const [loss, gradients] = differentiate(refs(before.parameters));
      for (const [name, gradient] of Object.entries(gradients)) {
        const m = before.m[name]!.mul(0.9).add(gradient.ref.mul(0.1));
        const v = before.v[name]!.mul(0.999).add(np.square(gradient).mul(0.001));
        const update = m.ref.div(correctM.ref).div(np.sqrt(v.ref.div(correctV.ref)).add(1e-8));
        after.parameters[name] = before.parameters[name]!.sub(update.mul(rate));
        after.m[name] = m;
        after.v[name] = v;
      }
      correctM.dispose();
      correctV.dispose();
      return [loss, after];
    },
  );
  const scalar = (value: number): JaxArray => np.array(Float32Array.of(value), { shape: [] });
  let t = 0;
  const train = async (): Promise<JaxArray> => {
    t++;
    const [loss, after] = step(state, ids.ref, targets.ref, scalar(1 - 0.9 ** t), scalar(1 - 0.999 ** t));
    state = after;
    return loss;
  };
  return trainingJob(
    async (count) => {
      for (let i = 1; i < count; i++) (await train()).dispose();
      const last = await train();
      await jax.blockUntilReady(state);
      return (await last.data())[0]!;
    },
    () => {
      for (const x of [ids, targets, ...Object.values(state).flatMap((tree: Tree) => Object.values(tree))]) x.dispose();
      step.dispose();
    },
  );
}

await serve(async () => {
  if (!(await jax.init("webgpu")).includes("webgpu")) throw new Error("jax-js does not start its WebGPU backend.");
  jax.defaultDevice("webgpu");
  return {
    name: "jax-js",
    version: versionOf("@jax-js/jax"),
    adapter: jax.getWebGPUDevice().adapterInfo.description,
    prepare: (row, inputs) => (row.work === "trainingStep" ? training : operation)(row, inputs),
  };
});
