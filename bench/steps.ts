/** A training step of `small`, and decoding steps of one picture and of many, as wall time, and where it goes. */
import { measureMatmul } from "../src/cli/adapter.ts";
import { shippedBase, tokenizerFor } from "../src/cli/usage.ts";
import { disposeState } from "../src/model/checkpoint.ts";
import { preset } from "../src/model/config.ts";
import { createRediff, disposeRediff } from "../src/model/rediff.ts";
import { captionImages } from "../src/sample/caption.ts";
import { refine } from "../src/sample/refine.ts";
import type { Device } from "../src/tensor/index.ts";
import { createTrainer, defaultTrainOptions } from "../src/train/base.ts";
import { printProfile, profileStep } from "./profile.ts";
import { type Row, rowColumns } from "./result.ts";
import { sample } from "./sample.ts";
import { headOf, lineOf } from "./table.ts";

export async function benchSteps(device: Device, seconds: number): Promise<Row[]> {
  const rate = await measureMatmul(device);
  console.log(headOf(rowColumns));
  return [
    await trainingStep(device, seconds, rate),
    await decodingStep(device, 1, seconds, rate),
    await decodingStep(device, 64, seconds, rate),
  ];
}

async function trainingStep(device: Device, seconds: number, rate: number): Promise<Row> {
  const options = { ...defaultTrainOptions, curriculum: [{ until: 1, canvas: 64, shares: [0, 0, 1] as const }] };
  const trainer = createTrainer(device, options, tokenizerFor(shippedBase));
  const params = `small, batch ${options.batch}, canvas 64`;
  const row = await benchStep(device, "training step", params, () => trainer.step(), 1, seconds, rate);
  disposeState(trainer.state);
  return row;
}

/** Of so many pictures at once: one as `caption` does, 64 as `eval`. */
async function decodingStep(device: Device, pictures: number, seconds: number, rate: number): Promise<Row> {
  const config = preset("small");
  const model = createRediff(device, config, 1);
  const S = config.vision.imageSize;
  const picture = { width: S, height: S, data: new Uint8Array(3 * S * S).fill(128) };
  const tokenizer = tokenizerFor(shippedBase);
  const tokensPerStep = 8;
  const batch = Array.from({ length: pictures }, () => picture);
  const caption = () => captionImages(model, tokenizer, batch, refine, { tokensPerStep });
  const { steps } = (await caption())[0]!;
  const params = `small, refine, batch ${pictures}, ${tokensPerStep} tokens a step`;
  const row = await benchStep(device, "decoding step", params, caption, steps, seconds, rate);
  disposeRediff(model);
  return row;
}

/** Times `work`, which makes `steps` steps, and prints a row and its profile for one of them. */
async function benchStep(
  device: Device,
  name: string,
  params: string,
  work: () => Promise<unknown>,
  steps: number,
  seconds: number,
  rate: number,
): Promise<Row> {
  await work(); // compiles
  const ms = await sample(async () => {
    const start = performance.now();
    await work();
    return (performance.now() - start) / steps;
  }, seconds);
  const profile = await profileStep(device, work, steps, rate);
  const row: Row = { name, params, kind: "wall", ms, profile };
  console.log(lineOf(rowColumns, row));
  printProfile(profile);
  return row;
}
