/** Drawing on a terminal: widths, lines that are drawn over, and a canvas of tokens in colours. */
import { captionLength, type CaptionStep } from "../sample/caption.ts";
import { Change } from "../sample/decoder.ts";
import { specialTokens, type Tokenizer } from "../model/tokenizer.ts";

/** Usable width: the terminal's, between 60 and 140. */
export const columns = (): number => Math.max(60, Math.min(140, process.stdout.columns ?? 100));

/** Breaks plain text into lines of at most `width` letters. */
export function wrap(text: string, width: number): string {
  const lines = [""];
  for (const word of text.split(/\s+/)) {
    if (lines.at(-1)!.length + word.length + 1 > width && lines.at(-1)) lines.push("");
    lines[lines.length - 1] += (lines.at(-1) ? " " : "") + word;
  }
  return lines.join("\n");
}

const codes = { bold: 1, dim: 2, red: 31, green: 32, yellow: 33 } as const;

/** Text in a style, on a terminal that shows styles; elsewhere the text alone. */
export function paint(style: keyof typeof codes, text: string): string {
  const shows = process.stdout.isTTY && !process.env["NO_COLOR"];
  return shows ? `\u001b[${codes[style]}m${text}\u001b[0m` : text;
}

const paints: Readonly<Record<number, (text: string) => string>> = {
  [Change.kept]: (text) => text,
  [Change.committed]: (text) => paint("bold", text),
  [Change.replaced]: (text) => paint("yellow", text),
  [Change.masked]: (text) => paint("dim", text),
};

/** The canvas as lines of at most `width` letters: masks as dots, tokens coloured by what the step did to them. */
export function paintCanvas(step: CaptionStep | undefined, tokenizer: Tokenizer, width: number): string[] {
  if (!step) return [];
  const mask = tokenizer.idOf(specialTokens.mask);
  const lines = [""];
  let used = 0;
  const length = captionLength(step.ids, tokenizer);
  for (let i = 0; i < length; i++) {
    const masked = step.ids[i] === mask;
    const piece = masked ? "·" : tokenizer.piece(step.ids[i]!).replaceAll("\n", " ");
    if (used + piece.length > width) {
      lines.push("");
      used = 0;
    }
    const text = used === 0 ? piece.trimStart() : piece;
    lines[lines.length - 1] += masked ? paints[Change.masked]!(text) : paints[step.changes[i]!]!(text);
    used += text.length;
  }
  return lines;
}

/** Lines that are drawn in place on a terminal; elsewhere only the last frame is printed. */
export function rewrite(): { draw(lines: readonly string[]): void; end(lines: readonly string[]): void } {
  const live = process.stdout.isTTY;
  let height = 0;
  const put = (lines: readonly string[]) => {
    process.stdout.write(
      (height ? `\u001b[${height}A` : "") + lines.map((line) => `\u001b[2K${line}\n`).join("") + "\u001b[J",
    );
    height = lines.length;
  };
  return {
    draw: (lines) => void (live && put(lines)),
    end: (lines) => {
      if (live) put(lines);
      else process.stdout.write(`${lines.join("\n")}\n`);
      process.stdout.write("\n");
    },
  };
}

/** Whether Ctrl-C or SIGTERM has asked to stop: work then ends where it can be taken up. The second one ends the process. */
export function stopRequest(): { readonly stopped: boolean; release(): void } {
  const request = {
    stopped: false,
    release: () => signals.forEach((signal) => process.off(signal, stop)),
  };
  const stop = () => void (request.stopped = true);
  for (const signal of signals) process.once(signal, stop);
  return request;
}

const signals = ["SIGINT", "SIGTERM"] as const;
