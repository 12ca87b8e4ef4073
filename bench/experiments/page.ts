/** The report: one self-contained HTML file with tables, figures, and captions beside their pictures. From the results alone. */
import { readFile } from "node:fs/promises";
import { realFlagPath, realFlags } from "../../src/data/realFlags.ts";
import { scoreCaption } from "../../src/data/captionParser.ts";
import { captureScore } from "../../src/eval/capture.ts";
import { holdOutFlag, HOLD_OUT_SEED } from "../../src/eval/flags.ts";
import { flagDraft } from "../../src/expert/flagDraft.ts";
import { escape, tokensHtml, tokenStyle } from "../../src/cli/report.ts";
import { renderSvg } from "../plot.ts";
import { speedFigures } from "./figures.ts";
import type { Example, Results } from "./results.ts";
import { type Table, tablesOf } from "./tables.ts";

const style = `
:root { color-scheme: light dark; font: 16px/1.5 system-ui, sans-serif; }
body { max-width: 80rem; margin: 2rem auto; padding: 0 1rem; } h2 { margin-top: 3rem; }
.wide { overflow-x: auto; } table { border-collapse: collapse; font-size: .85rem; font-variant-numeric: tabular-nums; }
th, td { padding: .2rem .6rem; border-bottom: 1px solid #8884; text-align: right; vertical-align: bottom; }
th:first-child, td:first-child { text-align: left; }
.true { color: #1a7f37; } .false { color: #c8442c; } .undecided { opacity: .7; }
.figures { display: flex; flex-wrap: wrap; gap: 1rem; } figure { margin: 0; }
article { display: grid; grid-template-columns: 12rem 1fr; gap: .5rem 1.5rem; border-top: 1px solid #8886; padding: 1rem 0; }
article img { width: 100%; border: 1px solid #8886; } h4 { margin: .4rem 0 0; } article p { margin: 0; }
mark { background: #c8442c55; color: inherit; } small { opacity: .75; }
ol { padding-left: 3rem; } li { margin: .2rem 0; }`;

/** How many seeds readings have, from what was measured. */
function seedsShown({ readings }: Results): string {
  const counts = [...new Set(readings.map(({ cells }) => cells[0]?.runs.length ?? 0))].sort((a, b) => a - b);
  const most = counts.pop() ?? 0;
  return `${counts.length ? `${counts.join(", ")} or ` : ""}${most} seed${most === 1 ? "" : "s"}`;
}

export async function reportPage(results: Results): Promise<string> {
  const { sizes, adapter, base, commit, dirty } = results;
  const figures = speedFigures(results).map(({ plot }) => `<figure>${renderSvg(plot)}</figure>`);
  const examples = await Promise.all(results.examples.map(example));
  const histories = await Promise.all(results.examples.slice(0, 2).map(history));
  return `<!doctype html>
<html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width"><title>rediff: experiments</title>
<style>${style}${tokenStyle}</style>
<h1>From Denoising to Refining, at the scale of flags</h1>
<p>${sizes.flags} hold-out flags, real flags: ${sizes.real}; ${seedsShown(results)}; Stage I ${sizes.stage1Steps} and
Stage II ${sizes.stage2Steps} steps of ${sizes.batch}. Base ${escape(base)}. ${escape(adapter)}; commit ${commit.slice(0, 12)}${dirty ? ", with changes" : ""}.
Read factuality beside the number of statements: chaos states little, and what little can be read of it may be true.</p>
<h2>Figure 1c. Quality against tokens a step</h2>
<div class="figures">${figures.join("\n")}</div>
${tablesOf(results).map(tableHtml).join("\n")}
<h2>Figure 3. What they say</h2>
<p>The first hold-out flags and a few real ones, not chosen; <mark>false statements</mark> as the scorer finds them.</p>
${examples.join("\n")}
<h2>Figure 4. Token by token</h2>
<p><span class="committed">Committed</span> in the step, <span class="replaced">replaced</span> by the refining decoder, <span class="masked">·</span> still a mask.</p>
${histories.join("\n")}
</html>
`;
}

function tableHtml({ title, head, rows }: Table): string {
  const verdicts = new Set(["true", "false", "undecided"]);
  const cell = (text: string): string => `<td${verdicts.has(text) ? ` class="${text}"` : ""}>${escape(text)}</td>`;
  return `<h2>${escape(title)}</h2>
<div class="wide"><table><tr>${head.map((text) => `<th>${escape(text)}</th>`).join("")}</tr>
${rows.map((cells) => `<tr>${cells.map(cell).join("")}</tr>`).join("\n")}</table></div>`;
}

interface Shown {
  readonly title: string;
  readonly picture: string;
  readonly truth: string;
}

/** Name, picture and right text of a flag. */
async function shown(flag: Example["flag"]): Promise<Shown> {
  const uri = (png: Uint8Array): string => `data:image/png;base64,${Buffer.from(png).toString("base64")}`;
  if (typeof flag === "number") {
    const { image, groundTruth } = flagDraft({ id: "", question: "", text: "", seed: HOLD_OUT_SEED, index: flag }, 192);
    return { title: `Hold-out flag ${flag}`, picture: uri(image as Uint8Array), truth: groundTruth ?? "" };
  }
  const real = (await realFlags()).find(({ id }) => id === flag)!;
  return { title: real.name, picture: uri(await readFile(realFlagPath(real))), truth: real.visual };
}

async function example({ flag, tokensPerStep, captions }: Example): Promise<string> {
  const { title, picture, truth } = await shown(flag);
  const texts = captions.map(({ title: reading, text }) => {
    const judged =
      typeof flag === "number" ? marked(text, flag) : { html: escape(text), score: captureNote(text, truth) };
    return `<h4>${escape(reading)} <small>${judged.score}</small></h4><p>${judged.html}</p>`;
  });
  return `<article><img alt="${escape(title)}" src="${picture}"><div><h3>${escape(title)} <small>${tokensPerStep} tokens a step</small></h3>
<p><small>Right: ${escape(truth)}</small></p>${texts.join("\n")}</div></article>`;
}

const captureNote = (text: string, truth: string): string =>
  `CAPTURE ${(100 * captureScore(text, truth).capture).toFixed(0)}`;

/** A caption with its false statements marked. */
function marked(text: string, flag: number): { html: string; score: string } {
  const { hallucinated, correct, stated, total, grammatical } = scoreCaption(text, holdOutFlag(flag));
  const wrong = Array.from(text, (_, i) => hallucinated.some(({ start, end }) => i >= start && i < end));
  let html = "";
  for (let i = 0; i < text.length; i++) {
    if (wrong[i] && !wrong[i - 1]) html += "<mark>";
    html += escape(text[i]!);
    if (wrong[i] && !wrong[i + 1]) html += "</mark>";
  }
  return {
    html,
    score: `${correct} of ${total} facts, ${stated - correct} false, ${grammatical ? "" : "not "}grammatical`,
  };
}

async function history({ flag, captions }: Example): Promise<string> {
  const { title, picture, truth } = await shown(flag);
  const panels = captions.map(({ title: reading, steps }) => {
    const items = steps.map(({ pieces, changes }) => `<li>${tokensHtml(pieces, changes)}</li>`);
    return `<details${reading.startsWith("ReDiff") ? " open" : ""}><summary>${escape(reading)}, ${steps.length} steps</summary><ol>${items.join("")}</ol></details>`;
  });
  return `<article><img alt="${escape(title)}" src="${picture}"><div><h3>${escape(title)}</h3><p><small>Right: ${escape(truth)}</small></p>${panels.join("\n")}</div></article>`;
}
