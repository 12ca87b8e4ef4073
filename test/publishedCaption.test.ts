/**
 * `rediff caption` on a published folder, as its user calls it: prompts, image tokens, ids and text are those of the released code
 * (test/goldens/llavaFolder.py), and what is wrong with a folder is said in one sentence.
 */
import assert from "node:assert/strict";
import { cpSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, describe, test } from "node:test";
import { fileURLToPath } from "node:url";
import { tokenizerFor } from "../src/cli/usage.ts";
import { readImage } from "../src/data/image.ts";
import { loadModel } from "../src/model/checkpoint.ts";
import { encodePicture } from "../src/model/encodePicture.ts";
import { speaksLlava } from "../src/model/published/conversation.ts";
import { parseSafetensors, formatSafetensors, type StoredTensor } from "../src/model/safetensors.ts";
import { chatPrompt } from "../src/model/prompt.ts";
import { embedSequences } from "../src/model/sequence.ts";
import { answerPrompt } from "../src/sample/caption.ts";
import { samplers } from "../src/sample/presets.ts";
import { noGrad, openDevice, scope } from "../src/tensor/index.ts";
import { rediff, refused } from "./support/command.ts";
import { writePng } from "./support/pictures.ts";

interface Run {
  readonly decoder: "mask" | "refine";
  readonly pictures: readonly string[];
  readonly question: string;
  readonly steps: number;
  readonly tokens: number;
  readonly block: number;
  /** Texts that end the answer; the end of turn where there are none. */
  readonly stop?: readonly string[];
  readonly prompt: readonly number[];
  /** Embeddings of the prompt with its images: how many, norm, projection. */
  readonly spliced: readonly [length: number, norm: number, projection: number];
  readonly forwards: number;
  readonly ids: readonly number[];
  readonly text: string;
}

const golden = fileURLToPath(new URL("goldens/llavaFolder", import.meta.url));
const { runs } = JSON.parse(readFileSync(join(golden, "golden.json"), "utf8")) as { runs: readonly Run[] };
const photo = join(golden, "photo.png");

const scratch = mkdtempSync(join(tmpdir(), "rediff-published-"));
after(() => rmSync(scratch, { recursive: true }));

/** Only what differs from what the released demos ask for, so that the defaults are tested too. */
function optionsOf({ decoder, question, tokens, steps, block, stop = [] }: Run): string[] {
  return [
    ...(decoder === "refine" ? ["--decoder", "refine"] : []),
    ...(question === "Please describe the image in detail." ? [] : ["--prompt", question]),
    ...(tokens === 128 ? [] : ["--tokens", String(tokens)]),
    ...(steps === 128 ? [] : ["--steps", String(steps)]),
    ...(block === tokens ? [] : ["--block", String(block)]),
    ...stop.flatMap((text) => ["--stop", text]),
  ];
}

describe("the caption is the released code's", () => {
  for (const run of runs) {
    const options = optionsOf(run);
    test(`caption ${run.pictures.join(" ")} ${options.join(" ")}`, async () => {
      const pictures = run.pictures.map((name) => join(golden, name));
      const { code, out, error } = await rediff("caption", ...pictures, "--checkpoint", golden, ...options, "--json");
      assert.equal(code, 0, error);
      const made = JSON.parse(out) as Record<"prompt" | "ids", number[]> & {
        caption: string;
        steps: number;
        tokens: number;
      };
      assert.deepEqual(made.prompt, run.prompt);
      assert.deepEqual(made.ids.slice(0, made.tokens), run.ids);
      assert.equal(made.caption, run.text);
      assert.equal(made.steps, run.forwards);
    });
  }
});

