/** The preset `reference`: token ids before every step are those of the released samplers (test/goldens/llada.py). */
import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { disposeRediff, type Rediff } from "../../src/model/rediff.ts";
import { Change, type DecodeStep } from "../../src/sample/decoder.ts";
import { referenceRow, type ReferenceRules } from "../../src/sample/reference.ts";
import { reference } from "../../src/sample/referenceDecoder.ts";
import { type Device, openDevice, randomStream } from "../../src/tensor/index.ts";
import { golden, imageOf, lladaIds, lladaModel, type Run } from "../support/lladaGolden.ts";

let device: Device;
let model: Rediff;
before(async () => {
  device = await openDevice();
  model = lladaModel(device);
});
after(async () => {
  disposeRediff(model);
  await device.close();
});

const { start, end, headerStart, headerEnd, turnEnd, mask } = lladaIds;
const banned = [start, end, headerStart, headerEnd];
const SUFFIX = [40, 41, 42];

/** Decodes runs of equal options as one batch, and returns the canvases before each step, row by row. */
async function decode(
  runs: readonly Run[],
): Promise<{ before: number[][][]; canvas: number[][]; answers: number[][]; steps: number }> {
  const [{ options }] = runs as [Run];
  const { gen_length: T, fake_ans: draft } = options;
  const rules: ReferenceRules = {
    steps: options.steps,
    refine: options.revise ?? false,
    ...(options.revise_topk === undefined ? {} : { refineShare: options.revise_topk }),
    ...(options.revise_start === undefined ? {} : { refineSteps: options.revise_start }),
    ...(options.remasking === undefined ? {} : { remasking: options.remasking }),
    ...(options.cfg_scale === undefined ? {} : { guidance: options.cfg_scale }),
    ...(options.generation_suffix === undefined ? {} : { suffix: SUFFIX }),
  };
  const begun = Array.from({ length: T }, (_, i) => draft?.[i] ?? mask);
  const history: DecodeStep[] = [];
  const result = await reference(rules)(
    model,
    {
      images: runs.map((run) => imageOf(device, run.image, run.tokens ?? 6, model.config.text.width)),
      prompts: runs.map((run) => run.prompt),
      draft: runs.flatMap(() => begun),
      maskId: mask,
      banned,
      stops: options.stopping_criteria ? (options.stops ?? [[turnEnd]]) : [],
    },
    {
      tokensPerStep: 1,
      canvas: T,
      block: options.block_length,
      temperature: options.temperature ?? 0,
      seed: golden.draws,
      onStep: (step) => history.push(step),
    },
  );
  const row = (canvas: ArrayLike<number>, b: number) => Array.from(canvas).slice(b * T, (b + 1) * T);
  return {
    before: runs.map((_, b) => [begun, ...history.slice(0, -1).map(({ canvas }) => row(canvas, b))]),
    canvas: runs.map((_, b) => row(result.canvas, b)),
    answers: runs.map((run, b) => [
      ...row(result.canvas, b).slice(0, result.lengths![b]),
      ...(run.options.generation_suffix ? SUFFIX : []),
    ]),
    steps: result.steps,
  };
}

describe("token for token", () => {
  for (const run of golden.runs)
    test(run.name, async () => {
      const { before, answers, steps } = await decode([run]);
      assert.equal(steps, run.steps.length);
      run.steps.forEach((want, i) => assert.deepEqual(before[0]![i], want, `before step ${i}`));
      assert.deepEqual(answers[0], run.result);
    });

  for (const { name, options, rows } of golden.batches)
    test(`${rows.length} rows of different length as one batch: ${name}`, async () => {
      const { before, answers, steps } = await decode(rows.map((row) => ({ ...row, name, options })));
      assert.equal(steps, Math.max(...rows.map((row) => row.steps.length)));
      for (const [b, row] of rows.entries()) {
        row.steps.forEach((want, i) => assert.deepEqual(before[b]![i], want, `row ${b}, before step ${i}`));
        assert.deepEqual(answers[b], row.result);
      }
    });

  test("rows of a batch that stop at different steps", async () => {
    const stops = golden.runs.find(({ name }) => name === "plain, stops")!;
    const again = golden.runs.find(({ name }) => name === "plain")!;
    const other = { ...again, options: stops.options };
    const [alone, both] = [await decode([other]), await decode([stops, other])];
    assert.notEqual(stops.steps.length, alone.steps);
    stops.steps.forEach((want, i) => assert.deepEqual(both.before[0]![i], want, `before step ${i}`));
    assert.deepEqual(both.answers[0], stops.result);
    assert.deepEqual(both.canvas[1], alone.canvas[0]);
  });
});

