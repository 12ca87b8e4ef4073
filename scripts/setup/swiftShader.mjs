// SwiftShader by npm: Google's CPU driver for Vulkan, with a loader. It needs glibc and nothing else, not even root.
//
// A package that packs a headless Chromium carries it as one small archive. Only that archive is kept.
import { existsSync, mkdirSync, readdirSync, readFileSync, renameSync, rmSync } from "node:fs";
import { spawnSync } from "node:child_process";
import { join } from "node:path";
import { brotliDecompressSync } from "node:zlib";
import { CACHE, npm, npmReason, run, say } from "./shell.mjs";

export const SWIFTSHADER = join(CACHE, "swiftshader");

const CARRIER = "@sparticuz/chromium@153.0.0";
const ARCHIVE = "package/bin/swiftshader.tar.br";

/** True when SwiftShader lies in the cache, fetched now or before. */
export function ensureSwiftShader() {
  if (existsSync(join(SWIFTSHADER, "vk_swiftshader_icd.json"))) return true;
  if (process.arch !== "x64") return fail(`it is packed for x64, and this is ${process.arch}.`);

  say(`fetching SwiftShader, a driver for the CPU, by npm (70 MB, of which 5 MB stay in .cache) …`);
  const draft = `${SWIFTSHADER}.draft`;
  try {
    rmSync(draft, { recursive: true, force: true });
    mkdirSync(draft, { recursive: true });
    const packed = npm(["pack", CARRIER, "--pack-destination", draft, "--fetch-retries=1"], { quiet: true });
    const tarball = readdirSync(draft).find((name) => name.endsWith(".tgz"));
    if (!packed.ok || !tarball) return fail(npmReason(packed.stderr));

    const unpacked = run("tar", ["-xzf", tarball, ARCHIVE], { cwd: draft, quiet: true });
    if (!unpacked.ok) return fail(`tar says: ${unpacked.stderr.trim() || unpacked.why}`);
    const input = brotliDecompressSync(readFileSync(join(draft, ARCHIVE)));
    const files = spawnSync("tar", ["-x"], { cwd: draft, input });
    if (files.status !== 0) return fail(`tar says: ${files.stderr}`);

    rmSync(join(draft, tarball));
    rmSync(join(draft, "package"), { recursive: true });
    rmSync(SWIFTSHADER, { recursive: true, force: true });
    renameSync(draft, SWIFTSHADER); // whole or not at all
    return true;
  } catch (error) {
    return fail(error.message);
  } finally {
    rmSync(draft, { recursive: true, force: true });
  }
}

function fail(reason) {
  say(`SwiftShader is not to be had: ${reason}`);
  return false;
}