describe("what a released sampler can do besides", () => {
  const caption = async (...options: string[]) => {
    const given = ["caption", photo, "--checkpoint", golden, "--tokens", "16", "--steps", "4", "--json", ...options];
    const { code, out, error } = await rediff(...given);
    assert.equal(code, 0, error);
    return JSON.parse(out) as { steps: number; ids: number[]; tokens: number; caption: string };
  };

  test("the name of a special token stops as the token does", async () => {
    const [plain, named] = [await caption(), await caption("--stop", "<|eot_id|>")];
    assert.deepEqual({ ...named, ms: 0 }, { ...plain, ms: 0 });
  });

  test("random remasking is the seed's", async () => {
    const ids = async (seed: string) => (await caption("--remasking", "random", "--seed", seed)).ids;
    assert.deepEqual(await ids("1"), await ids("1"));
    const seeds = new Set([String((await caption()).ids), String(await ids("1")), String(await ids("2"))]);
    assert.equal(seeds.size, 3);
  });

  test("self-correction takes the passes that it is given, and says another caption than mask prediction", async () => {
    const corrected = await caption("--decoder", "correct", "--correct-every", "2", "--correct-passes", "1");
    assert.equal(corrected.steps, 4 + 2);
    assert.notDeepEqual(corrected.ids, (await caption("--preset", "paper")).ids);
  });
});

test("prompts with their image tokens are the released code's", async () => {
  const device = await openDevice();
  const model = loadModel(device, golden);
  const C = model.config.text.width;
  for (const { pictures, prompt, spliced } of runs) {
    const images = await Promise.all(pictures.map((name) => readImage(join(golden, name))));
    const [table, index, length] = await noGrad(device, () =>
      scope(device, async () => {
        const tokens = images.map((image) => encodePicture(model, image));
        const { fixed, layout } = embedSequences(model, tokens, { rows: [prompt], canvas: 1 });
        return [(await fixed.read()) as Float32Array, layout.index, layout.promptLengths[0]!] as const;
      }),
    );
    const [wantedLength, norm, projection] = spliced;
    assert.equal(length, wantedLength);
    const values = Float64Array.from({ length: length * C }, (_, i) => table[index[Math.floor(i / C)]! * C + (i % C)]!);
    const of = (weight: (i: number) => number) => values.reduce((sum, value, i) => sum + value * weight(i), 0);
    const projected = of((i) => Math.sin(1.7 * i + ((0.013 * i * i) % 6.25)));
    assert.ok(Math.abs(Math.sqrt(of((i) => values[i]!)) - norm) < 1e-5 * norm);
    assert.ok(Math.abs(projected - projection) < 1e-5 * norm, `${projected} is not ${projection}`);
  }
  await device.close();
});

test("what a picture says of transparency is dropped as the released code drops it, and else lies over white", async () => {
  const kind = { depth: 8, interlaced: false } as const;
  const drawn = (colour: 2 | 6): string => {
    const path = join(scratch, `colour${colour}.png`);
    const sample = (x: number, y: number, c: number) => (c === 3 ? 40 * (x % 5) : (9 * x + 5 * y + 70 * c) % 256);
    writeFileSync(path, writePng(40, 30, { ...kind, colour }, sample));
    return path;
  };
  const ids = async (picture: string, preset: string) => {
    const given = ["--checkpoint", golden, "--preset", preset, "--tokens", "16", "--tokens-per-step", "4", "--json"];
    const { out, error } = await rediff("caption", picture, ...given);
    return (JSON.parse(out || error) as { ids: number[] }).ids;
  };
  const [opaque, transparent] = [drawn(2), drawn(6)];
  assert.deepEqual(await ids(transparent, "reference"), await ids(opaque, "reference"));
  assert.notDeepEqual(await ids(transparent, "fixed"), await ids(opaque, "fixed"));
});

test("a published folder drafts captions of one's own pictures, tiled and with its own prompt", async () => {
  const pictures = mkdtempSync(join(scratch, "pictures-"));
  for (const name of ["photo.png", "photo.jpg"]) cpSync(join(golden, name), join(pictures, name));
  const out = join(scratch, "drafts.jsonl");
  const list = join(pictures, "pictures.json");
  const pairs = ["photo.png", "photo.jpg"].map((image) => ({
    image,
    conversations: [
      { from: "human", value: "<image>\nWhat is it?" },
      { from: "gpt", value: "A photo." },
    ],
  }));
  writeFileSync(list, JSON.stringify(pairs));
  const options = ["--checkpoint", golden, "--decoder", "mask", "--tokens-per-step", "32", "--dtype", "int8"];
  const made = await rediff("draft", ...options, "--data", list, "--out", out);
  assert.equal(made.code, 0, made.error);
  const drafts = readFileSync(out, "utf8")
    .trim()
    .split("\n")
    .map((line) => JSON.parse(line) as { ids: number[] });
  assert.equal(drafts.length, 2);
  const alone = await rediff("caption", join(golden, "photo.png"), ...options, "--preset", "fixed", "--json");
  assert.deepEqual(drafts[0]!.ids, (JSON.parse(alone.out) as { ids: number[] }).ids);
});

