/** Our engine, through its public surface. */
import { execFileSync } from "node:child_process";
import {
  adamW,
  add,
  attention,
  backward,
  crossEntropy,
  type Device,
  embedding,
  gelu,
  keep,
  layerNorm,
  matmul,
  noGrad,
  openDevice,
  reshape,
  scope,
  softmax,
  sum,
  type Tensor,
  tensor,
  zeroGrad,
  zeros,
} from "../../../src/tensor/index.ts";
import type { Work } from "../rows.ts";
import { type Inputs, type Job, PARAMETER, type RowRequest, serve, trainingJob } from "../worker.ts";

type Tensors = Readonly<Record<string, Tensor>>;

const calls: Readonly<Record<Exclude<Work, "trainingStep">, (x: Tensors, params: RowRequest["params"]) => Tensor>> = {
  matmul: ({ a, b }) => matmul(a!, b!),
  softmax: ({ x }) => softmax(x!),
  layerNorm: ({ x, g, b }) => layerNorm(x!, g!, b!),
  attention: ({ q, k, v }) => attention(q!, k!, v!),
  add: ({ a, b }) => add(a!, b!),
  gelu: ({ x }) => gelu(x!),
  embedding: ({ table, ids }) => embedding(table!, ids!),
  crossEntropy: ({ logits, targets, weights }) => crossEntropy(logits!, targets!, weights!),
  sum: ({ x }) => sum(x!),
  chain: ({ x, b }, { steps }) => {
    let y = x!;
    for (let i = 0; i < steps!; i++) y = add(y, b!);
    return y;
  },
};

function upload(device: Device, inputs: Inputs): Tensors {
  return Object.fromEntries(
    Object.entries(inputs).map(([name, { shape, data }]) => [
      name,
      keep(tensor(device, data, shape, data instanceof Uint32Array ? "u32" : "f32", name)),
    ]),
  );
}

function operation(device: Device, { work, params }: RowRequest, inputs: Inputs): Job {
  if (work === "trainingStep") throw new Error("A training step is no single operation.");
  const tensors = upload(device, inputs);
  const call = (): Tensor => calls[work](tensors, params);
  return {
    async run(count) {
      for (let i = 0; i < count; i++) scope(device, () => void call());
      await device.flush();
    },
    answer: () => scope(device, async () => Float32Array.from(await call().read())),
    dispose: () => Object.values(tensors).forEach((x) => x.dispose()),
  };
}

function training(device: Device, { params }: RowRequest, inputs: Inputs): Job {
  const { layers, heads, learningRate } = params as Record<"layers" | "heads" | "learningRate", number>;
  const tensors = upload(device, inputs);
  const ids = tensors["ids"]!;
  const [B, T] = ids.shape as [number, number];
  const p = (name: string): Tensor => tensors[PARAMETER + name]!;
  const parameters = Object.entries(tensors)
    .filter(([name]) => name.startsWith(PARAMETER))
    .map(([, parameter]) => parameter);
  const moments = parameters.map(({ shape }) => ({ m: keep(zeros(device, shape)), v: keep(zeros(device, shape)) }));
  for (const parameter of parameters) parameter.requiresGrad = true;
  const share = keep(tensor(device, new Float32Array(B * T).fill(1 / (B * T)), [B, T]));
  const scale = keep(tensor(device, [1], []));

  const norm = (x: Tensor, name: string): Tensor => layerNorm(x, p(`${name}.gain`), p(`${name}.bias`));
  const loss = (): Tensor => {
    let x = add(embedding(p("tokens"), ids), p("positions"));
    for (let i = 0; i < layers; i++) {
      const h = norm(x, `${i}.attentionNorm`);
      const project = (name: string): Tensor =>
        reshape(matmul(h, p(`${i}.${name}`)), [B, T, heads, h.shape[2]! / heads]);
      const mixed = attention(project("q"), project("k"), project("v"));
      x = add(x, matmul(reshape(mixed, x.shape), p(`${i}.o`)));
      x = add(x, matmul(gelu(matmul(norm(x, `${i}.mlpNorm`), p(`${i}.up`))), p(`${i}.down`)));
    }
    return sum(crossEntropy(matmul(norm(x, "norm"), p("head")), tensors["targets"]!, share));
  };

  let step = 0;
  const train = (): Tensor =>
    scope(device, () => {
      const y = loss();
      backward(y);
      step++;
      noGrad(device, () =>
        parameters.forEach((parameter, i) =>
          adamW(
            { parameter, gradient: parameter.grad!, ...moments[i]!, scale },
            { step, learningRate, weightDecay: 0 },
          ),
        ),
      );
      zeroGrad(parameters);
      return y;
    });
  return trainingJob(
    async (count) => {
      for (let i = 1; i < count; i++) {
        train().dispose();
        await device.submit();
      }
      return scope(device, () => train().item());
    },
    () =>
      [...Object.values(tensors), ...moments.flatMap(({ m, v }) => [m, v]), share, scale].forEach((x) => x.dispose()),
  );
}

await serve(async () => {
  const device = await openDevice();
  return {
    name: "rediff",
    version: revision(),
    adapter: device.info.description || device.info.device,
    prepare: (row, inputs) => (row.work === "trainingStep" ? training : operation)(device, row, inputs),
  };
});

function revision(): string {
  try {
    return execFileSync("git", ["rev-parse", "--short", "HEAD"], {
      cwd: import.meta.dirname,
      stdio: ["ignore", "pipe", "ignore"],
    })
      .toString()
      .trim();
  } catch {
    return "";
  }
}
