/** Figures: a description of marks (Observable Plot) becomes an SVG file and a PNG beside it. */
import { mkdir, writeFile } from "node:fs/promises";
import { dirname } from "node:path";
import * as Plot from "@observablehq/plot";
import { Resvg } from "@resvg/resvg-js";
import { parseHTML } from "linkedom";

/** Fonts, as they are called on Linux, macOS and Windows. */
const FONT = "DejaVu Sans, Liberation Sans, Helvetica, Arial, sans-serif";

/** SVG text of a figure, white behind it. Sizes are in pixels. */
export function renderSvg(options: Plot.PlotOptions): string {
  const { document } = parseHTML("<!doctype html><body></body>");
  const figure = Plot.plot({
    ...options,
    document,
    style: { fontFamily: FONT, fontSize: "12px", background: "white" },
  });
  // With a legend or a title, Plot returns an HTML figure around the SVG; files want the SVG alone.
  const svg = figure.tagName.toLowerCase() === "svg" ? figure : figure.querySelector(":scope > svg");
  if (!svg) throw new Error("Plot made no <svg>. A title or a legend outside of the picture is not for files.");
  svg.setAttribute("xmlns", "http://www.w3.org/2000/svg");
  return svg.outerHTML;
}

export interface Png {
  readonly bytes: Uint8Array;
  /** Whether its text could be drawn: without a font on the machine it has none. */
  readonly hasText: boolean;
}

/** `scale` pixels for each pixel of the SVG. */
export function renderPng(svg: string, scale = 2): Png {
  const font = { loadSystemFonts: true, defaultFontFamily: "DejaVu Sans" };
  const render = (text: string): Buffer => {
    const image = new Resvg(text, { fitTo: { mode: "zoom", value: scale }, font, background: "white" }).render();
    return image.asPng();
  };
  // A picture of one letter is blank if no font was found. resvg says nothing of it.
  const letter = (text: string): Buffer =>
    render(
      `<svg xmlns="http://www.w3.org/2000/svg" width="20" height="20"><text y="16" font-family="${FONT}">${text}</text></svg>`,
    );
  return { bytes: render(svg), hasText: !letter("M").equals(letter("")) };
}

/** Writes `<stem>.svg` and `<stem>.png` and says so; the PNG is left out, with a word, where there is no font. */
export async function writeFigure(stem: string, options: Plot.PlotOptions): Promise<void> {
  const svg = renderSvg(options);
  await mkdir(dirname(stem), { recursive: true });
  await writeFile(`${stem}.svg`, svg);
  const { bytes, hasText } = renderPng(svg);
  if (hasText) await writeFile(`${stem}.png`, bytes);
  console.log(
    hasText
      ? `figure in ${stem}.svg and .png`
      : `figure in ${stem}.svg; no PNG, as this machine has no font for its text (Debian: apt-get install fonts-dejavu-core)`,
  );
}
