/** The commands as a user calls them: what they print, and one clear sentence with exit code 2 for bad input. */
import assert from "node:assert/strict";
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { PNG } from "pngjs";
import { saveModel } from "../src/model/checkpoint.ts";
import { preset } from "../src/model/config.ts";
import { createRediff } from "../src/model/rediff.ts";
import { openDevice } from "../src/tensor/index.ts";
import { type Outcome, rediff, refused } from "./support/command.ts";

let folder: string;
let checkpoint: string;
let flag: string;

before(async () => {
  folder = mkdtempSync(join(tmpdir(), "rediff-cli-"));
  checkpoint = join(folder, "nano");
  flag = join(folder, "flag.png");
  const device = await openDevice();
  await saveModel(createRediff(device, preset("nano"), 1), checkpoint);
  await device.close();
  writeFileSync(flag, picture(30, 20));
});
after(() => rmSync(folder, { recursive: true }));

/** A PNG of red over white. */
function picture(width: number, height: number, options: ConstructorParameters<typeof PNG>[0] = {}): Buffer {
  const png = new PNG({ width, height, ...options });
  for (let i = 0; i < width * height; i++)
    png.data.set(i < (width * height) / 2 ? [200, 0, 0, 255] : [255, 255, 255, 255], 4 * i);
  return PNG.sync.write(png, options);
}

const caption = (...args: string[]): Promise<Outcome> => rediff("caption", ...args, "--checkpoint", checkpoint);

describe("caption", () => {
  test("prints a line, and with --json all that happened", async () => {
    const plain = await caption(flag, "--tokens-per-step", "4");
    assert.equal(plain.code, 0, plain.error);
    assert.equal(plain.out.trim().split("\n").length, 1);
    const json = await caption(flag, "--tokens-per-step", "4", "--decoder", "mask", "--json");
    const result = JSON.parse(json.out) as {
      steps: number;
      caption: string;
      ids: number[];
      history: { ids: number[]; changes: number[] }[];
    };
    assert.equal(result.steps, 6);
    assert.equal(result.history.length, 6);
    assert.deepEqual(result.history.at(-1)!.ids, result.ids);
  });

  test("takes any picture: 1×1, 16-bit, grey, 20,000 wide", async () => {
    const kinds = [
      picture(1, 1),
      picture(30, 20, { bitDepth: 16, inputHasAlpha: true }),
      picture(30, 20, { colorType: 0 }),
      picture(20_000, 2),
    ];
    for (const [i, bytes] of kinds.entries()) {
      const path = join(folder, `${i}.png`);
      writeFileSync(path, bytes);
      const { code, error } = await caption(path, "--tokens-per-step", "24");
      assert.equal(code, 0, error);
    }
  });

  test("refuses what is no picture", async () => {
    const broken = join(folder, "broken.png");
    refused(await caption(join(folder, "missing.png")), /no such file/);
    refused(await caption(folder), /folder|director/i);
    for (const [bytes, pattern] of [
      [readFileSync(flag).subarray(0, 60), /complete|too early/],
      [Buffer.from("not a picture"), /only PNG, JPEG and WebP/],
      [Buffer.alloc(0), /empty/],
    ] as const) {
      writeFileSync(broken, bytes);
      refused(await caption(broken), pattern);
    }
  });

  test("refuses options out of range", async () => {
    for (const n of ["0", "-1", "1e9", "x", "1.5", ""])
      refused(await caption(flag, `--tokens-per-step=${n}`), /--tokens-per-step must be a whole number from 1 to 4096/);
    refused(await caption(flag, "--decoder", "beam"), /--decoder must be one of mask, refine/);
    refused(await caption(flag, "--temperature=-1"), /--temperature must be a number from 0 to 100; it is -1/);
    refused(await caption(flag, "--temperature", "-1"), /A value that begins with - is written --name=-1/);
    refused(await caption(flag, "--colour"), /Unknown option '--colour'/);
    refused(await caption(), /caption takes one picture, --prompt alone, or up to 3 .*; 0 were given/);
    refused(await rediff("captoin"), /There is no command captoin/);
  });

  test("refuses damaged checkpoints", async () => {
    const bad = join(folder, "bad");
    mkdirSync(bad);
    const config = readFileSync(join(checkpoint, "config.json"));
    const weights = readFileSync(join(checkpoint, "model.safetensors"));
    const lying = Buffer.from(weights);
    lying.writeBigUInt64LE(2n ** 60n);
    const cases: [Buffer, Buffer, RegExp][] = [
      [config, weights.subarray(0, weights.length - 100), /cut short/],
      [config, lying, /header claims/],
      [
        config,
        Buffer.from(weights.toString("latin1").replaceAll('"F16"', '"I16"'), "latin1"),
        /Neither floats \(F32, .*\) nor I8, so no weights \(44\): .* is I16/,
      ],
      [Buffer.from(config.toString().replace('"width": 32', '"width": 64')), weights, /does not fit its config/],
    ];
    for (const [configBytes, weightBytes, pattern] of cases) {
      writeFileSync(join(bad, "config.json"), configBytes);
      writeFileSync(join(bad, "model.safetensors"), weightBytes);
      refused(await rediff("caption", flag, "--checkpoint", bad), pattern);
    }
    refused(await rediff("caption", flag, "--checkpoint", join(folder, "nowhere")), /A checkpoint is a folder/);
  });
});

