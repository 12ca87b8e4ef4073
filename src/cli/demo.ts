/**
 * `npm run demo`: real flags, captioned by mask prediction and by refining at 8 tokens a step, side by side, tokens
 * changing colour as they are revised; beside them what mask prediction says with all the time it wants, one token a step;
 * then a report with pictures.
 */
import { resolve } from "node:path";
import { realFlagImage, realFlags } from "../data/realFlags.ts";
import { writeAtomically } from "../model/files.ts";
import type { AnyRediff } from "../model/rediff.ts";
import type { Tokenizer } from "../model/tokenizer.ts";
import { type Caption, type CaptionStep, captionPictures } from "../sample/caption.ts";
import type { Decoder } from "../sample/decoder.ts";
import { maskPredict } from "../sample/maskPredict.ts";
import { refine } from "../sample/refine.ts";
import { openDevice } from "../tensor/index.ts";
import { adapterLine } from "./adapter.ts";
import { captionReport, replacedTokens, type ReportedFlag } from "./report.ts";
import { columns, paint, paintCanvas, rewrite, wrap } from "./terminal.ts";
import {
  outFile,
  parse,
  promptFor,
  shippedBase,
  shippedCheckpoint,
  tokenizerFor,
  UsageError,
  wholeNumber,
} from "./usage.ts";
import { loadToUse, weightChoice, weightOptions } from "./weights.ts";

const help = `rediff demo [options]

  --flags LIST           ISO codes of real flags (default nl,jp,se)
  --tokens-per-step N    default 8
  --checkpoint DIR       weights that refine (default: the shipped ones)
  --base DIR             weights that predict masks (default: the shipped base, or else those of --checkpoint)
  --dtype TYPE, --memory GB, --matmul TYPE  as in \`rediff caption\`, of each of the two
  --out FILE             the report (default runs/demo/report.html)`;

type DecoderName = "mask prediction" | "refining";
const decoders: Readonly<Record<DecoderName, Decoder>> = { "mask prediction": maskPredict, refining: refine };
const names = Object.keys(decoders) as DecoderName[];

export async function run(args: readonly string[]): Promise<void> {
  const { values } = parse(args, {
    flags: { type: "string" },
    "tokens-per-step": { type: "string" },
    checkpoint: { type: "string" },
    base: { type: "string" },
    ...weightOptions,
    out: { type: "string" },
    help: { type: "boolean", short: "h" },
  });
  if (values.help) return console.log(help);
  const tokensPerStep = wholeNumber("tokens-per-step", values["tokens-per-step"], 8, { max: 4096 });
  const all = await realFlags();
  const chosen = (values.flags ?? "nl,jp,se").split(",").map((id) => {
    const flag = all.find((candidate) => candidate.id === id.trim().toLowerCase());
    if (!flag)
      throw new UsageError(
        `--flags takes ISO codes of the ${all.length} real flags, such as nl, jp, br; ${id} is none of them.`,
      );
    return flag;
  });
  const weights = weightChoice(values);
  const out = outFile(resolve(values.out ?? "runs/demo/report.html"));

  const started = performance.now();
  const device = await openDevice();
  console.log(await adapterLine(device));
  const checkpoint = values.checkpoint ?? shippedCheckpoint;
  const base = values.base ?? values.checkpoint ?? shippedBase;
  const tokenizer = tokenizerFor(checkpoint);
  const asked = { "mask prediction": promptFor(base, tokenizer), refining: promptFor(checkpoint, tokenizer) };
  const load = (folder: string, prompt: readonly number[]) =>
    loadToUse(device, folder, weights, { batch: 1, prompt: prompt.length });
  const models: Readonly<Record<DecoderName, AnyRediff>> = {
    "mask prediction": await load(base, asked["mask prediction"]),
    refining: await load(checkpoint, asked.refining),
  };
  const legend = `${paint("bold", "just committed")}, ${paint("yellow", "replaced by the refining decoder")}, settled`;
  console.log(`${tokensPerStep} tokens a step. Tokens: ${legend}.\n`);

  const shown: ReportedFlag[] = [];
  for (const flag of chosen) {
    console.log(`${wrap(`${flag.name} — a person wrote: ${flag.visual}`, columns())}\n`);
    const image = await realFlagImage(flag);
    const captions: Partial<Record<DecoderName, Caption>> = {};
    const panels = names.map((name) => ({ title: name, steps: [] as CaptionStep[] }));
    const frame = rewrite();
    for (const [i, name] of names.entries()) {
      captions[name] = await captionPictures(models[name], tokenizer, [image], decoders[name], {
        prompt: asked[name],
        tokensPerStep,
        history: true,
        onStep: ({ canvas, changes }) => {
          panels[i]!.steps.push({ ids: canvas, changes });
          frame.draw(sideBySide(panels, tokenizer));
        },
      });
    }
    frame.end(sideBySide(panels, tokenizer));
    const slow = await captionPictures(models["mask prediction"], tokenizer, [image], maskPredict, {
      prompt: asked["mask prediction"],
      tokensPerStep: 1,
    });
    console.log(`${wrap(`mask prediction, 1 token a step: ${slow.text}`, columns())}\n`);
    shown.push({ flag, captions, slow: slow.text });
  }

  await writeAtomically(out, await captionReport(shown, tokenizer, tokensPerStep));
  await device.close();
  console.log(`${((performance.now() - started) / 1000).toFixed(1)} s. The report, with every step: ${out}`);
}

function sideBySide(
  panels: readonly { title: string; steps: readonly CaptionStep[] }[],
  tokenizer: Tokenizer,
): string[] {
  const width = Math.floor((columns() - 3) / 2);
  const blocks = panels.map(({ title, steps }) => {
    const replaced = replacedTokens(steps);
    const header = `${title}, step ${steps.length}${replaced ? `, ${replaced} tokens replaced` : ""}`;
    return [paint("dim", header), ...paintCanvas(steps.at(-1), tokenizer, width)];
  });
  const visible = (text: string) => text.replace(/\u001b\[[\d;]*m/g, "").length;
  const rows = Math.max(...blocks.map((lines) => lines.length));
  return Array.from({ length: rows }, (_, i) => {
    const [left = "", right = ""] = [blocks[0]![i], blocks[1]?.[i]];
    return `${left}${" ".repeat(Math.max(0, width - visible(left)))} │ ${right}`;
  });
}
