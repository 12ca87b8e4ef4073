/** Which variant is chosen, what becomes of a table that is wrong, and how the race ends. No graphics device is opened. */
import assert from "node:assert/strict";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { after, afterEach, before, beforeEach, describe, mock, test } from "node:test";
import { race, winnerOf } from "../../src/cli/tuneRace.ts";
import { matmulChoice, type MatmulSizes, planMatmul } from "../../src/tensor/ops/matmulPlan.ts";
import { type AdapterKind, type AdapterTraits, type TuningState, variantFor } from "../../src/tensor/tuning.ts";
import { adapterKey, type AdapterNames, readTuning, type Tuning, tuningPath } from "../../src/tensor/tuningCache.ts";

const traitsOf = (
  kind: AdapterKind,
  subgroupSize?: number,
  workgroupBytes = 32_768,
  matrix: AdapterTraits["matrix"] = {},
): AdapterTraits => ({
  kind,
  subgroupSize,
  matrix,
  threads: 256,
  workgroupBytes,
});
const state = (traits: AdapterTraits, ...tables: Tuning[]): TuningState => ({ traits, tables });
const product = (M: number, N: number, K: number, precision: MatmulSizes["precision"] = "f32"): MatmulSizes => ({
  layout: "NN",
  batch: 1,
  M,
  N,
  K,
  aStride: M * K,
  bStride: K * N,
  weight: "f32",
  precision,
});
const lavapipe = traitsOf("lavapipe", 8);
const chosen = (sizes: MatmulSizes, tuning: TuningState): string => variantFor(matmulChoice, sizes, tuning);

describe("the choice", () => {
  test("what is shipped, by adapter and size", () => {
    assert.equal(chosen(product(1024, 128, 64), state(lavapipe)), "lanes8", "b fills no window");
    assert.equal(chosen(product(1024, 512, 128), state(lavapipe)), "windows");
    assert.equal(chosen(product(1023, 511, 63), state(lavapipe)), "padded");
    assert.equal(chosen(product(2, 512, 64), state(lavapipe)), "plain");
    assert.equal(chosen(product(4096, 4096, 64), state(traitsOf("nvidia", 32))), "tiled128");
    assert.equal(chosen(product(512, 512, 64), state(traitsOf("other"))), "tiled64");
  });

  test("a variant that the adapter cannot run, or that the sizes do not suit, is passed over", () => {
    assert.equal(chosen(product(1024, 512, 64), state(traitsOf("lavapipe"))), "tiled64", "no subgroups");
    assert.equal(chosen(product(4096, 4096, 64), state(traitsOf("nvidia", 32, 12_000))), "tiled64");
    assert.equal(chosen(product(4096, 4096, 64), state(traitsOf("nvidia", 32, 4_000))), "plain");
  });

  test("matrix units round operands only where that was asked for", () => {
    const unit = { f16: { M: 16, N: 16, K: 16 } };
    const nvidia = state(traitsOf("nvidia", 32, 49_152, unit));
    assert.equal(chosen(product(4096, 1024, 1024), nvidia), "tiled128");
    assert.equal(chosen(product(4096, 1024, 1024, "f16"), nvidia), "matrices");
    assert.equal(chosen(product(1023, 77, 33, "f16"), nvidia), "matrices", "any sizes");
    assert.equal(chosen(product(1, 1024, 1024, "f16"), nvidia), "tiled32");
    assert.equal(chosen(product(2, 512, 64, "f16"), state(lavapipe)), "plain", "as without rounding");
    const force = { matmul: { "NN medium": "matrices", "NN large": "matrices" } };
    assert.equal(chosen(product(4096, 1024, 1024), { ...nvidia, tables: [force] }), "tiled128");
    const exact = state(traitsOf("apple", 32, 32_768, { f32: { M: 8, N: 8, K: 8 } }), force);
    assert.equal(chosen(product(4096, 1024, 1024), exact), "matrices", "f32 operands lose nothing");
    assert.equal(chosen(product(4096, 1024, 1024, "f16"), state(traitsOf("nvidia", 32, 12_000, unit))), "tiled64");
  });

  test("every kind of adapter gets a plan within its limits for sizes of every bucket", () => {
    for (const kind of Object.keys(matmulChoice.shipped) as AdapterKind[])
      for (const M of [1, 64, 513, 2048])
        for (const N of [1, 64, 2047]) {
          const plan = planMatmul(product(M, N, 33), state(traitsOf(kind, kind === "lavapipe" ? 8 : undefined)));
          if (typeof plan === "string") continue;
          assert.ok(plan.flatMap(({ workgroups }) => workgroups).every((count) => count >= 1 && count <= 65_535));
        }
  });

  test("tables go before what is shipped, the first one first, and names that nobody knows are skipped", () => {
    const sizes = product(1024, 128, 64);
    const table = (variant: string): Tuning => ({ matmul: { "NN medium": variant } });
    assert.equal(chosen(sizes, state(lavapipe, table("tiled32"), table("plain"))), "tiled32");
    assert.equal(chosen(sizes, state(lavapipe, table("tiled1000"), table("plain"))), "plain");
    assert.equal(chosen(sizes, state(lavapipe, table("toString"))), "lanes8");
    assert.equal(chosen(sizes, state(lavapipe, table("padded"))), "lanes8", "nothing to pad");
  });
});

