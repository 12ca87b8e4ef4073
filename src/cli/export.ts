/** `rediff export`: a checkpoint as PyTorch implementations read it, and logits to compare them with. */
import { copyFileSync, existsSync } from "node:fs";
import { join, resolve } from "node:path";
import { layTiles, type Size } from "../model/anyResolution.ts";
import { loadModelAs, openModel } from "../model/checkpoint.ts";
import type { TilingConfig } from "../model/config.ts";
import { encodePicture, pictureViews } from "../model/encodePicture.ts";
import { type AnyRediff, encodeImage } from "../model/rediff.ts";
import { writeAtomically } from "../model/files.ts";
import { captionPrompt } from "../model/prompt.ts";
import { speaksLlava } from "../model/published/conversation.ts";
import { exportCheckpoint } from "../model/published/export.ts";
import { openParts } from "../model/published/load.ts";
import { tokensOf } from "../model/published/tokens.ts";
import { formatSafetensors, type StoredTensor } from "../model/safetensors.ts";
import { canvasLogits, IMAGE } from "../model/sequence.ts";
import { f32ToStored, type WeightDtype } from "../model/storedValues.ts";
import { specialTokens, type Tokenizer } from "../model/tokenizer.ts";
import { noGrad, openDevice, scope, type Tensor, tensor } from "../tensor/index.ts";
import {
  oneOf,
  outFolder,
  parse,
  shippedCheckpoint,
  tokenizerFor,
  tokenizerPath,
  UsageError,
  wholeNumber,
} from "./usage.ts";

const help = `rediff export --out DIR [options]

Writes config.json, preprocessor_config.json, tokenizer.json and safetensors in the layout of published models. It loads
again with every command's --checkpoint, and in PyTorch: python examples/load_in_pytorch.py DIR. Beside them, in siglip/, lies the
vision tower by itself: LLaDA-V's own code builds it from there, if it is called where --out's path is the same. (Not of a model with
a stem, as the shipped ones have: LLaDA-V knows none.)

  --out DIR          folder to write
  --checkpoint DIR   what to export: ours or a published one (default: the shipped one)
  --tower DIR        SigLIP2's folder, where --checkpoint is a language model alone (LLaDA, ProSeCo): both together, with a new
                     projector between that has learned nothing
  --layout NAME      names of LLaDA-V and ReDiff (llava, default), or of LLaDA's own release (llada)
  --dtype NAME       f32 (default), f16 or bf16
  --max-shard N      MiB of a file; more make several files and an index (default 5120)
  --logits           beside it logits.safetensors: a picture, a half-masked canvas, and the logits that the exported weights give here`;

const dtypes = { f32: "F32", f16: "F16", bf16: "BF16" } as const satisfies Record<string, WeightDtype>;

export async function run(args: readonly string[]): Promise<void> {
  const { values } = parse(args, {
    out: { type: "string" },
    checkpoint: { type: "string" },
    tower: { type: "string" },
    layout: { type: "string" },
    dtype: { type: "string" },
    "max-shard": { type: "string" },
    logits: { type: "boolean" },
    help: { type: "boolean", short: "h" },
  });
  if (values.help) return console.log(help);
  const { out } = values;
  if (out === undefined) throw new UsageError("export needs --out, the folder to write. See `rediff export --help`.");
  const checkpoint = values.checkpoint ?? shippedCheckpoint;
  const layout = oneOf("layout", values.layout, "llava", ["llava", "llada"]);
  const dtype = dtypes[oneOf("dtype", values.dtype, "f32", ["f32", "f16", "bf16"])];
  const maxShardBytes = wholeNumber("max-shard", values["max-shard"], 5120) * 2 ** 20;
  // Our own folders have the other config.json, so writing over one would leave half of each.
  if (existsSync(join(out, "model.safetensors")) && !existsSync(join(out, "preprocessor_config.json")))
    throw new UsageError(`--out ${out} holds a checkpoint that was not exported. Give another folder.`);
  if (resolve(out) === resolve(checkpoint))
    throw new UsageError(`--out must be another folder than --checkpoint ${out}.`);
  const tokenizer = tokenizerFor(checkpoint);
  outFolder(out);

  const source =
    values.tower === undefined ? openModel(checkpoint) : openParts({ text: checkpoint, vision: values.tower });
  try {
    const prompt = speaksLlava(checkpoint) ? "llava" : "ours";
    const tokens = tokensOf(tokenizer);
    const files = await exportCheckpoint(source, out, { layout, dtype, maxShardBytes, tokens, prompt });
    const beside = ["tokenizer.json", ...templates].filter((name) => existsSync(join(checkpoint, name)));
    for (const name of beside) copyFileSync(join(checkpoint, name), join(out, name));
    if (!beside.includes("tokenizer.json")) copyFileSync(tokenizerPath(checkpoint), join(out, "tokenizer.json"));
    console.log(`${out}: config.json, preprocessor_config.json, tokenizer.json, ${files.join(", ")}`);
  } finally {
    source.file.close();
  }
  if (!values.logits) return;
  const device = await openDevice();
  try {
    const exported = await loadModelAs(device, out, "f32");
    await writeAtomically(join(out, "logits.safetensors"), formatSafetensors(await sample(exported, tokenizer), {}));
    console.log(`${out}: logits.safetensors. Compare: python examples/load_in_pytorch.py ${out}`);
  } finally {
    await device.close();
  }
}

