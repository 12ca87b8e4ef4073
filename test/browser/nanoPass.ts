/** One forward and one backward pass of the nano model on a fixed batch: the same work in Node and in a browser. */
import { preset } from "../../src/model/config.ts";
import { createRediff, disposeRediff } from "../../src/model/rediff.ts";
import { IMAGE } from "../../src/model/sequence.ts";
import { backward, type Device, randomStream, scope } from "../../src/tensor/index.ts";
import { answerLoss } from "../../src/train/answerLoss.ts";

export interface NanoPass {
  readonly loss: number;
  /** Sum of magnitudes and one random projection of every parameter's gradient, by name. */
  readonly gradients: Readonly<Record<string, { readonly size: number; readonly projection: number }>>;
}

export async function nanoPass(device: Device): Promise<NanoPass> {
  const config = preset("nano");
  const model = createRediff(device, config, 3);
  const random = randomStream(11, 1);
  const B = 2;
  const T = config.text.canvas;
  const S = config.vision.imageSize;
  const answer = Uint32Array.from({ length: B * T }, () => random.int(1000));
  const weights = Float32Array.from({ length: B * T }, () => (random.chance(0.5) ? random.uniform() : 0));
  const batch = {
    B,
    T,
    answer,
    weights,
    canvas: answer.map((id, i) => (weights[i] ? 1019 : id)),
    pixels: Float32Array.from({ length: B * 3 * S * S }, () => 2 * random.uniform() - 1),
  };
  const result = await scope(device, async () => {
    const loss = answerLoss(model, batch, [1018, 5, IMAGE, 6, 7, 8]);
    backward(loss);
    const gradients: Record<string, { size: number; projection: number }> = {};
    for (const [name, parameter] of model.parameters) {
      const values = await parameter.grad!.read();
      let [size, projection] = [0, 0];
      for (const value of values) {
        size += Math.abs(value);
        projection += value * random.normal();
      }
      gradients[name] = { size, projection };
    }
    return { loss: await loss.item(), gradients };
  });
  disposeRediff(model);
  return result;
}
