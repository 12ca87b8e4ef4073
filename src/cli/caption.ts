/** `rediff caption PICTURE…`: one caption, as text or as JSON. */
import { readImage } from "../data/image.ts";
import { tokensOfPicture } from "../model/anyResolution.ts";
import { checkpointConfig, languageConfig, learnedToRevise } from "../model/checkpoint.ts";
import { hasVision } from "../model/config.ts";
import { askAbout, captionPrompt } from "../model/prompt.ts";
import { speaksLlava } from "../model/published/conversation.ts";
import { answerPrompt, type Caption, type CaptionOptions, captionPictures } from "../sample/caption.ts";
import type { Decoder } from "../sample/decoder.ts";
import { decoderKinds, type SamplerName, samplerNames, samplers } from "../sample/presets.ts";
import { remaskings } from "../sample/reference.ts";
import { blockSteps } from "../sample/referenceDecoder.ts";
import { blockSchedule } from "../sample/schedules.ts";
import { openDevice } from "../tensor/index.ts";
import {
  decimal,
  decodeOptions,
  oneOf,
  parse,
  promptFor,
  shippedCheckpoint,
  tokenizerFor,
  UsageError,
  wholeNumber,
} from "./usage.ts";
import { loadLanguageToUse, loadToUse, weightChoice, weightOptions } from "./weights.ts";

const help = `rediff caption [PICTURE...] [options]

Describes a PNG, JPEG or WebP picture, or answers a question about up to three. The shipped model knows flags. Without a picture it
answers --prompt, as LLaDA's and ProSeCo's folders do, which have no eyes (for ProSeCo add --decoder correct).
--checkpoint takes the published folders of LLaDA-V and ReDiff too: with their prompt, tiles and sampler, as generate_demo.py of
either calls them (128 tokens in 128 steps; for ReDiff add --decoder refine).

  --checkpoint DIR       folder with config.json, safetensors and, if published, tokenizer.json (default: the shipped one)
  --dtype TYPE           matrices as f32, f16, int8 or int4; auto (default): the first of these that fits
  --memory GB            what your GPU has, for --dtype auto; WebGPU does not tell, and 8 are assumed
  --matmul TYPE          f32 (default), or f16: matrix units may round what they multiply, but for int8 and int4 matrices; for
                         GPUs that have them
  --prompt TEXT          the question (default "Please describe the image in detail."); <image> in it is a picture's place
  --decoder NAME         refine (section 3.4; default for our weights that were trained to revise, as the shipped ones), mask, or
                         correct: mask prediction that looks again at all it has written, as ProSeCo
  --preset NAME          fixed (default); paper; reference: as the released code, token for token (default for published
                         folders). It chooses the sampler; the prompt remains the one that the weights were trained with
  --tokens N             length of the canvas (default: as the weights were trained; 128 for published folders)
  --steps N              decoding steps (default: one for each token)
  --tokens-per-step N    instead of --steps: tokens committed a step (default 1)
  --block N              decode in blocks of N tokens, left to right (default: the whole canvas)
  --ends WHEN            last: the ends of a caption are committed after everything else in the block (default); any: by
                         confidence, as every token, which makes captions short. Not with --preset reference
  --cache prompt         keep the prompt's keys and values between steps: faster, and an approximation (default none)
  --refresh N            of the cache: make it again every N steps (default never)
  --gate P               refine only: replace a token when the new one has at least this probability (default 0). Not with
                         --preset reference
  --correct-every N      correct only: at every so many steps (default 2)
  --correct-passes N     correct only: until nothing changes, but so many passes at most (default 4)
  --remasking NAME       --preset reference only: which tokens a step commits, low_confidence (LLaDA's word for: the most
                         probable; default) or random
  --stop TEXT            --preset reference only: ends the caption instead of the end of turn; may be given again
  --temperature X        0 takes the most probable token (default), above it samples
  --seed N               of the sampling (default 0)
  --json                 prompt, tokens, steps and their history as JSON
  --timing               how long it took, from the start of the program, as a line on standard error`;

/** LLaDA-V's tiles make up to 3,700 tokens of a picture, so a few pictures fill the positions that it was trained for. */
const MOST_PICTURES = 3;

