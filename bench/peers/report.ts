/** The table for the terminal, from the measurements of all rows. */
import type { PeerSpec } from "./child.ts";

export type Measurement =
  | {
      readonly ok: true;
      /** First call, with all compilation in it. */
      readonly firstMs: number;
      /** Per call: median, least and most of the rounds. */
      readonly ms: { readonly p50: number; readonly min: number; readonly max: number; readonly samples: number };
      readonly calls: number;
      readonly note?: string;
    }
  | { readonly ok: false; readonly reason: string };

export interface RowResult {
  readonly name: string;
  readonly flops: number;
  /** By id of the library. */
  readonly measured: Readonly<Record<string, Measurement>>;
}

const NAME = 35;
export const CELL = 12;

/** Footnotes by text, numbered as they come. */
export class Notes {
  readonly #texts: string[] = [];

  mark(text: string): string {
    if (!this.#texts.includes(text)) this.#texts.push(text);
    return ` ${this.#texts.indexOf(text) + 1})`;
  }

  lines(): string[] {
    return this.#texts.map((text, i) => `${i + 1}) ${text}`);
  }
}

const shortest = (ms: number): string => (ms >= 100 ? ms.toFixed(0) : ms.toPrecision(3));

export function header(columns: readonly PeerSpec[]): string {
  const ratios = ["best peer/us", "ort CPU/us", "torch/us"];
  return (
    "".padEnd(NAME) +
    [...columns.map(({ title }) => title), ...ratios].map((title) => title.padStart(CELL + 1)).join("")
  );
}

/** One row: ms per call, then how many times faster we are than the best WebGPU peer, ort's CPU and torch. */
export function rowLine({ name, measured }: RowResult, columns: readonly PeerSpec[], notes: Notes): string {
  const cells = columns.map(({ id, title }) => {
    const found = measured[id];
    if (!found) return "";
    if (!found.ok) return `fails${notes.mark(`${title}, ${name}: fails: ${found.reason.split("\n")[0]}`)}`;
    return shortest(found.ms.p50) + (found.note === undefined ? "" : notes.mark(`${title}: ${found.note}`));
  });
  const ratios = ratiosOf(measured, columns).map((ratio) => (ratio === undefined ? "" : `${ratio.toPrecision(2)}×`));
  return name.padEnd(NAME) + [...cells, ...ratios].map((cell) => cell.padStart(CELL + 1)).join("");
}

/** Their time over ours: best other WebGPU library, onnxruntime on the processor, PyTorch. */
export function ratiosOf(
  measured: RowResult["measured"],
  columns: readonly PeerSpec[],
): [number | undefined, number | undefined, number | undefined] {
  const time = (id: string): number | undefined => {
    const found = measured[id];
    return found?.ok ? found.ms.p50 : undefined;
  };
  const ours = time("rediff");
  const over = (theirs: number | undefined): number | undefined => (ours && theirs ? theirs / ours : undefined);
  const others = columns.filter(({ id, webgpu }) => webgpu && id !== "rediff").map(({ id }) => time(id) ?? Infinity);
  const best = Math.min(...others);
  return [over(Number.isFinite(best) ? best : undefined), over(time("ort-cpu")), over(time("torch"))];
}

/** Milliseconds of the first call, with all compilation in it. */
export function firstLine({ name, measured }: RowResult, columns: readonly PeerSpec[]): string {
  const cells = columns.map(({ id }) => {
    const found = measured[id];
    return found?.ok ? found.firstMs.toFixed(0) : "";
  });
  return name.padEnd(NAME) + cells.map((cell) => cell.padStart(CELL + 1)).join("");
}
