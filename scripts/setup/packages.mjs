// Step 1: the npm packages.
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { npm, npmReason, ROOT, say, SetupError } from "./shell.mjs";

export function ensurePackages() {
  const wanted = packagesOf("package-lock.json");
  const missing = missingPackages(wanted, packagesOf("node_modules/.package-lock.json"));
  if (wanted && missing.length === 0) return;

  const what = wanted ? `${missing[0]}${missing.length > 1 ? ` and ${missing.length - 1} more` : ""}` : "all packages";
  // The tests and the demo run from the sources, so the development packages are needed whatever NODE_ENV says.
  const flags = ["--include=dev", "--no-audit", "--no-fund", "--loglevel=error"];
  say(`node_modules lacks ${what}. Running npm ci …`);
  const exact = wanted ? npm(["ci", ...flags], { quiet: true }) : { ok: false, stderr: "There is no lock file." };
  if (exact.ok) return;
  say(`npm ci: ${npmReason(exact.stderr)} Running npm install …`);
  const loose = npm(["install", "--no-save", ...flags]);
  if (!loose.ok) {
    throw new SetupError(`npm install failed (${loose.why}). Its own words stand above. Try by hand: npm install`);
  }
}

/** The `packages` table of a lock file, or undefined where there is none. */
function packagesOf(lockFile) {
  try {
    return JSON.parse(readFileSync(join(ROOT, lockFile), "utf8")).packages;
  } catch {
    return undefined;
  }
}

/**
 * The packages that the lock file lists and node_modules does not hold at that version. Contents are compared and not
 * times, which a fresh checkout scrambles. Optional packages are left out: most are builds for other systems.
 */
function missingPackages(wanted = {}, installed = {}) {
  return Object.keys(wanted)
    .filter((path) => path !== "" && !wanted[path].optional && !wanted[path].link)
    .filter((path) => installed[path]?.version !== wanted[path].version)
    .map((path) => `${path.replace(/^.*node_modules\//, "")}@${wanted[path].version}`);
}