describe("the user's table", () => {
  const info: AdapterNames = { vendor: "acme", architecture: "one", device: "x", description: "Acme 1.2" };
  const cacheHome = process.env["XDG_CACHE_HOME"];
  let folder: string;
  before(() => {
    process.env["XDG_CACHE_HOME"] = folder = mkdtempSync(join(tmpdir(), "rediff-tuning-"));
  });
  after(() => {
    if (cacheHome === undefined) delete process.env["XDG_CACHE_HOME"];
    else process.env["XDG_CACHE_HOME"] = cacheHome;
    rmSync(folder, { recursive: true });
  });
  let warn: ReturnType<typeof mock.method>;
  beforeEach(() => (warn = mock.method(console, "warn", () => undefined)));
  afterEach(() => mock.restoreAll());

  /** Writes the file of an adapter with this name. */
  function write(device: string, content: unknown): AdapterNames {
    const adapter = { ...info, device };
    const path = tuningPath(adapter)!;
    mkdirSync(dirname(path), { recursive: true });
    writeFileSync(path, typeof content === "string" ? content : JSON.stringify(content));
    return adapter;
  }

  test("lies in the cache folder, one file for each adapter and driver", () => {
    assert.ok(tuningPath(info)!.startsWith(folder));
    assert.notEqual(tuningPath(info), tuningPath({ ...info, description: "Acme 1.3" }));
  });

  test("none is no fault", () => {
    assert.equal(readTuning({ ...info, device: "absent" }), undefined);
    assert.equal(warn.mock.callCount(), 0);
  });

  test("is read as op, bucket, variant", () => {
    const ops = { matmul: { "NN small": { variant: "plain", ms: { plain: 1, lanes8: 2 } } } };
    const adapter = write("good", { version: 1, adapter: adapterKey({ ...info, device: "good" }), ops });
    assert.deepEqual(readTuning(adapter), { matmul: { "NN small": "plain" } });
    assert.equal(warn.mock.callCount(), 0);
  });

  const key = (device: string): string => adapterKey({ ...info, device });
  for (const [device, content, reason] of [
    ["cut", '{"version": 1, "ad', /JSON/],
    ["list", [], /no object `ops`/],
    ["old", { version: 0, ops: {} }, /version is 0/],
    ["foreign", { version: 1, adapter: "another", ops: {} }, /adapter is "another"/],
    ["bare", { version: 1, adapter: key("bare"), ops: { matmul: { "NN small": "plain" } } }, /names no variant/],
    ["flat", { version: 1, adapter: key("flat"), ops: { matmul: 3 } }, /ops\.matmul is no object/],
  ] as const)
    test(`${device}: ignored, with one warning`, () => {
      const adapter = write(device, content);
      assert.equal(readTuning(adapter), undefined);
      assert.equal(readTuning(adapter), undefined);
      assert.equal(warn.mock.callCount(), 1);
      assert.match(String(warn.mock.calls[0]!.arguments[0]), reason);
    });
});

describe("the race", () => {
  /** Candidates whose times are given, round by round; says who was measured. */
  function track(times: Readonly<Record<string, readonly number[]>>) {
    const measured: string[] = [];
    const measure = (name: string) => {
      const round = measured.filter((other) => other === name).length;
      measured.push(name);
      return Promise.resolve(times[name]![round]!);
    };
    return { measured, measure };
  }

  test("candidates take turns, and those far behind leave after two rounds", async () => {
    const { measured, measure } = track({ a: [2, 1, 1.1], b: [1.2, 9, 1.3], c: [3, 4], d: [9] });
    const ms = await race(["a", "b", "c", "d"], measure, { rounds: 3, leaveAt: 1.5 });
    assert.deepEqual(measured, ["a", "b", "c", "d", "a", "b", "c", "a", "b"], "d is out by more than twice the factor");
    assert.deepEqual(ms, { a: 1, b: 1.2, c: 3, d: 9 });
  });

  test("a race that is stopped has no result", async () => {
    const { measured, measure } = track({ a: [1, 1], b: [1, 1] });
    const stop = () => measured.length === 3;
    assert.equal(await race(["a", "b"], measure, { rounds: 9, leaveAt: 1.5, stop }), undefined);
    assert.equal(measured.length, 3);
  });

  test("it ends when one is left", async () => {
    const { measured, measure } = track({ a: [1, 1], b: [2, 2] });
    await race(["a", "b"], measure, { rounds: 9, leaveAt: 1.5 });
    assert.equal(measured.length, 4);
  });

  test("the favourite loses only by more than the margin", () => {
    assert.equal(winnerOf({ old: 1.04, young: 1 }, "old"), "old");
    assert.equal(winnerOf({ old: 1.06, young: 1 }, "old"), "young");
    assert.equal(winnerOf({ young: 1 }, "old"), "young");
    assert.equal(winnerOf({}, "old"), undefined);
  });
});
