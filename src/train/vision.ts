/**
 * Pre-training of the vision encoder, in the place of SigLIP's: the paper's model begins with a vision tower that has seen
 * billions of pictures. Ours answers questions about procedural flags, whose answers are known (data/visionFacts.ts).
 *
 *   L = mean over the batch of Σ_facts −log p(class)
 *
 * One more fact of each patch, the shape of its charge: which of CELLS·CELLS cells the charge covers, two classes each.
 * Encoder and projector are trained together. The heads are one linear layer on the normalised image tokens, and one on
 * their mean; so what the language model will read can be told apart by a linear layer. The heads are not used again.
 */
import { generateFlag } from "../data/flagGenerator.ts";
import { flagPicture } from "../data/flagPicture.ts";
import { normalise } from "../data/resize.ts";
import { CELLS, CLASSES, NOT_ASKED, patchFacts, pictureFacts, visionFacts } from "../data/visionFacts.ts";
import { imageTokens, preset, type RediffConfig } from "../model/config.ts";
import { initialValues, parameterSpecs, PROJECTOR, VISION } from "../model/parameterSpecs.ts";
import { encodeImage, type Rediff } from "../model/rediff.ts";
import { linear } from "../nn/linear.ts";
import { createParameters, type ParameterSpec, section } from "../nn/parameters.ts";
import { add, crossEntropy, type Device, mean, reshape, rmsNorm, sum, type Tensor, tensor } from "../tensor/index.ts";
import { openState, type RunOptions, type Trainer, trainStage } from "./trainer.ts";

export type VisionOptions = RunOptions;

export const defaultVisionOptions: VisionOptions = {
  preset: "small",
  seed: 1,
  steps: 6000,
  batch: 32,
  peak: 1e-3,
  warmup: 200,
  weightDecay: 0.02,
  beta1: 0.9,
  beta2: 0.98,
  maxNorm: 1,
};

const HEADS = "heads.";
/** Of a charge's mask, beside 1 for each of its other facts. */
const MASK_WEIGHT = 4;

/** Vision encoder, projector, and the heads of this stage. */
function visionSpecs(config: RediffConfig): ParameterSpec[] {
  const { width } = config.text;
  return [
    ...parameterSpecs(config).filter(({ name }) => name.startsWith(VISION) || name.startsWith(PROJECTOR)),
    { name: `${HEADS}norm.weight`, shape: [width] },
    { name: `${HEADS}patches.weight`, shape: [patchFacts.length * CLASSES, width] },
    { name: `${HEADS}patches.bias`, shape: [patchFacts.length * CLASSES] },
    { name: `${HEADS}masks.weight`, shape: [CELLS * CELLS * 2, width] },
    { name: `${HEADS}masks.bias`, shape: [CELLS * CELLS * 2] },
    { name: `${HEADS}picture.weight`, shape: [pictureFacts.length * CLASSES, width] },
    { name: `${HEADS}picture.bias`, shape: [pictureFacts.length * CLASSES] },
  ];
}

export interface VisionBatch {
  /** (B, 3, S, S) in [-1, 1]. */
  readonly pixels: Float32Array;
  /** Classes and weights of the facts of patches, (B, P, patchFacts), and of pictures, (B, pictureFacts). */
  readonly patches: Answers;
  readonly picture: Answers;
  /** Of cells, (B, P, CELLS·CELLS): 1 where the charge of the patch covers one. */
  readonly masks: Answers;
  /** The charge that each patch shows, (B, P); −1 for none. */
  readonly charges: Int8Array;
  readonly B: number;
}

interface Answers {
  readonly classes: Uint32Array;
  readonly weights: Float32Array;
}

/**
 * Flags `first` to `first + B − 1` of a seed. Weights: of one flag, all patches share a weight of 1 for each of their own
 * facts, all patches of a charge 1 for each of its facts, and all patches without a charge 1 for being so; over B. All cells
 * of a charge share a weight of MASK_WEIGHT; those of a patch without one have none.
 */