export async function run(args: readonly string[]): Promise<void> {
  const { values, positionals: paths } = parse(
    args,
    {
      checkpoint: { type: "string" },
      ...weightOptions,
      prompt: { type: "string" },
      decoder: { type: "string" },
      preset: { type: "string" },
      tokens: { type: "string" },
      steps: { type: "string" },
      "tokens-per-step": { type: "string" },
      block: { type: "string" },
      ends: { type: "string" },
      cache: { type: "string" },
      refresh: { type: "string" },
      gate: { type: "string" },
      "correct-every": { type: "string" },
      "correct-passes": { type: "string" },
      remasking: { type: "string" },
      stop: { type: "string", multiple: true },
      temperature: { type: "string" },
      seed: { type: "string" },
      json: { type: "boolean" },
      timing: { type: "boolean" },
      help: { type: "boolean", short: "h" },
    },
    true,
  );
  if (values.help) return console.log(help);
  if (paths.length > MOST_PICTURES || (paths.length < 1 && values.prompt === undefined))
    throw new UsageError(
      `caption takes one picture, --prompt alone, or up to ${MOST_PICTURES} with a question about them; ${paths.length} were given. See \`rediff caption --help\`.`,
    );
  const weights = weightChoice(values);
  const decode = decodeOptions(values);
  const temperature = decimal("temperature", values.temperature, 0, { max: 100 });
  const seed = wholeNumber("seed", values.seed, 0, { min: 0, max: 2 ** 31 });
  const gate = decimal("gate", values.gate, 0, { max: 1 });
  const remasking = oneOf("remasking", values.remasking, "low_confidence", remaskings);
  const correction = {
    every: wholeNumber("correct-every", values["correct-every"], 2, { max: 4096 }),
    passes: wholeNumber("correct-passes", values["correct-passes"], 4, { max: 4096 }),
  };
  if (values.stop?.includes("")) throw new UsageError("--stop is a text; it is empty.");
  if (values.prompt?.trim() === "") throw new UsageError("--prompt is a question; it is empty.");
  if (values.steps !== undefined && values["tokens-per-step"] !== undefined)
    throw new UsageError("--steps and --tokens-per-step say the same in two ways; give one of them.");
  const given = {
    tokens: optionalCount("tokens", values.tokens),
    steps: optionalCount("steps", values.steps),
    tokensPerStep: wholeNumber("tokens-per-step", values["tokens-per-step"], 1, { max: 4096 }),
    block: decode.block,
  };

  // Everything that a folder's headers can contradict, before its weights are read.
  const checkpoint = values.checkpoint ?? shippedCheckpoint;
  const config = paths.length ? checkpointConfig(checkpoint) : languageConfig(checkpoint);
  const tokenizer = tokenizerFor(checkpoint);
  const isLlava = speaksLlava(checkpoint);
  const decoder = oneOf("decoder", values.decoder, learnedToRevise(checkpoint) ? "refine" : "mask", decoderKinds);
  if (values.gate !== undefined && decoder !== "refine")
    throw new UsageError("--gate belongs to --decoder refine; mask prediction replaces nothing.");
  if (decoder !== "correct" && (values["correct-every"] ?? values["correct-passes"]) !== undefined)
    throw new UsageError("--correct-every and --correct-passes belong to --decoder correct.");
  const preset = oneOf("preset", values.preset, isLlava ? "reference" : "fixed", samplerNames);
  if (preset === "reference" && (values.gate ?? values.ends) !== undefined)
    throw new UsageError("--gate and --ends are ours; the released code (--preset reference) has neither.");
  if ((preset !== "reference" || decoder === "correct") && (values.remasking ?? values.stop) !== undefined)
    throw new UsageError("--remasking and --stop belong to --preset reference, with --decoder mask or refine.");
  const pace = paceOf(decoder === "correct" ? "reference" : preset, {
    ...given,
    tokens: given.tokens ?? config.text.canvas,
  });
  const asked = askAbout(paths.length, values.prompt);
  const prompt = hasVision(config)
    ? promptFor(checkpoint, tokenizer, asked, preset === "reference" ? "reference" : "fixed")
    : captionPrompt(tokenizer, asked);
  // The released code drops what pictures say of transparency.
  const transparency = preset === "reference" ? "dropped" : "white";
  const pictures = await Promise.all(paths.map((path) => readImage(path, transparency)));

  const device = await openDevice();
  try {
    const cache = decode.cache === "prompt";
    const decoding = { batch: 1, prompt: prompt.length, canvas: pace.canvas, cache };
    /** Loads, so that what follows is the caption alone. */
    const load = async (): Promise<(decoder: Decoder, options: CaptionOptions) => Promise<Caption>> => {
      if (!pictures.length || !hasVision(config)) {
        const model = await loadLanguageToUse(device, checkpoint, weights, decoding);
        return (...how) => answerPrompt(model, tokenizer, prompt, ...how);
      }
      const picture = pictures.reduce((sum, { width, height }) => sum + tokensOfPicture([width, height], config), 0);
      const model = await loadToUse(device, checkpoint, weights, { ...decoding, picture });
      return (...how) => captionPictures(model, tokenizer, pictures, ...how);
    };
    const decoded = await load();
    const rules = { gate, remasking, ...correction, ...(given.steps ? { steps: given.steps } : {}) };
    const sampler = samplers[preset].decoder(decoder, rules);
    const stops = values.stop && { stops: values.stop };
    const options = { preset, prompt, temperature, seed, ...stops, ...decode, ...pace, history: values.json === true };
    const started = performance.now();
    let first: number | undefined;
    const onStep = () => void (first ??= performance.now());
    const watched = values.timing ? { ...options, onStep } : options;
    const caption = await decoded(sampler, watched);
    const ms = performance.now() - started;
    if (first !== undefined) console.error(timing(started, first, started + ms, caption.steps));
    if (!values.json) return console.log(caption.text);
    console.log(
      JSON.stringify({
        pictures: paths,
        caption: caption.text,
        decoder,
        preset,
        steps: caption.steps,
        tokens: caption.length,
        ms: Math.round(ms),
        prompt,
        ids: [...caption.ids],
        history: caption.history.map((step) => ({ ids: [...step.ids], changes: [...step.changes] })),
      }),
    );
  } finally {
    await device.close();
  }
}

