// What the steps of the set-up share: where things lie, how a command is run, how a failure is told.
import { spawnSync } from "node:child_process";
import { existsSync } from "node:fs";
import { delimiter, join } from "node:path";
import { fileURLToPath } from "node:url";

export const ROOT = fileURLToPath(new URL("../../", import.meta.url));
export const CACHE = join(ROOT, ".cache");

/** A step that cannot be done, told in full sentences: the message is all that the user sees. */
export class SetupError extends Error {
  name = "SetupError";
}

export const say = (line) => console.error(`set-up: ${line}`);

/**
 * Runs a command and waits. Its output goes to stderr, so that our stdout stays clean; with `quiet` it is kept.
 * Returns { ok, stdout, stderr, why }, and never throws.
 */
export function run(command, args, { quiet = false, cwd = ROOT, env = {}, timeoutMs } = {}) {
  const done = spawnSync(command, args, {
    cwd,
    env: { ...process.env, ...env },
    stdio: quiet ? ["ignore", "pipe", "pipe"] : ["ignore", 2, 2],
    encoding: "utf8",
    maxBuffer: 64 << 20,
    timeout: timeoutMs,
    killSignal: "SIGKILL",
  });
  const why =
    done.error?.code === "ETIMEDOUT"
      ? `no answer within ${timeoutMs / 1000} s`
      : (done.error?.message ?? (done.signal ? `ended by ${done.signal}` : `exit code ${done.status}`));
  return { ok: done.status === 0, stdout: done.stdout ?? "", stderr: done.stderr ?? "", why };
}

/** Runs npm: the very one that started us, where one did. */
export function npm(args, options) {
  const started = process.env.npm_execpath;
  if (started?.endsWith("npm-cli.js")) return run(process.execPath, [started, ...args], options);
  if (process.platform === "win32") return run("cmd.exe", ["/d", "/s", "/c", "npm", ...args], options);
  return run("npm", args, options);
}

/** What npm complains of, as one sentence. */
export function npmReason(stderr) {
  const lines = stderr.split("\n").map((line) => line.replace(/^npm (error|ERR!)\s*/, "").trim());
  const first = lines.find((line) => line !== "" && !/^(npm warn|code |errno |syscall )/.test(line)) ?? "it failed.";
  return first.split(". ")[0].replace(/\.?$/, ".");
}

/** Is there a program of this name on the PATH? */
export const has = (program) =>
  (process.env.PATH ?? "").split(delimiter).some((folder) => folder && existsSync(join(folder, program)));
