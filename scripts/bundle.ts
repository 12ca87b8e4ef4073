/** Bundles our code for a browser: one script, with the kernels inside and everything that is Node's left out. */
import { readFileSync } from "node:fs";
import { build, type BuildOptions, type Plugin } from "esbuild";
import { filesBelow, ROOT } from "./imports.ts";

/** `import { kernels } from "virtual:kernels"`: the texts of kernels/, as the browser has no files to read. */
const kernels: Plugin = {
  name: "kernels",
  setup({ onResolve, onLoad }) {
    onResolve({ filter: /^virtual:kernels$/ }, ({ path }) => ({ path, namespace: "kernels" }));
    onLoad({ filter: /.*/, namespace: "kernels" }, () => {
      const texts = filesBelow(["kernels"], ".wgsl").map((file) => [
        file.slice("kernels/".length, -".wgsl".length),
        readFileSync(ROOT + file, "utf8"),
      ]);
      return { contents: `export const kernels = new Map(${JSON.stringify(texts)});`, loader: "js" };
    });
  },
};

/** Modules that only Node reaches, behind a dynamic import, are left out; reaching one in a browser is an error. */
const withoutNode: Plugin = {
  name: "without-node",
  setup({ onResolve, onLoad }) {
    onResolve({ filter: /\/node\.ts$/ }, ({ path, kind }) =>
      kind === "dynamic-import" ? { path, namespace: "without-node" } : undefined,
    );
    onLoad({ filter: /.*/, namespace: "without-node" }, ({ path }) => ({
      contents: `throw new Error("${path} works in Node only.");`,
      loader: "js",
    }));
  },
};

/** The text of one ES module, made from the source text of an entry whose imports are relative to the project's root. */
export async function bundleForBrowser(entry: string, options: BuildOptions = {}): Promise<string> {
  const { outputFiles } = await build({
    stdin: { contents: entry, resolveDir: ROOT, loader: "ts" },
    bundle: true,
    format: "esm",
    target: "es2022",
    plugins: [kernels, withoutNode],
    logLevel: "warning",
    ...options,
    write: false,
  });
  return outputFiles[0]!.text;
}
