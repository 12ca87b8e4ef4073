/** The layout of the house, as rules that fail. Read the tables: they are the map of src/. */
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { posix } from "node:path";
import { test } from "node:test";
import { cyclesIn, filesBelow, importGraph, type ImportGraph, importsIn, ROOT } from "../scripts/imports.ts";

/**
 * The rooms of src/, and which rooms each may import from.
 *
 *   tensor <- nn <- model <- sample <- train        data <- expert <- train        {model, sample, data} <- eval
 */
const ROOMS: { readonly [room: string]: readonly string[] } = {
  tensor: [],
  nn: ["tensor"],
  model: ["tensor", "nn"],
  data: [],
  sample: ["tensor", "nn", "model"],
  expert: ["data"],
  train: ["tensor", "nn", "model", "data", "sample", "expert"],
  eval: ["tensor", "nn", "model", "data", "sample"],
  cli: ["tensor", "nn", "model", "data", "sample", "expert", "train", "eval"],
};

/** A room's front door: from outside the room, only this file is imported. */
const DOORS: { readonly [room: string]: string } = {
  tensor: "src/tensor/index.ts",
  sample: "src/sample/index.ts",
};

/** Who may come in by another door, and why. */
const SIDE_DOORS: readonly { from: string; to: string; because: string }[] = [
  { from: "src/", to: "src/tensor/errors.ts", because: "every room throws the same kinds of errors" },
  {
    from: "src/data/",
    to: "src/tensor/philox.ts",
    because: "data is drawn from the engine's random numbers, without a GPU",
  },
  {
    from: "src/model/",
    to: "src/data/resize.ts",
    because: "how pictures are resized and tiled is part of the encoder",
  },
  {
    from: "src/cli/doctor",
    to: "src/tensor/node.ts",
    because: "doctor looks at Dawn below the engine, opened as it opens it",
  },
  { from: "src/cli/tune", to: "src/tensor/tuning", because: "`rediff tune` writes the tables that the engine reads" },
  { from: "src/cli/tune", to: "src/tensor/ops/matmulPlan.ts", because: "`rediff tune` measures the variants it lists" },
  { from: "src/cli/", to: "src/sample/", because: "the terminal shows what decoders do inside" },
  { from: "src/eval/", to: "src/sample/", because: "experiments compare decoders one by one" },
];

/** The floors of src/tensor/, from the ground up. A file imports from its own floor and from those below it. */
const FLOORS: readonly (readonly string[])[] = [
  ["errors", "dtype", "shape", "philox", "quantisation", "softwareDriver"],
  ["node", "device", "buffers", "kernel", "elementwiseRun", "commands", "tuning", "tuningCache"],
  ["tensor"],
  ["run", "columns", "rows", "rowsByIndex"],
  ["autograd"],
  ["op"],
  ["ops/", "elementwise", "random"],
  ["index"],
];

/** Folders that nothing in the product imports from. */
const OUTSIDE = /^(test|bench|scripts)\//;

const roomOf = (file: string): string | undefined => /^src\/([^/]+)\//.exec(file)?.[1];

function floorOf(file: string): number {
  const stem = file.replace("src/tensor/", "").replace(/\.ts$/, "");
  return FLOORS.findIndex((floor) =>
    floor.some((name) => stem === name || (name.endsWith("/") && stem.startsWith(name))),
  );
}