describe("the rules alone", () => {
  const schedule = { block: 4, stepsPerBlock: 2, maskId: 0 };
  const T = 8;
  /** Runs a row on predictions that do not depend on the canvas. */
  const play = (ids: number[], confidence: number[], rules: ReferenceRules = {}, seed = 0, stops = [[9]]) => {
    const canvas = new Uint32Array(T);
    const row = referenceRow(canvas, { ...schedule, stops, random: randomStream(seed) }, rules);
    const seen: number[][] = [];
    let next = row.next();
    while (!next.done) {
      next = row.next({ ids: Uint32Array.from(ids), confidence: Float32Array.from(confidence) });
      seen.push([...canvas]);
    }
    return { seen, stop: next.value };
  };
  const rising = [1, 2, 3, 4, 5, 6, 7, 8].map((x) => x / 10);

  test("nothing behind an end of turn is committed, and blocks behind it are not decoded", () => {
    const { seen, stop } = play([1, 2, 3, 9, 5, 6, 7, 8], rising);
    assert.deepEqual(seen, [
      [0, 0, 3, 9, 0, 0, 0, 0],
      [1, 2, 3, 9, 0, 0, 0, 0],
    ]);
    assert.equal(stop, 3);
  });

  test("once any stop was there, only the first of the list moves the end", () => {
    assert.equal(play([8, 2, 3, 8, 5, 6, 7, 1], rising, {}, 0, [[9], [8]]).stop, 3);
    assert.equal(play([9, 2, 3, 8, 5, 6, 7, 1], rising, {}, 0, [[9], [8]]).stop, 0);
  });

  test("a predicted mask takes a place in the schedule and fills nothing", () => {
    const { seen, stop } = play([1, 2, 0, 4, 5, 6, 7, 8], rising);
    assert.deepEqual(seen.slice(0, 2), [
      [0, 0, 0, 4, 0, 0, 0, 0],
      [0, 2, 0, 4, 0, 0, 0, 0],
    ]);
    assert.equal(stop, T);
  });

  test("random remasking: the schedule's counts at random places of the block, again with the same seed", () => {
    const told = [1, 2, 3, 4, 5, 6, 7, 8];
    const counts = ({ seen }: ReturnType<typeof play>) => seen.map((ids) => ids.filter((id) => id !== 0).length);
    const random = (seed: number) => play(told, rising, { remasking: "random" }, seed);
    const first = new Set<string>();
    for (let seed = 0; seed < 64; seed++) {
      const run = random(seed);
      assert.deepEqual(counts(run), [2, 4, 6, 8]);
      assert.deepEqual(run, random(seed));
      assert.ok(
        run.seen[0]!.slice(4).every((id) => id === 0),
        "the second block is left alone",
      );
      assert.deepEqual(run.seen.at(-1), told);
      first.add(String(run.seen[0]));
    }
    assert.equal(first.size, 6, "every pair of the four places comes first");
    assert.deepEqual(play(told, rising, { remasking: "low_confidence" }, 7), play(told, rising));
  });

  test("equal confidence commits the lower position", () => {
    const { seen } = play([1, 2, 3, 4, 5, 6, 7, 8], Array<number>(T).fill(0.5));
    assert.deepEqual(seen[0], [1, 2, 0, 0, 0, 0, 0, 0]);
  });
});

test("changes say what became of each position, and masks may remain behind the end", async () => {
  const run = golden.runs.find(({ name }) => name === "plain, stops")!;
  const changes: number[] = [];
  await reference({ steps: run.options.steps })(
    model,
    {
      images: [imageOf(device, run.image, 6, model.config.text.width)],
      prompts: [run.prompt],
      maskId: mask,
      banned,
      stops: [[turnEnd]],
    },
    { tokensPerStep: 1, canvas: 24, block: 12, onStep: (step) => changes.push(...step.changes) },
  );
  assert.ok(changes.includes(Change.committed) && changes.includes(Change.kept) && changes.includes(Change.masked));
  assert.ok(!changes.includes(Change.replaced), "without refining nothing is replaced");
});

test("random remasking of a model: another order than by confidence, the same again with its seed", async () => {
  const run = golden.runs.find(({ name }) => name === "plain")!;
  const decoded = async (rules: ReferenceRules, seed: number) => {
    const order: number[][] = [];
    const onStep = ({ canvas }: DecodeStep) => order.push([...canvas]);
    const images = [imageOf(device, run.image, 6, model.config.text.width)];
    const request = { images, prompts: [run.prompt], maskId: mask, banned: [...banned, mask] };
    await reference({ ...rules, steps: 8 })(model, request, { tokensPerStep: 1, canvas: 24, block: 24, seed, onStep });
    return order;
  };
  const counts = (order: number[][]) => order.map((ids) => ids.filter((id) => id !== mask).length);
  const [once, again, other] = [
    await decoded({ remasking: "random" }, 3),
    await decoded({ remasking: "random" }, 3),
    await decoded({ remasking: "random" }, 4),
  ];
  assert.deepEqual(counts(once), [3, 6, 9, 12, 15, 18, 21, 24]);
  assert.deepEqual(counts(other), counts(once));
  assert.deepEqual(once, again);
  assert.notDeepEqual(once, other);
  assert.deepEqual(await decoded({ remasking: "low_confidence" }, 3), await decoded({}, 4));
});

test("what the released code does not take", async () => {
  const request = { images: [], prompts: [[7, 8]], maskId: mask, banned };
  const given = { tokensPerStep: 4, canvas: 24 };
  await assert.rejects(reference()(model, request, { ...given, block: 7 }), /whole blocks: 7 does not divide 24/);
  await assert.rejects(
    reference({ steps: 7 })(model, request, { ...given, block: 12 }),
    /steps are a multiple of the 2 blocks; they are 7/,
  );
  await assert.rejects(reference()(model, { ...request, stops: [[]] }, given), /A stop must have at least one token/);
});