const optionalCount = (name: string, text: string | undefined): number | undefined =>
  text === undefined ? undefined : wholeNumber(name, text, 1, { max: 16_384 });

interface Pace {
  readonly tokens: number;
  readonly steps: number | undefined;
  readonly tokensPerStep: number;
  readonly block: number | undefined;
}

/** Canvas and tokens a step; throws where the sampler cannot divide the canvas so. Self-correction divides it as `reference`. */
function paceOf(
  schedule: SamplerName,
  { tokens: canvas, steps, tokensPerStep, block = canvas }: Pace,
): { canvas: number; tokensPerStep: number } {
  if (block > canvas) throw new UsageError(`--block ${block} is more than the ${canvas} tokens of the canvas.`);
  if (schedule === "reference") blockSteps(canvas, block, tokensPerStep, steps);
  if (schedule === "reference" || steps === undefined) return { canvas, tokensPerStep };
  const each = Math.ceil(canvas / steps);
  const made = blockSchedule(canvas, block, each).reduce((sum, { commits }) => sum + commits.length, 0);
  if (made !== steps)
    throw new UsageError(
      `--steps ${steps} cannot be had by --preset ${schedule}: ${each} tokens a step are ${made} steps for ${canvas} tokens${block < canvas ? ` in blocks of ${block}` : ""}. Give --tokens-per-step.`,
    );
  return { canvas, tokensPerStep: each };
}

/** Times count from the start of the program. The first step of all encodes the picture, and compiles what is not cached. */
function timing(started: number, first: number, end: number, steps: number): string {
  const seconds = (ms: number): string => `${(ms / 1000).toFixed(2)} s`;
  const later = steps > 1 ? `, then ${((end - first) / (steps - 1)).toFixed(0)} ms a step` : "";
  return `first tokens after ${seconds(first)}: ${seconds(started)} to start and load, ${seconds(first - started)} for the first of ${steps} steps${later}`;
}
