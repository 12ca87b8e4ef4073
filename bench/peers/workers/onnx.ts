/**
 * onnxruntime-node, with its WebGPU provider (its own Dawn, on the same adapter) or, with the argument `cpu`, on the processor.
 *
 * A session copies its inputs to the device and its results back, so inputs are constants of the model, the calls of a
 * sample are so many nodes of one graph, and the result is the first element of the last. Graph optimisation is off: it
 * would compute the constants. Where an operator is not on WebGPU the session is refused instead of falling back.
 */
import { prepareDriver } from "../../../src/tensor/softwareDriver.ts";
import { type OnnxGraph, onnxModel, type OnnxNode, type OnnxTensor } from "../onnxModel.ts";
import { wrongness } from "../compare.ts";
import type { Work } from "../rows.ts";
import { type Inputs, type Job, type RowRequest, serve, swapHeads } from "../worker.ts";
import { requirePeer, versionOf } from "./node.ts";

interface Session {
  run(feeds: Record<string, never>): Promise<Record<string, { data: Float32Array }>>;
  release(): Promise<void>;
}
/** What is used of onnxruntime-node. */
interface Ort {
  InferenceSession: { create(model: Uint8Array, options: object): Promise<Session> };
}

const provider = process.argv[2] === "cpu" ? "cpu" : "webgpu";

/** The last axis of a matrix, for reductions. */
const LAST: OnnxTensor = { shape: [1], data: BigInt64Array.of(1n) };

/** One call: its nodes write `y`; other names are made unlike those of other calls by `id`. */
type Build = (params: RowRequest["params"], y: string, id: (name: string) => string) => readonly OnnxNode[];

const single =
  (op: string, inputs: readonly string[], rest: Partial<OnnxNode> = {}): Build =>
  (_, y) => [{ op, inputs, outputs: [y], ...rest }];

const builds: { readonly [W in Work]: Build } = {
  matmul: single("MatMul", ["a", "b"]),
  softmax: single("Softmax", ["x"], { attributes: { axis: 1 } }),
  layerNorm: single("LayerNormalization", ["x", "g", "b"], { attributes: { epsilon: 1e-6 } }),
  attention: ({ H }, y) => [
    {
      op: "MultiHeadAttention",
      inputs: ["q", "k", "v"],
      outputs: [y],
      attributes: { num_heads: H! },
      domain: "com.microsoft",
    },
  ],
  add: single("Add", ["a", "b"]),
  gelu: single("Gelu", ["x"], { attributes: { approximate: "tanh" } }),
  embedding: single("Gather", ["table", "ids"]),
  // Its own loss has a weight for each class, not for each row; LogSoftmax is not on WebGPU.
  crossEntropy: (_, y, id) => [
    { op: "ReduceLogSumExp", inputs: ["logits", "last"], outputs: [id("total")] },
    { op: "GatherElements", inputs: ["logits", "targets"], outputs: [id("picked")], attributes: { axis: 1 } },
    { op: "Sub", inputs: [id("total"), id("picked")], outputs: [id("loss")] },
    { op: "Mul", inputs: [id("loss"), "weights"], outputs: [y] },
  ],
  sum: single("ReduceSum", ["x"], { attributes: { keepdims: 0 } }),
  chain: ({ steps }, y, id) =>
    Array.from({ length: steps! }, (_, i) => ({
      op: "Add",
      inputs: [i ? id(`x${i}`) : "x", "b"],
      outputs: [i + 1 === steps ? y : id(`x${i + 1}`)],
    })),
  trainingStep: () => {
    throw new Error("onnxruntime-node has no gradients");
  },
};

/** Attention by three operators, for constants that lie ready: q and v as (B, H, T, D), k as (B, H, D, T), the scale in q. */
const composedAttention: Build = (_, y, id) => [
  { op: "MatMul", inputs: ["q", "k"], outputs: [id("scores")] },
  { op: "Softmax", inputs: [id("scores")], outputs: [id("p")], attributes: { axis: 3 } },
  { op: "MatMul", inputs: [id("p"), "v"], outputs: [y] },
];

/** How a row is put to the runtime: nodes, constants, and the shape of the result. */
interface Plan {
  readonly build: Build;
  readonly constants: Readonly<Record<string, OnnxTensor>>;
  readonly shape: readonly number[];
  readonly note?: string;
}

