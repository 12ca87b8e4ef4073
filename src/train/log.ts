/** What long work says while it runs: one live line on a terminal, plain lines now and then elsewhere, and JSON lines in a file. */
import { appendFileSync, mkdirSync } from "node:fs";
import { dirname } from "node:path";

export interface ProgressLine {
  /** Shows a line; on a terminal it replaces the one before. Elsewhere lines come at most every `everyMs`. */
  show(text: string): void;
  /** Ends the live line, so that what is printed next stands below it. */
  end(): void;
}

export function progressLine(stream: NodeJS.WriteStream = process.stderr, everyMs = 15_000): ProgressLine {
  const live = stream.isTTY && !process.env["CI"];
  let last = -Infinity;
  let shown = false;
  return {
    show(text) {
      const now = performance.now();
      if (live) {
        if (now - last < 100) return;
        stream.write(`\r\u001b[2K${text}`);
      } else {
        if (now - last < everyMs) return;
        stream.write(`${text}\n`);
      }
      last = now;
      shown = true;
    },
    end() {
      if (live && shown) stream.write("\n");
      shown = false;
      last = -Infinity;
    },
  };
}

/** Seconds as `2 h 05 min`, `12 min 04 s` or `9 s`. */
export function showDuration(seconds: number): string {
  const s = Math.max(0, Math.round(seconds));
  const two = (n: number) => String(n).padStart(2, "0");
  if (s >= 3600) return `${Math.floor(s / 3600)} h ${two(Math.floor((s % 3600) / 60))} min`;
  if (s >= 60) return `${Math.floor(s / 60)} min ${two(s % 60)} s`;
  return `${s} s`;
}

/** Appends one JSON object a line. */
export function jsonLines(path: string): (record: Readonly<Record<string, unknown>>) => void {
  mkdirSync(dirname(path), { recursive: true });
  return (record) => appendFileSync(path, `${JSON.stringify(record)}\n`);
}
