/**
 * A graphics driver in software, for a Linux machine that has none. Node only; in a browser it does nothing.
 *
 * Dawn on Linux needs two files: the Vulkan loader (libvulkan.so.1) and a manifest that names a driver. SwiftShader
 * brings both. `scripts/setup.mjs` puts it into .cache/swiftshader when the machine has no adapter that computes, and
 * notes in .cache/driver.json what it chose and which paths it looked at.
 *
 * Who decides, from strong to weak:
 *   1. VK_DRIVER_FILES or VK_ICD_FILENAMES, set by the user: we touch nothing.
 *   2. REDIFF_SWIFTSHADER=folder: that SwiftShader.
 *   3. .cache/driver.json says "swiftshader", and none of the paths it looked at has changed since.
 *   4. The system's own driver.
 */

/** What set-up found on this machine, and the paths whose change would make it look again. */
interface DriverRecord {
  readonly driver: "system" | "swiftshader";
  /** Path to its time of change in ms, or null where there was nothing. */
  readonly watched: { readonly [path: string]: number | null };
}

/** Name of the manifest in a SwiftShader folder. */
const MANIFEST = "vk_swiftshader_icd.json";

/** glibc's flag for "never unload"; Node does not list it. */
const RTLD_NODELETE = 0x1000;

/** Points Dawn to SwiftShader where that was asked for or is all there is. Call it before Dawn's `create`. */
export function prepareDriver(): void {
  if (typeof process === "undefined" || process.platform !== "linux") return;
  // Fetched, not imported, so that a bundle for the browser can hold this module.
  const { existsSync } = process.getBuiltinModule("node:fs");
  const { join, resolve } = process.getBuiltinModule("node:path");

  const chosen = process.env["REDIFF_SWIFTSHADER"] || recordedSwiftShader();
  if (!chosen) return;
  const folder = resolve(chosen);
  const manifest = join(folder, MANIFEST);

  // A child process inherits our own choice; only another one is the user's.
  const byUser = process.env["VK_DRIVER_FILES"] ?? process.env["VK_ICD_FILENAMES"];
  if (byUser !== undefined && byUser !== manifest) return;
  if (!existsSync(manifest)) {
    throw new Error(`REDIFF_SWIFTSHADER: ${folder} has no ${MANIFEST}. Name the folder that SwiftShader lies in.`);
  }

  process.env["VK_DRIVER_FILES"] = manifest;
  process.env["VK_ICD_FILENAMES"] = manifest; // the name that loaders before 1.3.207 read
  loadLoader(join(folder, "libvulkan.so.1"));
}

/**
 * Maps a Vulkan loader into this process, for machines that lack one. Node takes the file for an add-on and throws,
 * because it registers nothing; it stays mapped all the same, and Dawn's dlopen("libvulkan.so.1") then finds it by name.
 */
function loadLoader(path: string): void {
  const { existsSync } = process.getBuiltinModule("node:fs");
  const { RTLD_NOW, RTLD_GLOBAL } = process.getBuiltinModule("node:os").constants.dlopen;
  if (!existsSync(path)) return;
  try {
    process.dlopen({ exports: {} }, path, RTLD_NOW | RTLD_GLOBAL | RTLD_NODELETE);
  } catch {
    // Expected, see above. Where the file really cannot be mapped, Dawn says so when it looks for an adapter.
  }
}

/** The SwiftShader that set-up fetched, if it is what this machine has to use; undefined otherwise. */
function recordedSwiftShader(): string | undefined {
  const { readFileSync, statSync } = process.getBuiltinModule("node:fs");
  const { fileURLToPath } = process.getBuiltinModule("node:url");
  // From src/tensor/ and from dist/tensor/ alike, the package's root is two folders up.
  const cache = fileURLToPath(new URL("../../.cache/", import.meta.url));
  let record: DriverRecord;
  try {
    record = JSON.parse(readFileSync(`${cache}driver.json`, "utf8")) as DriverRecord;
  } catch {
    return undefined; // set-up never ran here
  }
  if (record.driver !== "swiftshader") return undefined;
  const changed = Object.entries(record.watched).some(
    ([path, time]) => (statSync(path, { throwIfNoEntry: false })?.mtimeMs ?? null) !== time,
  );
  return changed ? undefined : `${cache}swiftshader`;
}
