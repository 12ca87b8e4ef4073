// Mesa's CPU driver (lavapipe) by apt. Dawn refuses those before Mesa 23, so Debian 12 needs its backports.
import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { basename, join } from "node:path";
import { CACHE, has, run, say } from "./shell.mjs";

const PACKAGES = ["mesa-vulkan-drivers", "libvulkan1"];
const SOURCES = "/etc/apt/sources.list.d";

/** Installs Mesa if this is a system with apt and we may. True when apt said that it did. */
export function installMesa() {
  const plan = planFor(osRelease());
  if (!plan) return false;
  const root = process.getuid?.() === 0 ? [] : ["sudo", "-n"];
  if (process.env.REDIFF_NO_APT) return refuse("REDIFF_NO_APT is set");
  if (root.length > 0 && !has("sudo")) return refuse("you are not root, and there is no sudo");
  if (root.length > 0 && !run("sudo", ["-n", "true"], { quiet: true }).ok)
    return refuse("sudo would ask for a password");
  const asRoot = (...command) => {
    const [program, ...args] = [...root, "env", "DEBIAN_FRONTEND=noninteractive", ...command];
    const done = run(program, args, { quiet: true });
    if (!done.ok) say(`${command.join(" ")}: ${lastLines(done.stderr) || done.why}`);
    return done.ok;
  };

  if (plan.backports && !addBackports(plan, asRoot)) return false;
  const from = plan.backports ? ` from ${plan.backports}` : "";
  say(`installing Mesa's CPU driver${from} by apt (${PACKAGES.join(", ")}; about 55 MB) …`);
  const apt = ["apt-get", "-q", "-o", "DPkg::Lock::Timeout=120"];
  // A source of somebody else's that is out of reach makes `update` fail; what we need may be there all the same.
  asRoot(...apt, "update");
  const release = plan.backports ? ["-t", plan.backports] : [];
  return asRoot(...apt, "install", "-y", "--no-install-recommends", ...release, ...PACKAGES);
}

const lastLines = (text) => text.trim().split("\n").slice(-3).join("\n    ");

/** The command that brings a good CPU driver to this system, for a message. */
export function mesaCommand() {
  const os = osRelease();
  const plan = planFor(os);
  const sudo = process.getuid?.() === 0 ? "" : "sudo ";
  if (plan?.backports) {
    const draft = suiteExists(plan.backports) ? undefined : draftBackports(plan);
    const add = draft ? `${sudo}install -m 644 ${draft} ${SOURCES} && ` : "";
    return `${add}${sudo}apt-get update && ${sudo}apt-get install -t ${plan.backports} ${PACKAGES.join(" ")}`;
  }
  if (plan) return `${sudo}apt-get install ${PACKAGES.join(" ")}`;
  const family = `${os.ID} ${os.ID_LIKE ?? ""}`;
  if (/fedora|rhel/.test(family)) return `${sudo}dnf install mesa-vulkan-drivers vulkan-loader`;
  if (/arch/.test(family)) return `${sudo}pacman -S vulkan-swrast vulkan-icd-loader`;
  if (/suse/.test(family)) return `${sudo}zypper install libvulkan_lvp libvulkan1`;
  return "install a Vulkan loader (libvulkan.so.1) and Mesa 24 or newer with its lavapipe driver";
}

function refuse(reason) {
  say(`Mesa's CPU driver would do, but ${reason}.`);
  return false;
}

/** How apt gets a Mesa that Dawn accepts: {} plainly, { backports } from there, undefined not at all. */
function planFor({ ID, VERSION_ID, VERSION_CODENAME }) {
  if (!has("apt-get")) return undefined;
  if (ID === "debian" && Number(VERSION_ID) === 12) {
    return { codename: VERSION_CODENAME, backports: `${VERSION_CODENAME}-backports` };
  }
  const tooOld = { debian: 12, ubuntu: 24 }[ID] > Number(VERSION_ID);
  return tooOld ? undefined : {};
}

/** /etc/os-release as an object. */
function osRelease() {
  const file = ["/etc/os-release", "/usr/lib/os-release"].find((path) => existsSync(path));
  const lines = file ? readFileSync(file, "utf8").matchAll(/^(\w+)=["']?(.*?)["']?$/gm) : [];
  return Object.fromEntries([...lines].map(([, key, value]) => [key, value]));
}

/** apt's sources, as { file, text } each. */
function aptSources() {
  const files = existsSync(SOURCES) ? readdirSync(SOURCES).map((name) => join(SOURCES, name)) : [];
  return ["/etc/apt/sources.list", ...files]
    .filter((file) => /\.(list|sources)$/.test(file) && existsSync(file))
    .map((file) => ({ file, text: withoutComments(readFileSync(file, "utf8")) }));
}

const withoutComments = (text) => text.replace(/^\s*#.*\n?/gm, "");

const suiteExists = (suite) => aptSources().some(({ text }) => new RegExp(`\\b${suite}(\\s|$)`, "m").test(text));

/** Adds the backports suite to apt's sources, unless it is there. */
function addBackports(plan, asRoot) {
  if (suiteExists(plan.backports)) return true;
  const draft = draftBackports(plan);
  if (!draft) {
    say(`apt's sources have no entry for ${plan.codename} main to derive ${plan.backports} from.`);
    return false;
  }
  say(`adding ${plan.backports} to apt's sources, as ${SOURCES}/${basename(draft)}`);
  return asRoot("install", "-m", "644", draft, SOURCES);
}

/**
 * Writes a source file for the backports suite into our cache, and returns its path. The entry that brings the release
 * itself is copied word for word, and only its suite is replaced: same server, same key, same options.
 */
function draftBackports({ codename, backports }) {
  const entry = aptSources()
    .map(({ file, text }) => (file.endsWith(".list") ? lineFor : stanzaFor)(text, codename, backports))
    .find(Boolean);
  if (!entry) return undefined;
  const draft = join(CACHE, `rediff-backports.${entry.format}`);
  mkdirSync(CACHE, { recursive: true });
  writeFileSync(draft, `${entry.text}\n`);
  return draft;
}

/** From a .sources file (blocks of `Key: value`): the block for the release's main, turned to backports. */
function stanzaFor(text, codename, backports) {
  const fieldOf = (stanza, key) => new RegExp(`^${key}:(.*)$`, "im").exec(stanza)?.[1].trim().split(/\s+/) ?? [];
  const stanza = text
    .split(/\n\s*\n/)
    .find(
      (block) =>
        fieldOf(block, "Types").includes("deb") &&
        fieldOf(block, "Suites").includes(codename) &&
        fieldOf(block, "Components").includes("main") &&
        !fieldOf(block, "Enabled").includes("no"),
    );
  const turned = stanza
    ?.trim()
    .replace(/^Types:.*$/im, "Types: deb")
    .replace(/^Suites:.*$/im, `Suites: ${backports}`)
    .replace(/^Components:.*$/im, "Components: main");
  return turned && { format: "sources", text: turned };
}

/** From a .list file (`deb [options] uri suite components` a line): the same. */
function lineFor(text, codename, backports) {
  const line = /^deb\s+(?<options>\[[^\]]*\]\s+)?(?<uri>\S+)\s+(?<suite>\S+)\s+.*\bmain\b/;
  const parts = text
    .split("\n")
    .map((candidate) => line.exec(candidate.trim())?.groups)
    .find((groups) => groups?.suite === codename);
  return parts && { format: "list", text: `deb ${parts.options ?? ""}${parts.uri} ${backports} main` };
}