describe("a language model alone", () => {
  /** The golden folder's, as LLaDA and ProSeCo are published: with its tokenizer, without tower and projector. */
  function textAlone(): string {
    const copy = mkdtempSync(join(scratch, "text-"));
    for (const name of ["tokenizer.json", "tokenizer_config.json"]) cpSync(join(golden, name), join(copy, name));
    const given = json("config.json");
    const kept = Object.entries(given).filter(([name]) => !/^(mm_|image_|vision_config)/.test(name));
    writeFileSync(join(copy, "config.json"), JSON.stringify({ ...Object.fromEntries(kept), model_type: "llada" }));
    const tensors = readdirSync(golden)
      .filter((name) => name.endsWith(".safetensors"))
      .flatMap((name) => [...parseSafetensors(readFileSync(join(golden, name)), name).tensors.values()])
      .filter(({ name }) => !/vision_tower|mm_projector|image_newline/.test(name));
    writeFileSync(join(copy, "model.safetensors"), formatSafetensors(tensors, {}));
    return copy;
  }

  test("answers a question without a picture, in its own prompt, in any storage", async () => {
    const alone = textAlone();
    const asked = ["--prompt", "Which is older?", "--tokens", "16", "--steps", "4", "--json"];
    const answer = async (...more: string[]) => {
      const { code, out, error } = await rediff("caption", "--checkpoint", alone, ...asked, ...more);
      assert.equal(code, 0, error);
      return JSON.parse(out) as { prompt: number[]; ids: number[]; tokens: number };
    };
    const { prompt, ids } = await answer();
    const tokenizer = tokenizerFor(golden);
    assert.deepEqual(prompt, chatPrompt(tokenizer, [{ role: "user", text: "Which is older?" }]));
    const device = await openDevice();
    const whole = loadModel(device, golden);
    const options = { preset: "reference", canvas: 16, tokensPerStep: 4 } as const;
    const same = await answerPrompt(whole, tokenizer, prompt, samplers.reference.decoder("mask"), options);
    assert.deepEqual(ids, [...same.ids]);
    await device.close();
    assert.equal((await answer("--dtype", "int4")).ids.length, 16);
    assert.equal((await answer("--decoder", "correct", "--correct-passes", "1")).ids.length, 16);
  });

  test("sees no pictures, and says what would", async () => {
    refused(
      await rediff("caption", photo, "--checkpoint", textAlone()),
      /holds a language model alone, and pictures take both\. `rediff export .* --tower/,
    );
    refused(await rediff("caption", "--checkpoint", golden), /--prompt alone, or up to 3 .*; 0 were given/);
    refused(await rediff("caption", "--prompt", "<image>?", "--checkpoint", golden), /it has 1 for 0/);
  });
});

/** A copy of the golden folder without some files, and with others. */
function folder({ without = [], having = {} }: { without?: string[]; having?: Record<string, string | Uint8Array> }) {
  const copy = mkdtempSync(join(scratch, "folder-"));
  cpSync(golden, copy, { recursive: true });
  for (const name of without) rmSync(join(copy, name));
  for (const [name, content] of Object.entries(having)) writeFileSync(join(copy, name), content);
  return copy;
}

const json = (name: string): Record<string, unknown> =>
  JSON.parse(readFileSync(join(golden, name), "utf8")) as Record<string, unknown>;
const config = (change: Record<string, unknown>): string => JSON.stringify({ ...json("config.json"), ...change });

describe("what is wrong with a folder is said in one sentence", () => {
  const caption = (checkpoint: string, ...more: string[]) =>
    rediff("caption", photo, "--checkpoint", checkpoint, ...more);
  const shard = "model-00002-of-00003.safetensors";

  test("a tokenizer or a shard is missing, or of another model", async () => {
    refused(await caption(folder({ without: ["tokenizer.json"] })), /without its tokenizer\.json. Download that too/);
    refused(await caption(folder({ without: [shard] })), /model-00002-of-\d+\.safetensors/);
    const other = config({ eos_token_id: 7 });
    refused(
      await caption(folder({ having: { "config.json": other } })),
      /disagree: <\|endoftext\|> is \d+ .* and 7 in/,
    );
    const llama = config({ model_type: "llava_llama" });
    refused(
      await caption(folder({ having: { "config.json": llama } })),
      /model_type is "llava_llama"; there are llada, llava_llada/,
    );
  });

  test("names that are missing, unexpected and misshapen, all at once", async () => {
    const file = parseSafetensors(readFileSync(join(golden, shard)), shard);
    const [first, second, ...rest] = [...file.tensors.values()] as [StoredTensor, StoredTensor, ...StoredTensor[]];
    const [rows, ...others] = second.shape as [number, ...number[]];
    const bytes = formatSafetensors(
      [{ ...first, name: "model.layers.0.extra.weight" }, { ...second, shape: [1, rows, ...others] }, ...rest],
      {},
    );
    const index = json("model.safetensors.index.json") as { weight_map: Record<string, string> };
    delete index.weight_map[first.name];
    index.weight_map["model.layers.0.extra.weight"] = shard;
    const damaged = folder({ having: { [shard]: bytes, "model.safetensors.index.json": JSON.stringify(index) } });
    refused(
      await caption(damaged),
      new RegExp(
        `Missing \\(1\\): ${first.name}\\. Unexpected \\(1\\): model\\.layers\\.0\\.extra\\.weight\\. Of another shape \\(1\\): ${second.name}`,
      ),
    );
  });

  test("options that the released sampler cannot follow, before weights are read", async () => {
    refused(await caption(golden, "--block", "48"), /48 does not divide 128/);
    refused(await caption(golden, "--block", "32", "--steps", "10"), /multiple of the 4 blocks; they are 10/);
    refused(await caption(golden, "--block", "256"), /--block 256 is more than the 128 tokens/);
    refused(
      await caption(golden, "--preset", "fixed", "--steps", "100"),
      /--steps 100 cannot be had .* 2 tokens a step are 64 steps/,
    );
    refused(await caption(golden, "--steps", "4", "--tokens-per-step", "4"), /give one of them/);
    refused(await caption(golden, "--ends", "any"), /--gate and --ends are ours/);
    refused(await caption(golden, "--stop", ""), /--stop is a text; it is empty/);
    refused(await caption(golden, "--preset", "fixed", "--stop", "."), /--stop belong to --preset reference/);
    refused(await caption(golden, "--decoder", "correct", "--remasking", "random"), /--remasking and --stop belong to/);
    refused(await caption(golden, "--remasking", "entropy"), /one of low_confidence, random; it is entropy/);
    refused(await caption(golden, "--correct-every", "2"), /belong to --decoder correct/);
    refused(await caption(golden, "--decoder", "correct", "--block", "48"), /48 does not divide 128/);
    refused(await caption(golden, "--prompt", "<image> and <image>?"), /it has 2 for 1/);
    refused(await caption(golden, "--prompt", " "), /--prompt is a question; it is empty/);
    refused(
      await rediff("caption", ...Array<string>(4).fill(photo)),
      /up to 3 with a question about them; 4 were given/,
    );
  });
});

describe("whose prompt a folder answers", () => {
  test("LLaDA-V's where it is published and no export of ours", () => {
    assert.ok(speaksLlava(golden));
    assert.ok(!speaksLlava(folder({ having: { "config.json": config({ canvas: 64 }) } })));
    assert.ok(!speaksLlava(folder({ having: { "config.json": JSON.stringify({ name: "nano" }) } })));
  });

  test("LLaDA's template in either file and either form, and no other", () => {
    const { chat_template: template } = json("tokenizer_config.json") as { chat_template: string };
    const answer = "{{ '<|start_header_id|>assistant<|end_header_id|>\n\n' }}";
    assert.ok(template.endsWith(answer));
    const asked = template.replace(answer, `\n{% if add_generation_prompt %}\n${answer}\n{% endif %}`);
    assert.ok(speaksLlava(folder({ having: { "chat_template.jinja": asked } })));
    const other = folder({ having: { "chat_template.jinja": template.replace("\n\n", "\n") } });
    assert.throws(() => speaksLlava(other), /chat_template\.jinja has a chat template that is not LLaDA's/);
    assert.ok(speaksLlava(folder({ without: ["tokenizer_config.json"] })));
  });
});
