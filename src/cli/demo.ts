/**
 * `npm run demo`: real flags, captioned by mask prediction and by refining at 8 tokens a step, side by side, tokens
 * changing colour as they are revised; beside them what mask prediction says with all the time it wants, one token a step;
 * then a report with pictures.
 */
import { resolve } from "node:path";
import { realFlagImage, realFlags } from "../data/realFlags.ts";
import { toPixels } from "../data/resize.ts";
import { loadModel } from "../model/checkpoint.ts";
import { writeAtomically } from "../model/files.ts";
import type { Rediff } from "../model/rediff.ts";
import type { Tokenizer } from "../model/tokenizer.ts";
import { type Caption, type CaptionStep, captionImages } from "../sample/caption.ts";
import type { Decoder } from "../sample/decoder.ts";
import { maskPredict } from "../sample/maskPredict.ts";
import { refine } from "../sample/refine.ts";
import { openDevice } from "../tensor/index.ts";
import { adapterLine } from "./adapter.ts";
import { captionReport, replacedTokens, type ReportedFlag } from "./report.ts";
import { columns, paint, paintCanvas, rewrite, wrap } from "./terminal.ts";
import { outFile, parse, shippedBase, shippedCheckpoint, tokenizerFor, UsageError, wholeNumber } from "./usage.ts";

const help = `rediff demo [options]

  --flags LIST           ISO codes of real flags (default nl,jp,se)
  --tokens-per-step N    default 8
  --checkpoint DIR       weights that refine (default: the shipped ones)
  --base DIR             weights that predict masks (default: the shipped base, or else those of --checkpoint)
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
  const out = outFile(resolve(values.out ?? "runs/demo/report.html"));

  const started = performance.now();
  const device = await openDevice();
  console.log(await adapterLine(device));
  const checkpoint = values.checkpoint ?? shippedCheckpoint;
  const base = values.base ?? values.checkpoint ?? shippedBase;
  const tokenizer = tokenizerFor(checkpoint);
  const models: Readonly<Record<DecoderName, Rediff>> = {
    "mask prediction": loadModel(device, base),
    refining: loadModel(device, checkpoint),
  };
  const legend = `${paint("bold", "just committed")}, ${paint("yellow", "replaced by the refining decoder")}, settled`;
  console.log(`${tokensPerStep} tokens a step. Tokens: ${legend}.\n`);

  const shown: ReportedFlag[] = [];
  for (const flag of chosen) {
    console.log(`${wrap(`${flag.name} — a person wrote: ${flag.visual}`, columns())}\n`);
    const image = await realFlagImage(flag);
    const pixelsFor = (model: Rediff) => [toPixels(image, model.config.vision.imageSize)];
    const captions: Partial<Record<DecoderName, Caption>> = {};
    const panels = names.map((name) => ({ title: name, steps: [] as CaptionStep[] }));
    const frame = rewrite();
    for (const [i, name] of names.entries()) {
      const model = models[name];
      const [caption] = await captionImages(model, tokenizer, pixelsFor(model), decoders[name], {
        tokensPerStep,
        history: true,
        onStep: ({ canvas, changes }) => {
          panels[i]!.steps.push({ ids: canvas, changes });
          frame.draw(sideBySide(panels, tokenizer));
        },
      });
      captions[name] = caption!;
    }
    frame.end(sideBySide(panels, tokenizer));
    const model = models["mask prediction"];
    const [slow] = await captionImages(model, tokenizer, pixelsFor(model), maskPredict, { tokensPerStep: 1 });
    console.log(`${wrap(`mask prediction, 1 token a step: ${slow!.text}`, columns())}\n`);
    shown.push({ flag, captions, slow: slow!.text });
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