function planOf({ work, params }: RowRequest, inputs: Inputs): Plan {
  const { M, N, C, B, Tq, H, D } = params as Record<string, number>;
  const shapes: Partial<Record<Work, number[]>> = {
    matmul: [M!, N!],
    attention: [B!, Tq!, H! * D!],
    embedding: [1, N!, C!],
    crossEntropy: [N!, 1],
    sum: [],
    chain: [N!],
  };
  const constants = Object.entries(inputs).map(([name, { shape, data }]): [string, OnnxTensor] => {
    // Attention has heads and their width in one axis; cross-entropy picks a column of one.
    const column = work === "crossEntropy" && name !== "logits";
    const laid = work === "attention" ? shapes.attention! : column ? [...shape, 1] : shape;
    return [name, { shape: laid, data: data instanceof Uint32Array ? Int32Array.from(data) : data }];
  });
  return {
    build: builds[work],
    constants: { ...Object.fromEntries(constants), ...(work === "crossEntropy" && { last: LAST }) },
    shape: shapes[work] ?? [N!, C!],
  };
}

function composedPlan({ params }: RowRequest, inputs: Inputs): Plan {
  const { B, Tq: T, H, D } = params as Record<"B" | "Tq" | "H" | "D", number>;
  const [q, k, v] = ["q", "k", "v"].map((name) => swapHeads(inputs[name]!).data);
  const turned = new Float32Array(k!.length);
  for (let head = 0; head < B * H; head++)
    for (let t = 0; t < T; t++)
      for (let d = 0; d < D; d++) turned[(head * D + d) * T + t] = k![(head * T + t) * D + d]!;
  return {
    build: composedAttention,
    constants: {
      q: { shape: [B, H, T, D], data: q!.map((value) => value / Math.sqrt(D)) },
      k: { shape: [B, H, D, T], data: turned },
      v: { shape: [B, H, T, D], data: v! },
    },
    shape: [B, H, T, D],
    note: "its fused MultiHeadAttention disagrees with its own MatMul and Softmax, so these are timed",
  };
}

async function open({ InferenceSession }: Ort, graph: OnnxGraph): Promise<Session> {
  return InferenceSession.create(onnxModel(graph), {
    executionProviders: [provider],
    graphOptimizationLevel: "disabled",
    // Refusals come back as errors; nothing has to be printed as well.
    logSeverityLevel: 4,
    ...(provider === "webgpu" && { extra: { session: { disable_cpu_ep_fallback: "1" } } }),
  });
}

/** The result of one call. */
async function answerOf(ort: Ort, { params }: RowRequest, { build, constants, shape }: Plan): Promise<Float32Array> {
  const nodes = build(params, "y", (name) => name);
  const session = await open(ort, { constants, nodes, output: { name: "y", shape } });
  const { y } = await session.run({});
  const data = Float32Array.from(y!.data);
  await session.release();
  if (build !== composedAttention) return data;
  const [B, H, T, D] = shape as [number, number, number, number];
  return swapHeads({ shape: [B, H, T, D], data }).data;
}

/** Fused attention where it is right, else composed: on some adapters the fused kernel gives wrong answers. */
async function planAttention(ort: Ort, row: RowRequest, inputs: Inputs): Promise<Plan> {
  const [fused, composed] = [planOf(row, inputs), composedPlan(row, inputs)];
  const [got, expected] = [await answerOf(ort, row, fused), await answerOf(ort, row, composed)];
  return wrongness(got, expected) ? composed : fused;
}

async function prepare(ort: Ort, row: RowRequest, inputs: Inputs): Promise<Job> {
  const plan = row.work === "attention" ? await planAttention(ort, row, inputs) : planOf(row, inputs);
  const { build, constants, shape, note } = plan;
  /** The session of the last sample, for so many calls. */
  let current: { readonly calls: number; readonly session: Session } | undefined;
  const sessionFor = async (calls: number): Promise<Session> => {
    if (current?.calls === calls) return current.session;
    await current?.session.release();
    current = undefined;
    const nodes = Array.from({ length: calls }, (_, i) => build(row.params, `y${i}`, (name) => `${name}.${i}`)).flat();
    const last = `y${calls - 1}`;
    const scalar = shape.length === 0;
    const edge = (value: number): OnnxTensor => ({
      shape: [shape.length],
      data: BigInt64Array.from(shape, () => BigInt(value)),
    });
    const session = await open(ort, {
      constants: scalar ? constants : { ...constants, from: edge(0), to: edge(1) },
      nodes: scalar ? nodes : [...nodes, { op: "Slice", inputs: [last, "from", "to"], outputs: ["first"] }],
      output: scalar ? { name: last, shape } : { name: "first", shape: shape.map(() => 1) },
    });
    current = { calls, session };
    return session;
  };
  return {
    ...(note !== undefined && { note }),
    run: async (calls) => void (await (await sessionFor(calls)).run({})),
    answer: () => answerOf(ort, row, plan),
    dispose: () => void current?.session.release(),
  };
}

await serve(async () => {
  prepareDriver();
  const ort = requirePeer("onnxruntime-node") as Ort;
  return {
    name: `onnxruntime ${provider}`,
    version: versionOf("onnxruntime-node"),
    adapter: provider === "cpu" ? "processor" : "its own Dawn, default adapter",
    prepare: (row, inputs) => prepare(ort, row, inputs),
  };
});
