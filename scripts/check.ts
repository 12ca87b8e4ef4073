/**
 * Everything that needs no graphics device and less than a minute: types, lint, format, and the pure tests, of which
 * the layout test is one. All steps run, whatever the others say; what a step printed is shown when it fails.
 */
import { spawn } from "node:child_process";
import { ROOT } from "./imports.ts";

const STEPS: readonly { name: string; command: string; remedy: string }[] = [
  { name: "types", command: "tsc --pretty", remedy: "npx tsc" },
  { name: "declarations", command: "tsc -p tsconfig.build.json --noEmit", remedy: "npm run build" },
  { name: "lint", command: "oxlint --type-aware", remedy: "npm run lint -- --fix" },
  { name: "format", command: "oxfmt --check", remedy: "npm run format" },
  { name: "pure tests", command: "tsx scripts/run-tests.ts --pure", remedy: "npx tsx scripts/run-tests.ts --pure" },
];

interface Outcome {
  readonly ok: boolean;
  readonly output: string;
  readonly ms: number;
}

/** Runs a program of node_modules/.bin, which `npm run` puts on the PATH. */
function runStep(command: string): Promise<Outcome> {
  const start = performance.now();
  return new Promise((resolve, reject) => {
    const step = spawn(command, { cwd: ROOT, shell: true, stdio: ["ignore", "pipe", "pipe"] });
    const parts: Buffer[] = [];
    step.stdout.on("data", (part: Buffer) => parts.push(part));
    step.stderr.on("data", (part: Buffer) => parts.push(part));
    step.on("error", reject);
    step.on("close", (code) => {
      resolve({ ok: code === 0, output: Buffer.concat(parts).toString(), ms: performance.now() - start });
    });
  });
}

for (const { name, command, remedy } of STEPS) {
  const { ok, output, ms } = await runStep(command);
  if (!ok) {
    process.exitCode = 1;
    console.log(`\n${output.trimEnd()}\n`);
  }
  console.log(
    `${ok ? "ok    " : "FAILED"} ${name.padEnd(12)} ${(ms / 1000).toFixed(1)} s${ok ? "" : `   again: ${remedy}`}`,
  );
}