test("an --out that cannot be written is refused at once, before any work", async () => {
  const below = join(flag, "out");
  // Below /proc Node's own recursive mkdir never returns.
  const places = [below, ...(process.platform === "linux" ? ["/proc/rediff/out"] : [])];
  const commands = [["export"], ["train", "base"], ["train", "rediff"], ["draft"], ["eval"], ["demo"]];
  for (const place of places)
    await Promise.all(
      commands.map(async (command) =>
        refused(await rediff(...command, "--out", place), /^rediff: --out .* cannot be written/),
      ),
    );
  refused(await rediff("eval", "--out", folder), /--out must be a file; .* is a folder/);
  refused(await rediff("export", "--out", flag), /--out must be a folder; .* is a file/);
});

describe("train", () => {
  test("refuses what is no revision, and leaves the file as it is", async () => {
    const path = join(folder, "revisions.jsonl");
    const good = JSON.stringify({ seed: 1, index: 2, ids: [1], segments: [] });
    for (const [text, pattern] of [
      [`${good}\n{"seed": 1, "index": 2, "ids": [1]}`, /line 2 is no revision. segments: /],
      [`${good}\n{"seed": 1,`, /line 2 is not JSON/],
    ] as const) {
      writeFileSync(path, text);
      refused(await rediff("train", "stage2", path, "--out", join(folder, "stage2")), pattern);
      assert.equal(readFileSync(path, "utf8"), text);
    }
    refused(await rediff("train", "stage2", join(folder, "none.jsonl")), /revisions cannot be read.*no such file/);
  });

  test("refuses options of a later part before the first begins", async () => {
    const out = join(folder, "whole");
    refused(await rediff("train", "rediff", "--out", out, "--drafts", "0"), /--drafts must be a whole number/);
    refused(await rediff("train", "rediff", "--out", out, "--recipe", "mine"), /--recipe must be one of/);
    assert.ok(!existsSync(out));
  });

  test("trains, stops, goes on, and leaves a model that captions", async () => {
    const run = join(folder, "run");
    const train = (...more: string[]) =>
      rediff(
        "train",
        "base",
        "--preset",
        "nano",
        "--steps",
        "6",
        "--batch",
        "2",
        "--sample-every",
        "0",
        "--out",
        run,
        ...more,
      );
    const first = await train("--until", "3");
    assert.equal(first.code, 0, first.error);
    assert.match(first.out, /GFLOP\/s[\s\S]*Step 3 of 6 is saved/);
    const second = await train();
    assert.match(second.out, /going on from step 3[\s\S]*Step 6 of 6 is saved/);
    const steps = readFileSync(join(run, "log.jsonl"), "utf8")
      .trim()
      .split("\n")
      .map((line) => (JSON.parse(line) as { step: number }).step);
    assert.deepEqual(steps, [0, 1, 2, 3, 4, 5]);
    assert.equal((await rediff("caption", flag, "--checkpoint", join(run, "model"))).code, 0);
    refused({ ...(await train("--seed", "2")), out: "" }, /was begun with other options/);
  });

  test("train vision leaves weights that train base --vision takes", async () => {
    const vision = join(folder, "vision");
    const short = ["--preset", "nano", "--steps", "2", "--batch", "2"];
    const first = await rediff("train", "vision", ...short, "--sample-every", "2", "--out", vision);
    assert.equal(first.code, 0, first.error);
    assert.match(first.out, /step 2: .*charge colour \d+ %[\s\S]*Step 2 of 2 is saved/);
    const out = join(folder, "grounded");
    const weights = join(vision, "model");
    const base = (...more: string[]) =>
      rediff("train", "base", ...short, "--sample-every", "0", "--out", out, "--noise", "high", ...more);
    const second = await base("--vision", weights);
    assert.equal(second.code, 0, second.error);
    refused({ ...(await base()), out: "" }, /was begun with other options/);
    const misfit = await rediff("train", "base", "--preset", "small", "--vision", weights, "--out", `${out}-small`);
    refused({ ...misfit, out: "" }, /Of another shape/);
  });

  test("refuses what it cannot do", async () => {
    refused(await rediff("train"), /train takes one stage: vision, base, stage1, stage2, rediff/);
    refused(await rediff("train", "base", "--noise", "low"), /--noise must be one of uniform, high/);
    refused(await rediff("train", "base", "--steps", "0"), /--steps must be a whole number/);
    refused(await rediff("train", "base", "--preset", "huge"), /--preset must be one of nano, small/);
    refused(await rediff("train", "stage1", "--recipe", "mine"), /--recipe must be one of paper, reference, fixed/);
    refused(await rediff("train", "stage2"), /train stage2 takes one file of `rediff revise`/);
    refused(await rediff("draft", "--shard", "3/2"), /--shard must be I\/N/);
  });
});

test("help", async () => {
  for (const args of [
    [],
    ["--help"],
    ["caption", "--help"],
    ["train", "--help"],
    ["train", "vision", "--help"],
    ["train", "stage1", "--help"],
    ["train", "stage2", "--help"],
    ["train", "rediff", "--help"],
    ["draft", "--help"],
    ["eval", "--help"],
    ["demo", "--help"],
  ]) {
    const { code, out } = await rediff(...args);
    assert.equal(code, 0);
    assert.match(out, /rediff/);
  }
});
