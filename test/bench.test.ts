/** The bench's own sums: quantiles, comparison of results, whose work a stack is, and figures that people can read. */
import assert from "node:assert/strict";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";
import { fileURLToPath } from "node:url";
import * as Plot from "@observablehq/plot";
import { renderPng, renderSvg } from "../bench/plot.ts";
import { kindOf } from "../bench/profile.ts";
import { compareRows, readResult, type Row } from "../bench/result.ts";
import { quantile, timesOf } from "../bench/sample.ts";
import { lineOf, show } from "../bench/table.ts";

const folder = mkdtempSync(join(tmpdir(), "rediff-bench-"));
after(() => rmSync(folder, { recursive: true }));

const row = (name: string, ...samples: number[]): Row => ({ name, params: "N 4", kind: "gpu", ms: timesOf(samples) });

test("quantiles lie between the nearest samples, whatever their order", () => {
  const samples = [5, 1, 4, 2, 3];
  assert.equal(quantile(samples, 0), 1);
  assert.equal(quantile(samples, 0.5), 3);
  assert.ok(Math.abs(quantile(samples, 0.9) - 4.6) < 1e-12);
  assert.deepEqual(samples, [5, 1, 4, 2, 3], "the samples were sorted in place");
  assert.equal(quantile([7], 0.1), 7);
});

test("only rows whose bands do not overlap differ", () => {
  const before = [row("slower", 1, 2), row("faster", 5, 6), row("noisy", 1, 9), row("gone", 1)];
  const after = [row("slower", 4, 5), row("faster", 1, 2), row("noisy", 2, 3), row("new", 1)];
  const { differences, same, onlyBefore, onlyAfter } = compareRows(before, after);
  assert.deepEqual(
    differences.map(({ name, ratio }) => [name, ratio]),
    [
      ["faster", 1.5 / 5.5],
      ["slower", 4.5 / 1.5],
    ],
  );
  assert.equal(same, 1);
  assert.deepEqual([onlyBefore, onlyAfter], [["gone, N 4"], ["new, N 4"]]);
});

test("a file that is no result is refused, with its name", () => {
  const write = (name: string, text: string): string => {
    const path = join(folder, name);
    writeFileSync(path, text);
    return path;
  };
  const old = { roof: {}, adapter: {}, rows: [{ name: "x", ms: { p50: 1, min: 1, max: 1 } }] };
  for (const path of [join(folder, "none.json"), write("text.json", "no"), write("old.json", JSON.stringify(old))])
    assert.throws(
      () => readResult(path),
      (error: Error) => error.message.includes(path),
    );
  const result = { roof: {}, adapter: {}, rows: [row("x", 1)] };
  assert.deepEqual(readResult(write("good.json", JSON.stringify(result))), result);
});

test("stacks are sorted by whose work they are", () => {
  const op = { name: "product", file: "src/tensor/ops/matmul.ts" };
  const dispatch = { name: "dispatch", file: "src/tensor/commands.ts" };
  const submit = { name: "#submit", file: "src/tensor/commands.ts" };
  const dawn = { name: "setBindGroup", file: "node_modules/webgpu/index.js" };
  const read = { name: "readBuffers", file: "src/tensor/device.ts" };
  assert.equal(kindOf([dispatch, op]), "recording");
  assert.equal(kindOf([op]), "recording");
  assert.equal(kindOf([dawn, submit, read]), "encoding");
  assert.equal(kindOf([dawn, read]), "readback");
  assert.equal(
    kindOf([
      { name: "fill", file: "src/data/flagRenderer.ts" },
      { name: "step", file: "src/train/trainer.ts" },
    ]),
    "data",
  );
  assert.equal(kindOf([{ name: "nap", file: "src/tensor/node.ts" }]), "waiting");
  assert.equal(kindOf([{ name: "(idle)", file: "" }]), "waiting");
  assert.equal(kindOf([{ name: "(garbage collector)", file: "" }, op]), "garbage");
});

test("tables: text is cut, numbers are rounded, what is not there is blank", () => {
  const columns = [
    { title: "name", width: -6, value: ({ name }: { name: string; ms?: number }) => name },
    { title: "ms", width: 7, digits: 2, value: ({ ms }: { name: string; ms?: number }) => ms },
  ];
  assert.equal(lineOf(columns, { name: "attention", ms: 1.234 }), "atten    1.23");
  assert.equal(lineOf(columns, { name: "sum" }), "sum          ");
  assert.equal(show({ layout: "NT", shared: true, ragged: false, M: 3 }), "NT, shared, M 3");
});

test("a figure is one SVG with its text and curves, and a PNG of twice its size", () => {
  const svg = renderSvg({
    width: 300,
    height: 200,
    x: { label: "step" },
    marks: [
      Plot.line([
        [1, 2],
        [3, 5],
      ]),
      Plot.text([[2, 3]], { text: ["half way"] }),
    ],
  });
  assert.match(svg, /^<svg [^>]*xmlns="http:\/\/www.w3.org\/2000\/svg"/);
  assert.match(svg, /half way/);
  assert.match(svg, /step/);
  assert.match(svg, /<path [^>]*d="M/);
  const { bytes } = renderPng(svg);
  const header = Buffer.from(bytes.subarray(0, 24));
  assert.equal(header.toString("latin1", 1, 4), "PNG");
  assert.deepEqual([header.readUInt32BE(16), header.readUInt32BE(20)], [600, 400]);
});

test("an op that does not exist, and options that do not go together, are refused before anything is timed", async () => {
  const { spawnSync } = await import("node:child_process");
  const main = fileURLToPath(new URL("../bench/main.ts", import.meta.url));
  const run = (...args: string[]) => {
    const { status, stderr, stdout } = spawnSync(process.execPath, ["--import", "tsx", main, ...args], {
      encoding: "utf8",
    });
    return { status, text: stderr + stdout };
  };
  for (const [args, said] of [
    [["--secnds", "1"], "--secnds"],
    [["--seconds", "much"], "--seconds must be a number"],
    [["--compare", "one.json"], "--compare takes two"],
    [["softmax", "--from", "x.json"], "--from goes with"],
    [["ladder", "gelu"], "gelu has none"],
    [["nosuchop"], "there is no op nosuchop"],
  ] as const) {
    const { status, text } = run(...args);
    assert.equal(status, 2, text);
    assert.ok(text.includes(said), text);
  }
  assert.match(run("--help").text, /npm run bench -- \[command\]/);
});
