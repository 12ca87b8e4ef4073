/** The demo's report: one self-contained HTML file with pictures, both captions, and a slider over the steps. */
import { readFile } from "node:fs/promises";
import { type RealFlag, realFlagPath } from "../data/realFlags.ts";
import { specialTokens, type Tokenizer } from "../model/tokenizer.ts";
import { type Caption, captionLength, type CaptionStep } from "../sample/caption.ts";
import { Change } from "../sample/decoder.ts";

const style = `
:root { color-scheme: light dark; font: 16px/1.5 system-ui, sans-serif; }
body { max-width: 70rem; margin: 2rem auto; padding: 0 1rem; }
article { display: grid; grid-template-columns: 12rem 1fr 1fr; gap: 1rem 1.5rem; border-top: 1px solid #8886; padding: 1.5rem 0; }
article > header { grid-column: 1 / -1; } h2 { margin: 0; } img { width: 100%; border: 1px solid #8886; }
h3 { margin: 0; font-size: 1rem; } small { opacity: .7; }
.controls { grid-column: 1 / -1; } input { width: 20rem; vertical-align: middle; }
@media (max-width: 50rem) { article { grid-template-columns: 1fr; } }`;

const script = `
for (const article of document.querySelectorAll("article")) {
  const slider = article.querySelector("input");
  const show = () => {
    for (const step of article.querySelectorAll("[data-step]")) step.hidden = step.dataset.step !== slider.value;
    article.querySelector("output").textContent = "step " + (Number(slider.value) + 1);
  };
  slider.addEventListener("input", show);
  show();
}`;

export interface ReportedFlag {
  readonly flag: RealFlag;
  /** By the decoder's name, with their histories. */
  readonly captions: Readonly<Record<string, Caption>>;
  /** What mask prediction says at one token a step. */
  readonly slow: string;
}

const classes = ["kept", "committed", "replaced", "masked"] as const;

/** How `tokensHtml` marks tokens. */
export const tokenStyle = `
.committed { font-weight: bold; } .replaced { background: #f5b70088; } .masked { opacity: .35; }`;

/** Tokens with what a step did to each: see `Change`. */
export const tokensHtml = (pieces: readonly string[], changes: ArrayLike<number>): string =>
  pieces.map((piece, i) => `<span class="${classes[changes[i]!]}">${escape(piece)}</span>`).join("");

/** The page: for each flag its picture, and the captions step by step. */
export async function captionReport(
  flags: readonly ReportedFlag[],
  tokenizer: Tokenizer,
  tokensPerStep: number,
): Promise<string> {
  const articles = await Promise.all(flags.map((flag) => article(flag, tokenizer)));
  return `<!doctype html>
<html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width"><title>rediff: mask prediction and refining</title>
<style>${style}${tokenStyle}</style>
<h1>Mask prediction and refining, ${tokensPerStep} tokens a step</h1>
<p>Real flags, with what a person wrote about them. <span class="committed">Bold</span> tokens were committed in the step shown,
<span class="replaced">marked</span> ones were replaced by the refining decoder, <span class="masked">·</span> is a mask.</p>
${articles.join("\n")}
<script>${script}</script>
</html>
`;
}

async function article({ flag, captions, slow }: ReportedFlag, tokenizer: Tokenizer): Promise<string> {
  const picture = (await readFile(realFlagPath(flag))).toString("base64");
  const last = Math.max(...Object.values(captions).map(({ history }) => history.length)) - 1;
  const panels = Object.entries(captions).map(([name, caption]) => panel(name, caption, tokenizer));
  return `<article>
<header><h2>${escape(flag.name)}</h2><small>A person wrote: ${escape(flag.visual)}<br>
Mask prediction, 1 token a step: ${escape(slow)}</small></header>
<img alt="Flag of ${escape(flag.name)}" src="data:image/png;base64,${picture}">
${panels.join("\n")}
<label class="controls"><input type="range" min="0" max="${last}" value="${last}"> <output></output></label>
</article>`;
}

function panel(name: string, { history, text }: Caption, tokenizer: Tokenizer): string {
  const mask = tokenizer.idOf(specialTokens.mask);
  const steps = history.map(({ ids, changes }, step) => {
    const pieces = Array.from(ids.subarray(0, captionLength(ids, tokenizer)), (id) =>
      id === mask ? "·" : tokenizer.piece(id),
    );
    return `<p data-step="${step}" hidden>${tokensHtml(pieces, changes)}</p>`;
  });
  return `<section><h3>${escape(name)}</h3><small>${history.length} steps, ${replacedTokens(history)} tokens replaced</small>${steps.join("")}<noscript><p>${escape(text)}</p></noscript></section>`;
}

/** How many tokens refining replaced, over all steps. */
export const replacedTokens = (history: readonly CaptionStep[]): number =>
  history.reduce((sum, { changes }) => sum + changes.filter((change) => change === Change.replaced).length, 0);

/** Text as HTML. */
export const escape = (text: string): string =>
  text.replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll(">", "&gt;").replaceAll('"', "&quot;");