/** Why `file` may not import `target`, or undefined if it may. Both are paths from the root. */
function forbidden(file: string, target: string): string | undefined {
  if (/^(src|web)\//.test(file) && OUTSIDE.test(target))
    return "nothing in src/ or web/ imports test/, bench/ or scripts/";
  const [from, to] = [roomOf(file), roomOf(target)];
  if (!target.startsWith("src/")) return undefined;
  if (from === undefined || to === undefined) {
    return from === undefined ? undefined : "src/index.ts is the package's entry, for users and not for us";
  }
  if (from === to) {
    if (from !== "tensor") return undefined;
    const [own, other] = [floorOf(file), floorOf(target)];
    return own >= 0 && other > own
      ? `src/tensor/ is built in floors, and ${posix.basename(target)} (floor ${other}) stands above ${posix.basename(file)} (floor ${own})`
      : undefined;
  }
  if (SIDE_DOORS.some((door) => file.startsWith(door.from) && target.startsWith(door.to))) return undefined;
  if (!ROOMS[from]?.includes(to)) return `${from} may import from: ${ROOMS[from]?.join(", ") || "no other room"}`;
  const door = DOORS[to];
  return door !== undefined && target !== door ? `from outside ${to}/, only ${door} is imported` : undefined;
}

/** Every import that breaks a rule, as a line for people. */
function violations(graph: ImportGraph): string[] {
  return [...graph].flatMap(([file, targets]) =>
    targets.flatMap((target) => {
      const rule = forbidden(file, target);
      return rule === undefined ? [] : [`${file} imports ${target}. Rule: ${rule}.`];
    }),
  );
}

/** Fails with the list of what is wrong, if anything is. */
function none(problems: readonly string[]): void {
  if (problems.length === 0) return;
  throw new Error(`\n\n  ${problems.join("\n  ")}\n\n  The rules stand in test/layout.test.ts.\n`);
}

const read = (file: string): string => readFileSync(ROOT + file, "utf8");
const stemOf = (file: string): string => posix.basename(file).split(".")[0]!;
const withoutComments = (text: string): string => text.replace(/\/\*[\s\S]*?\*\//g, "").replace(/\/\/.*$/gm, "");

const sources = importGraph(filesBelow(["src", "web"], ".ts"));
const kernels = filesBelow(["kernels"], ".wgsl");

test("imports point one way", () => none(violations(sources)));

test("no imports form a circle", () => none(cyclesIn(sources).map((cycle) => cycle.join(" -> "))));

test("every file has its place", () => {
  none(
    [...sources.keys()]
      .filter((file) => file.startsWith("src/"))
      .flatMap((file) => {
        const room = roomOf(file);
        if (room === undefined) return file === "src/index.ts" ? [] : [`${file} stands in no room.`];
        if (!(room in ROOMS)) return [`${file}: the room "${room}" is not in ROOMS.`];
        return room === "tensor" && floorOf(file) < 0 ? [`${file} is on none of the FLOORS.`] : [];
      }),
  );
});

test("every imported file exists, and is named with its extension", () => {
  none(
    [...sources].flatMap(([file, targets]) =>
      targets
        .filter((target) => /^(src|web|kernels)\//.test(target) && !sources.has(target))
        .map((target) => `${file} imports ${target}, which is not there.`),
    ),
  );
});

test("every kernel is run by something in src/, and every rung of the ladder leads to a kernel in use", () => {
  const code = [...sources.keys()].map((file) => withoutComments(read(file))).join("\n");
  const inUse = (stem: string): boolean => new RegExp(`["'\`]${stem}["'\`]`).test(code);
  const isRung = (file: string): boolean => file.startsWith("kernels/ladder/");
  none([
    ...kernels
      .filter((file) => !isRung(file) && !inUse(stemOf(file)))
      .map((file) => `${file}: nothing in src/ names "${stemOf(file)}".`),
    ...kernels
      .filter((file) => isRung(file) && !kernels.some((top) => !isRung(top) && stemOf(top).startsWith(stemOf(file))))
      .map((file) => `${file}: there is no kernels/${stemOf(file)}.wgsl that it leads to.`),
  ]);
});

// An op is what a file below src/tensor/ops/ gives to src/tensor/index.ts; other files there are its helpers.
test("every op has its case", () => {
  const cases = new Set(filesBelow(["test/cases"], ".ts").map(stemOf));
  none(
    (sources.get("src/tensor/index.ts") ?? [])
      .filter((file) => file.startsWith("src/tensor/ops/"))
      .filter((file) => !cases.has(stemOf(file)))
      .map((file) => `${file} has no test/cases/${stemOf(file)}.ts.`),
  );
});

/** What every kernel file keeps to. Each rule: does this text break it, and what then to say. */
const KERNEL_RULES: readonly { broken: (code: string, text: string, stem: string) => boolean; rule: string }[] = [
  {
    broken: (_, text, stem) => !text.startsWith(`// ${stem}`),
    rule: "the first line is a comment that begins with the kernel's name",
  },
  { broken: (code) => code.match(/@compute/g)?.length !== 1, rule: "one file has one entry point" },
  { broken: (code) => !/\bfn main\s*\(/.test(code), rule: "the entry point is called main" },
  {
    broken: (code) => (code.match(/var<\s*storage/g)?.length ?? 0) > 8,
    rule: "at most 8 storage buffers, which every device has",
  },
  {
    broken: (code) => /\bpow\s*\(/.test(code),
    rule: "no pow: it is NaN for a negative base; multiply, or take exp2 of a logarithm",
  },
  {
    broken: (_, text) => text.split("\n").some((line) => /var<\s*storage/.test(line) && !/;\s*\/\/.*\S/.test(line)),
    rule: "each storage binding says its shape in a comment at the end of its line",
  },
];

test("kernels keep to their conventions", () => {
  none(
    kernels.flatMap((file) => {
      const text = read(file);
      return KERNEL_RULES.filter(({ broken }) => broken(withoutComments(text), text, stemOf(file))).map(
        ({ rule }) => `${file}: ${rule}.`,
      );
    }),
  );
});

// A checker that never complains proves nothing: here are imports that it must refuse, and some that it must not.

test("the checker refuses planted mistakes", () => {
  const refused: readonly [string, string][] = [
    ["src/tensor/shape.ts", "src/tensor/tensor.ts"],
    ["src/tensor/tensor.ts", "src/tensor/ops/matmul.ts"],
    ["src/tensor/ops/matmul.ts", "src/tensor/index.ts"],
    ["src/tensor/tensor.ts", "src/nn/linear.ts"],
    ["src/nn/linear.ts", "src/tensor/tensor.ts"],
    ["src/nn/linear.ts", "src/model/rediff.ts"],
    ["src/data/facts.ts", "src/tensor/index.ts"],
    ["src/expert/facts.ts", "src/train/log.ts"],
    ["src/sample/refine.ts", "src/train/loop.ts"],
    ["src/train/stage2.ts", "src/sample/refine.ts"],
    ["src/train/loop.ts", "test/support/opCase.ts"],
    ["src/train/loop.ts", "src/index.ts"],
    ["web/play.ts", "bench/main.ts"],
  ];
  const allowed: readonly [string, string][] = [
    ["src/tensor/ops/softmax.ts", "src/tensor/ops/views.ts"],
    ["src/tensor/autograd.ts", "src/tensor/tensor.ts"],
    ["src/data/flagGenerator.ts", "src/tensor/philox.ts"],
    ["src/train/stage2.ts", "src/sample/index.ts"],
    ["src/eval/runs.ts", "src/sample/refine.ts"],
    ["src/index.ts", "src/model/rediff.ts"],
    ["src/data/image.ts", "pngjs"],
  ];
  for (const [file, target] of refused)
    assert.ok(forbidden(file, target), `${file} importing ${target} must be refused`);
  for (const [file, target] of allowed) assert.equal(forbidden(file, target), undefined, `${file} importing ${target}`);
  const circle = new Map([
    ["a", ["b"]],
    ["b", ["c"]],
    ["c", ["b"]],
  ]);
  assert.deepEqual(cyclesIn(circle), [["b", "c", "b"]]);
});

test("imports are found however they are written", () => {
  const source = `
import { a } from "./a.ts";
import type { B } from './b.ts';
import {
  c,
} from "./c.ts";
import "./d.ts";
export * from "./e.ts";
export { f } from "./f.ts";
  const g = await import("./g.ts");
// import { no } from "./no.ts";
/**
 * const no = await import("./no.ts");
 */
export function from(x: string): string { return "./no.ts"; }
`;
  assert.deepEqual(importsIn(source).sort(), ["./a.ts", "./b.ts", "./c.ts", "./d.ts", "./e.ts", "./f.ts", "./g.ts"]);
});