export function drawVisionBatch(seed: number, first: number, B: number, config: RediffConfig): VisionBatch {
  const { imageSize: S, patch } = config.vision;
  const P = imageTokens(config.vision);
  const [G, F, M] = [patchFacts.length, pictureFacts.length, CELLS * CELLS];
  const batch = {
    pixels: new Float32Array(B * 3 * S * S),
    patches: { classes: new Uint32Array(B * P * G), weights: new Float32Array(B * P * G) },
    picture: { classes: new Uint32Array(B * F), weights: new Float32Array(B * F) },
    masks: { classes: new Uint32Array(B * P * M), weights: new Float32Array(B * P * M) },
    charges: new Int8Array(B * P),
    B,
  };
  const put = ({ classes, weights }: Answers, at: number, fact: number, weight: number) => {
    if (fact === NOT_ASKED) return;
    classes[at] = fact;
    weights[at] = weight;
  };
  for (let i = 0; i < B; i++) {
    const index = first + i;
    const spec = generateFlag(seed, index);
    const picture = flagPicture(spec, S, index);
    const facts = visionFacts(spec, picture, patch);
    batch.pixels.set(normalise(picture.image), i * 3 * S * S);
    batch.charges.set(facts.charges, i * P);
    const shown = new Map<number, number>();
    for (const charge of facts.charges) shown.set(charge, (shown.get(charge) ?? 0) + 1);
    facts.patches.forEach((fact, at) => {
      const sharers = at % G < 2 ? P : shown.get(facts.charges[Math.floor(at / G)]!)!;
      put(batch.patches, i * P * G + at, fact, 1 / (sharers * B));
    });
    facts.masks.forEach((covered, at) => {
      const charge = facts.charges[Math.floor(at / M)]!;
      if (charge >= 0) put(batch.masks, i * P * M + at, covered, MASK_WEIGHT / (shown.get(charge)! * M * B));
    });
    facts.picture.forEach((fact, at) => put(batch.picture, i * F + at, fact, 1 / B));
  }
  return batch;
}

/** Logits (B, P, patchFacts, CLASSES), (B, P, CELLS·CELLS, 2) and (B, pictureFacts, CLASSES). */
export function visionLogits(model: Rediff, pixels: Tensor): { patches: Tensor; masks: Tensor; picture: Tensor } {
  const heads = section(model.parameters, HEADS);
  const image = rmsNorm(encodeImage(model, pixels), heads("norm.weight"), model.config.text.eps);
  const [B, P] = image.shape as [number, number, number];
  const answer = (x: Tensor, head: string) => linear(x, heads(`${head}.weight`), heads(`${head}.bias`));
  return {
    patches: reshape(answer(image, "patches"), [B, P, patchFacts.length, CLASSES]),
    masks: reshape(answer(image, "masks"), [B, P, CELLS * CELLS, 2]),
    picture: reshape(answer(mean(image, [1]), "picture"), [B, pictureFacts.length, CLASSES]),
  };
}

/** The pixels of a batch on the device. */
export function uploadPixels({ device, config }: Rediff, { pixels, B }: VisionBatch): Tensor {
  const { imageSize: S } = config.vision;
  return tensor(device, pixels, [B, 3, S, S], "f32", "pixels");
}

function visionLoss(model: Rediff, batch: VisionBatch): Tensor {
  const { device } = model;
  const logits = visionLogits(model, uploadPixels(model, batch));
  const cost = (x: Tensor, { classes, weights }: Answers) => {
    const shape = x.shape.slice(0, -1);
    return sum(crossEntropy(x, tensor(device, classes, shape, "u32"), tensor(device, weights, shape)));
  };
  const facts = add(cost(logits.patches, batch.patches), cost(logits.picture, batch.picture));
  return add(facts, cost(logits.masks, batch.masks));
}

/** Begins a run, or goes on with the one saved at `resume`; its options must be the same, except for `steps`. */
export function createVisionTrainer(device: Device, options: VisionOptions, resume?: string): Trainer {
  const state = openState(device, options, resume, initialModel, visionSpecs);
  const { config } = state.model;
  return trainStage(state, options, {
    draw: (step) => drawVisionBatch(options.seed, step * options.batch, options.batch, config),
    loss: visionLoss,
  });
}

function initialModel(device: Device, { preset: name, seed }: VisionOptions): Rediff {
  const config = preset(name);
  const parameters = createParameters(device, visionSpecs(config), (spec) => initialValues(spec, config, seed));
  return { device, config, parameters };
}
