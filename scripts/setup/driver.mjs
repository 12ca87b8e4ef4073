// Step 2: something that Dawn can compute on. Only Linux ever lacks it: macOS has Metal, Windows has Direct3D with WARP.
//
//   what is there  ->  Mesa by apt (its CPU driver is the fastest)  ->  SwiftShader by npm (needs no root)  ->  advice
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { homedir } from "node:os";
import { join } from "node:path";
import { installMesa, mesaCommand } from "./mesa.mjs";
import { CACHE, ROOT, run, say, SetupError } from "./shell.mjs";
import { ensureSwiftShader, SWIFTSHADER } from "./swiftShader.mjs";

const RECORD = join(CACHE, "driver.json");

/** The variables that choose a driver by hand. */
const CHOICES = ["REDIFF_SWIFTSHADER", "VK_DRIVER_FILES", "VK_ICD_FILENAMES"];

export function ensureDriver() {
  if (process.platform !== "linux") return;
  const choice = CHOICES.find((name) => process.env[name]);
  if (choice) return ensureChosen(choice);
  if (recordHolds()) return;
  rmSync(RECORD, { force: true }); // or the probe would be steered by it

  let found = probe();
  if (found.ok) return record("system", found);
  say(`no usable graphics adapter. ${firstLine(found)}`);
  if (installMesa()) {
    found = probe();
    if (found.ok) return record("system", found);
    say(`Mesa did not help. ${firstLine(found)}`);
  }
  if (ensureSwiftShader()) {
    found = probe({ REDIFF_SWIFTSHADER: SWIFTSHADER });
    if (found.ok) {
      record("swiftshader", found);
      say(`it computes about five times slower than Mesa. When you can: ${mesaCommand()}`);
      return;
    }
  }
  throw new SetupError(`Dawn finds no adapter to compute on.\n${quoted(found)}\nThis would help: ${mesaCommand()}`);
}

/** The user named a driver: see that it works, and install nothing in its place. */
function ensureChosen(choice) {
  const found = probe();
  if (found.ok) return say(`computing on ${found.adapter}, by ${choice}`);
  throw new SetupError(
    `${choice}=${process.env[choice]} names the driver, and Dawn finds no usable adapter with it.\n` +
      `${quoted(found)}\nTry without: unset ${choice}`,
  );
}

/**
 * Opens Dawn in a process of its own, since a bad driver can crash or hang it, and lets it multiply two numbers.
 * Returns { ok, adapter } or { ok: false, why, said }.
 */
function probe(env = {}) {
  const script = join(ROOT, "scripts/setup/probe.ts");
  const done = run(process.execPath, ["--import", "tsx", script], { quiet: true, env, timeoutMs: 60_000 });
  const noise = /^\s*$|artificially reduced|^\s+at operator/;
  const said = done.stderr.split("\n").filter((line) => !noise.test(line));
  try {
    return { said, ...JSON.parse(done.stdout.trim().split("\n").at(-1)) };
  } catch {
    return { ok: false, why: `the probe ended without an answer: ${done.why}`, said };
  }
}

/** What Dawn printed, indented; at most ten lines. */
const quoted = ({ why, said }) => [why, ...said.slice(0, 10)].map((line) => `    ${line}`).join("\n");

/** The one line that says most. Drivers chatter; Dawn's own verdict names Vulkan. */
const firstLine = ({ why, said }) => said.find((line) => /vulkan/i.test(line)) ?? why;

/** The paths whose change can change the answer: loaders, manifests, devices, Dawn itself, our own fallback. */
function watchedPaths() {
  const manifests = [
    "/etc/vulkan/icd.d",
    "/usr/local/share/vulkan/icd.d",
    "/usr/share/vulkan/icd.d",
    join(process.env.XDG_DATA_HOME || join(homedir(), ".local/share"), "vulkan/icd.d"),
  ];
  const inside = manifests.filter((folder) => existsSync(folder));
  return [
    "/etc/ld.so.cache", // rewritten whenever a library comes or goes
    ...manifests,
    ...inside.flatMap((folder) => readdirSync(folder).map((file) => join(folder, file))),
    "/dev/dri",
    "/dev/dxg",
    "/dev/nvidiactl",
    join(ROOT, "node_modules/webgpu/package.json"),
    join(SWIFTSHADER, "vk_swiftshader_icd.json"),
  ];
}

const changeTime = (path) => statSync(path, { throwIfNoEntry: false })?.mtimeMs ?? null;

/** src/tensor/softwareDriver.ts reads this file when a device is opened. */
function record(driver, { adapter }) {
  mkdirSync(CACHE, { recursive: true });
  const watched = Object.fromEntries(watchedPaths().map((path) => [path, changeTime(path)]));
  writeFileSync(RECORD, `${JSON.stringify({ driver, adapter, watched }, null, 2)}\n`);
  say(`computing on ${adapter}`);
}

/** Has set-up been here before, and has nothing changed since? */
function recordHolds() {
  try {
    const { watched } = JSON.parse(readFileSync(RECORD, "utf8"));
    return Object.entries(watched).every(([path, time]) => changeTime(path) === time);
  } catch {
    return false;
  }
}
