/** Commands as a user calls them. */
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

const root = fileURLToPath(new URL("../../", import.meta.url));

export interface Outcome {
  readonly code: number | null;
  readonly out: string;
  readonly error: string;
}

/** Runs `rediff` in a process of its own. */
export function rediff(...args: string[]): Promise<Outcome> {
  return new Promise((resolve) => {
    const child = spawn(process.execPath, ["--import", "tsx", join(root, "src/cli/main.ts"), ...args], { cwd: root });
    let [out, error] = ["", ""];
    child.stdout.on("data", (data: Buffer) => (out += data.toString()));
    child.stderr.on("data", (data: Buffer) => (error += data.toString()));
    child.on("close", (code) =>
      resolve({ code, out, error: error.replaceAll(/^Warning: max\w+ artificially reduced.*\n/gm, "") }),
    );
  });
}

/** One sentence on standard error, nothing on standard output, exit code 2. */
export function refused({ code, out, error }: Outcome, pattern: RegExp): void {
  assert.match(error, pattern);
  assert.equal(error.trim().split("\n").length, 1, `more than one line: ${error}`);
  assert.equal(out, "");
  assert.equal(code, 2);
}
