/** What long work says while it runs: one live line on a terminal, plain lines now and then elsewhere, and JSON lines in a file. */
import { appendFileSync, existsSync, readFileSync, truncateSync } from "node:fs";
import { dirname } from "node:path";
import { makeFolder } from "../model/files.ts";
import { RediffError } from "../tensor/index.ts";

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
  makeFolder(dirname(path));
  return (record) => appendFileSync(path, `${JSON.stringify(record)}\n`);
}

/**
 * The records of a file of JSON lines that is to be appended to; none when there is no file. A last line that a kill left
 * unfinished is cut off. Throws RediffError when another line is not JSON.
 */
export function resumeJsonLines(path: string): unknown[] {
  if (!existsSync(path)) return [];
  const text = readFileSync(path, "utf8");
  const whole = text.slice(0, text.lastIndexOf("\n") + 1);
  if (whole.length < text.length) truncateSync(path, Buffer.byteLength(whole));
  return whole
    .split("\n")
    .slice(0, -1)
    .map((line, i) => {
      try {
        return JSON.parse(line) as unknown;
      } catch {
        throw new RediffError(`${path}: line ${i + 1} is not JSON.`, { path, line: i + 1 });
      }
    });
}
