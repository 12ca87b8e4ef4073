// Makes a fresh machine ready, and does nothing on one that is. `npm test`, `npm run demo` and their like call it first.
//
//   1. packages   npm ci, when node_modules lacks what package-lock.json lists
//   2. driver     Linux only, when Dawn finds no adapter that computes: Mesa by apt, else SwiftShader by npm
//
// Every step says what it is about to do. Nothing is installed twice. Ends with 0 when all is there, with 2 when not.
//
//   --packages                  step 1 only, for commands that compute nothing
//   REDIFF_SWIFTSHADER=folder   use the SwiftShader in that folder and look no further
//   REDIFF_NO_APT=1             never install system packages; take the npm fallback

const [major, minor] = process.versions.node.split(".").map(Number);

if (major < 20 || (major === 20 && minor < 19)) {
  console.error(`rediff needs Node 20.19 or newer. This is Node ${process.versions.node}, at ${process.execPath}.`);
  process.exit(2);
}

const { ensurePackages } = await import("./setup/packages.mjs");
const { ensureDriver } = await import("./setup/driver.mjs");

try {
  ensurePackages();
  if (!process.argv.includes("--packages")) ensureDriver();
} catch (error) {
  console.error(`\nset-up: ${error.name === "SetupError" ? error.message : error.stack}\n`);
  process.exit(2);
}
