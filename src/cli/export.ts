/** `rediff export`: a checkpoint as PyTorch implementations read it, and logits to compare them with. */
import { copyFileSync, existsSync } from "node:fs";
import { join, resolve } from "node:path";
import { type AnyRediff, encodeImage } from "../model/rediff.ts";
import { loadModelAs, openModel } from "../model/checkpoint.ts";
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
import { noGrad, openDevice, scope, tensor } from "../tensor/index.ts";
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
vision tower by itself: LLaDA-V's own code builds it from there, if it is called where --out's path is the same.

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
 * One forward pass: `pixels` (1, 3, S, S) of waves, `before` and `after` the image, `canvas` (T) with a mask at two places of
 * three, and what comes out: `image` (P, C) and `logits` (T, V).
 */
function sample(model: AnyRediff, tokenizer: Tokenizer): Promise<StoredTensor[]> {
  const { device, config } = model;
  const { imageSize: S } = config.vision;
  const { canvas: T, vocabulary: V, width: C } = config.text;
  const pixels = Float32Array.from({ length: 3 * S * S }, (_, i) => Math.sin(0.37 * i) * Math.cos(0.011 * i));
  const prompt = captionPrompt(tokenizer);
  const mask = tokenizer.idOf(specialTokens.mask);
  const canvas = Array.from({ length: T }, (_, i) => (i % 3 ? mask : (31 * i) % tokenizer.vocabSize));
  return noGrad(device, () =>
    scope(device, async () => {
      const image = encodeImage(model, tensor(device, pixels, [1, 3, S, S]));
      const logits = canvasLogits(model, [image], [prompt], tensor(device, canvas, [1, T], "u32"));
      const at = prompt.indexOf(IMAGE);
      return [
        f32ToStored("pixels", [1, 3, S, S], pixels, "F32"),
        ids("before", prompt.slice(0, at)),
        ids("after", prompt.slice(at + 1)),
        ids("canvas", canvas),
        f32ToStored("image", [image.shape[1]!, C], (await image.read()) as Float32Array, "F32"),
        f32ToStored("logits", [T, V], (await logits.read()) as Float32Array, "F32"),
      ];
    }),
  );
}

const ids = (name: string, values: readonly number[]): StoredTensor => ({
  name,
  dtype: "I32",
  shape: [values.length],
  bytes: new Uint8Array(Int32Array.from(values).buffer),
});
