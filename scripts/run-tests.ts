/**
 * Runs the tests: Node's own runner, one process a file, two at a time.
 *
 *   tsx scripts/run-tests.ts                 all of them
 *   tsx scripts/run-tests.ts --pure          only files that never open a graphics device or a browser
 *   tsx scripts/run-tests.ts attention nn/   only files whose path contains one of these
 */
import { spawn } from "node:child_process";
import { createInterface } from "node:readline";
import { parseArgs } from "node:util";
import { filesBelow, importGraph, reachableFrom, ROOT } from "./imports.ts";

/** What a test file must not reach by its imports to count as pure. */
const NOT_PURE = ["webgpu", "playwright-core"];

/** Dawn prints these on every start on a software driver; they say nothing about us. */
const NOISE = /^\W*Warning: max\w+ artificially reduced/;

const { values, positionals } = parseArgs({ options: { pure: { type: "boolean" } }, allowPositionals: true });

const graph = importGraph(filesBelow(["src", "test", "bench", "scripts", "web"], ".ts"));
const isPure = (file: string): boolean => {
  const reached = reachableFrom(graph, file);
  return !NOT_PURE.some((name) => reached.has(name));
};
const files = filesBelow(["test"], ".test.ts")
  .filter((file) => positionals.length === 0 || positionals.some((part) => file.includes(part)))
  .filter((file) => !values.pure || isPure(file));

if (files.length === 0) {
  console.error(`No test file matches ${positionals.join(", ") || "test/**/*.test.ts"}.`);
  process.exit(1);
}

const runner = ["--import", "tsx", "--test", "--test-reporter=spec", "--test-concurrency=2", "--test-timeout=600000"];
const tests = spawn(process.execPath, [...runner, ...files], {
  cwd: ROOT,
  stdio: ["ignore", "pipe", "inherit"],
  env: process.stdout.isTTY ? { ...process.env, FORCE_COLOR: "1" } : process.env,
});
createInterface({ input: tests.stdout }).on("line", (line) => {
  if (!NOISE.test(line)) console.log(line);
});
tests.on("close", (code, signal) => {
  if (signal) console.error(`The test runner was ended by ${signal}.`);
  process.exitCode = code ?? 1;
});
