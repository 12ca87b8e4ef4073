/** Runs a TypeScript module in a real browser: bundle it, serve it, open Chromium, call its `run`, bring the result back. */
import { existsSync } from "node:fs";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { delimiter, join } from "node:path";
import { chromium } from "playwright-core";
import { bundleForBrowser } from "../../scripts/bundle.ts";

/**
 * Chromium with WebGPU, and without a screen or a GPU. SwiftShader is the only software adapter that it offers to pages,
 * and it has to be chosen in all three places: without the last, a canvas loses its device.
 */
const FLAGS = [
  "--no-sandbox",
  "--disable-quic",
  "--disable-background-networking",
  "--disable-component-update",
  "--disable-sync",
  "--enable-unsafe-webgpu",
  "--enable-features=Vulkan",
  "--use-vulkan=swiftshader",
  "--use-webgpu-adapter=swiftshader",
  "--use-angle=swiftshader",
];

const NAMES = ["chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome"];

const APPS = [
  "/Applications/Google Chrome.app/Contents/MacOS/Google Chrome",
  "/Applications/Chromium.app/Contents/MacOS/Chromium",
  "C:\\Program Files\\Google\\Chrome\\Application\\chrome.exe",
];

/** The browser to use: $CHROMIUM (empty: none), else one on the PATH, else one where installers put it. */
export function findChromium(): string | undefined {
  const onPath = (process.env["PATH"] ?? "")
    .split(delimiter)
    .flatMap((folder) => NAMES.map((name) => join(folder, name)));
  return process.env["CHROMIUM"] ?? [...onPath, ...APPS].find((path) => existsSync(path));
}

/** Everything but the variables that steer Vulkan: a manifest meant for Dawn in Node can end Chromium's GPU process. */
function browserEnvironment(): Record<string, string> {
  const kept = Object.entries(process.env).filter(([name, value]) => value !== undefined && !name.startsWith("VK_"));
  return Object.fromEntries(kept) as Record<string, string>;
}

/** Calls `run()` of a module, named by its path, inside a page. Rejects with what the page threw or printed as an error. */
export async function runInBrowser(page: string, executablePath: string, timeoutMs = 120_000): Promise<unknown> {
  const script = await bundleForBrowser(`import { run } from ${JSON.stringify(page)}; globalThis.run = run;`);
  const server = createServer((request, response) => {
    const isScript = request.url === "/page.js";
    response.writeHead(200, { "content-type": isScript ? "text/javascript" : "text/html; charset=utf-8" });
    response.end(isScript ? script : `<!doctype html><script type="module" src="/page.js"></script>`);
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const browser = await chromium.launch({ executablePath, headless: true, args: FLAGS, env: browserEnvironment() });
  try {
    const tab = await browser.newPage();
    const complaints: string[] = [];
    tab.on("pageerror", (error) => complaints.push(error.message));
    tab.on("console", (message) => message.type() === "error" && complaints.push(message.text()));
    tab.setDefaultTimeout(timeoutMs);
    await tab.goto(`http://127.0.0.1:${(server.address() as AddressInfo).port}/`);
    try {
      await tab.waitForFunction("globalThis.run", undefined, { timeout: 10_000 });
    } catch {
      throw new Error(`The page did not load.\n${complaints.join("\n")}`);
    }
    return await withTimeout(tab.evaluate("run()"), timeoutMs, () => complaints.join("\n"));
  } finally {
    await browser.close();
    server.close();
  }
}

async function withTimeout<T>(work: Promise<T>, ms: number, said: () => string): Promise<T> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Error(`The page gave no answer within ${ms / 1000} s.\n${said()}`)), ms);
  });
  try {
    return await Promise.race([work, late]);
  } finally {
    clearTimeout(timer);
  }
}
