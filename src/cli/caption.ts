/** `rediff caption PICTURE`: one caption, as text or as JSON. */
import { readImage } from "../data/image.ts";
import { toPixels } from "../data/resize.ts";
import { learnedToRevise, loadModel } from "../model/checkpoint.ts";
import { captionImages, captionLength } from "../sample/caption.ts";
import { samplerNames, samplers } from "../sample/presets.ts";
import { openDevice } from "../tensor/index.ts";
import {
  decimal,
  decodeOptions,
  oneOf,
  parse,
  shippedCheckpoint,
  tokenizerFor,
  UsageError,
  wholeNumber,
} from "./usage.ts";

const help = `rediff caption PICTURE [options]

Describes a PNG or JPEG picture. The shipped model knows flags.

  --decoder NAME         refine (section 3.4; default for weights that were trained to revise, as the shipped ones) or mask
  --preset NAME          fixed (default); paper; reference: as the released code, token for token
  --tokens-per-step N    tokens committed a step (default 1)
  --block N              decode in blocks of N tokens, left to right (default: the whole canvas)
  --ends WHEN            last: the ends of a caption are committed after everything else in the block (default); any: by
                         confidence, as every token, which makes captions short
  --cache prompt         keep the prompt's keys and values between steps: faster, and an approximation (default none)
  --refresh N            of the cache: make it again every N steps (default never)
  --gate P               refine only: replace a token when the new one has at least this probability (default 0)
  --temperature X        0 takes the most probable token (default), above it samples
  --seed N               of the sampling (default 0)
  --checkpoint DIR       folder with config.json and model.safetensors (default: the shipped one)
  --json                 tokens, steps and their history as JSON
  --timing               how long it took, from the start of the program, as a line on standard error`;

export async function run(args: readonly string[]): Promise<void> {
  const { values, positionals } = parse(
    args,
    {
      decoder: { type: "string" },
      preset: { type: "string" },
      "tokens-per-step": { type: "string" },
      block: { type: "string" },
      ends: { type: "string" },
      cache: { type: "string" },
      refresh: { type: "string" },
      gate: { type: "string" },
      temperature: { type: "string" },
      seed: { type: "string" },
      checkpoint: { type: "string" },
      json: { type: "boolean" },
      timing: { type: "boolean" },
      help: { type: "boolean", short: "h" },
    },
    true,
  );
  if (values.help) return console.log(help);
  const [path] = positionals;
  if (path === undefined || positionals.length > 1)
    throw new UsageError(`caption takes one picture; ${positionals.length} were given. See \`rediff caption --help\`.`);
  const checkpoint = values.checkpoint ?? shippedCheckpoint;
  const decoderName = oneOf("decoder", values.decoder, learnedToRevise(checkpoint) ? "refine" : "mask", [
    "mask",
    "refine",
  ]);
  const tokensPerStep = wholeNumber("tokens-per-step", values["tokens-per-step"], 1, { max: 4096 });
  const decode = decodeOptions(values);
  const temperature = decimal("temperature", values.temperature, 0, { max: 100 });
  const seed = wholeNumber("seed", values.seed, 0, { min: 0, max: 2 ** 31 });
  const gate = decimal("gate", values.gate, 0, { max: 1 });
  if (values.gate !== undefined && decoderName !== "refine")
    throw new UsageError("--gate belongs to --decoder refine; mask prediction replaces nothing.");
  const preset = oneOf("preset", values.preset, "fixed", samplerNames);
  if (preset === "reference" && (values.gate ?? values.ends) !== undefined)
    throw new UsageError("--gate and --ends are ours; the released code (--preset reference) has neither.");
  const picture = await readImage(path);

  const device = await openDevice();
  try {
    const model = loadModel(device, checkpoint);
    const tokenizer = tokenizerFor(checkpoint);
    const pixels = toPixels(picture, model.config.vision.imageSize);
    const decoder = samplers[preset].decoder(decoderName, gate);
    const options = { preset, tokensPerStep, temperature, seed, ...decode, history: values.json === true };
    const started = performance.now();
    let first: number | undefined;
    const onStep = () => void (first ??= performance.now());
    const watched = values.timing ? { ...options, onStep } : options;
    const [caption] = await captionImages(model, tokenizer, [pixels], decoder, watched);
    const ms = performance.now() - started;
    if (first !== undefined) console.error(timing(started, first, started + ms, caption!.steps));
    const { text, ids, steps, history } = caption!;
    if (!values.json) return console.log(text);
    const length = captionLength(ids, tokenizer);
    console.log(
      JSON.stringify({
        picture: path,
        caption: text,
        decoder: decoderName,
        tokensPerStep,
        steps,
        tokens: length,
        ms: Math.round(ms),
        ids: [...ids],
        history: history.map((step) => ({ ids: [...step.ids], changes: [...step.changes] })),
      }),
    );
  } finally {
    await device.close();
  }
}

/** Times count from the start of the program. The first step of all encodes the picture, and compiles what is not cached. */
function timing(started: number, first: number, end: number, steps: number): string {
  const seconds = (ms: number): string => `${(ms / 1000).toFixed(2)} s`;
  const later = steps > 1 ? `, then ${((end - first) / (steps - 1)).toFixed(0)} ms a step` : "";
  return `first tokens after ${seconds(first)}: ${seconds(started)} to start and load, ${seconds(first - started)} for the first of ${steps} steps${later}`;
}