/** What may hold a chat template, which loading checks. */
const templates = ["tokenizer_config.json", "chat_template.jinja"];

/**
 * One forward pass: `pixels` of a picture's views, `before` and `after` the image, `canvas` (T) with a mask at two places of
 * three, and what comes out: `image` (P, C) and `logits` (T, V). One view of waves, (1, 3, S, S), or where the model tiles
 * pictures the views of one, whose `size` is given then.
 */
function sample(model: AnyRediff, tokenizer: Tokenizer): Promise<StoredTensor[]> {
  const { device, config } = model;
  const { imageSize: S } = config.vision;
  const { canvas: T, vocabulary: V, width: C } = config.text;
  const prompt = captionPrompt(tokenizer);
  const mask = tokenizer.idOf(specialTokens.mask);
  const canvas = Array.from({ length: T }, (_, i) => (i % 3 ? mask : (31 * i) % tokenizer.vocabSize));
  return noGrad(device, () =>
    scope(device, async () => {
      const { views, size, image } = config.tiling ? tiledSample(model, config.tiling) : squareSample(model);
      const logits = canvasLogits(model, [image], [prompt], tensor(device, canvas, [1, T], "u32"));
      const at = prompt.indexOf(IMAGE);
      return [
        f32ToStored("pixels", [views.length / (3 * S * S), 3, S, S], views, "F32"),
        ...(size ? [ids("size", size)] : []),
        ids("before", prompt.slice(0, at)),
        ids("after", prompt.slice(at + 1)),
        ids("canvas", canvas),
        f32ToStored("image", [image.size / C, C], (await image.read()) as Float32Array, "F32"),
        f32ToStored("logits", [T, V], (await logits.read()) as Float32Array, "F32"),
      ];
    }),
  );
}

interface Sample {
  /** Pixels of all views. */
  readonly views: Float32Array;
  readonly size?: Size;
  readonly image: Tensor;
}

const wave = (i: number): number => Math.sin(0.37 * i) * Math.cos(0.011 * i);

function squareSample(model: AnyRediff): Sample {
  const { imageSize: S } = model.config.vision;
  const views = Float32Array.from({ length: 3 * S * S }, (_, i) => wave(i));
  return { views, image: encodeImage(model, tensor(model.device, views, [1, 3, S, S])) };
}

function tiledSample(model: AnyRediff, tiling: TilingConfig): Sample {
  const { vision } = model.config;
  // Fills no grid of tiles, so that there is a letterbox to leave out, and has features to scale down.
  const size = [3 * vision.imageSize + 7, 2 * vision.imageSize + 3] as const;
  const [width, height] = size;
  const data = Uint8Array.from({ length: 3 * width * height }, (_, i) => 127.5 + 127 * wave(i));
  const picture = { width, height, data };
  const views = [...pictureViews(picture, layTiles(size, vision, tiling), vision.imageSize)];
  return {
    views: Float32Array.from(views.flatMap((view) => [...view])),
    size,
    image: encodePicture(model, picture),
  };
}

const ids = (name: string, values: readonly number[]): StoredTensor => ({
  name,
  dtype: "I32",
  shape: [values.length],
  bytes: new Uint8Array(Int32Array.from(values).buffer),
});
