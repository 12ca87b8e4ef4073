/** Corruptions and the losses of refining: what each category is, and what each term weighs. No device. */
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import fc from "fast-check";
import { type RandomStream, randomStream } from "../../src/tensor/index.ts";
import {
  type Canvas,
  categoryIds,
  cleanCanvas,
  differingSpan,
  draftCanvas,
  dynamicRate,
  inOrder,
  maskTokens,
  type Noise,
  plantPhrase,
  replaceTokens,
  tokenCategories,
  UNJUDGED,
} from "../../src/train/corruption.ts";
import { recipes } from "../../src/train/recipes.ts";
import { lossPresets, lossWeights } from "../../src/train/revisionLoss.ts";
import { golden, lladaIds } from "../support/lladaGolden.ts";
import { wholeGolden } from "../support/publishedTraining.ts";

const [MASK, ORDINARY, END] = [1019, 1017, 1018];
const noise = (p: number, seed = 1): Noise => ({ p, random: randomStream(seed), maskId: MASK, ordinary: ORDINARY });

/** An answer of T tokens whose last `fill` are the end of text. */
const answers = fc
  .tuple(fc.array(fc.nat(ORDINARY - 1), { minLength: 1, maxLength: 40 }), fc.integer({ min: 1, max: 12 }))
  .map(([ids, fill]) => Uint32Array.from([...ids, ...Array<number>(fill).fill(END)]));

/** Two answers of one length; the second has one stretch of the first replaced by another, maybe of other length. */
const pairs = fc
  .tuple(answers, fc.nat(), fc.nat(8), fc.array(fc.nat(ORDINARY - 1), { maxLength: 8 }))
  .map(([right, at, removed, phrase]) => {
    const start = at % right.length;
    const ids = [...right.slice(0, start), ...phrase, ...right.slice(start + removed)];
    const wrong = Uint32Array.from({ length: right.length }, (_, i) => ids[i] ?? END);
    return { right, wrong };
  });

const count = (canvas: Canvas, category: number): number => canvas.category.filter((id) => id === category).length;

describe("corruption", () => {
  test("categories partition the answer and say what is shown", () => {
    fc.assert(
      fc.property(pairs, fc.double({ min: 0.001, max: 1, noNaN: true }), fc.nat(), ({ right, wrong }, p, seed) => {
        for (const corrupt of [
          inOrder(plantPhrase(wrong), maskTokens, replaceTokens(0.3)),
          inOrder(maskTokens, plantPhrase(wrong), replaceTokens(0.3)),
        ]) {
          const { shown, target, category } = corrupt(cleanCanvas(right), noise(p, seed));
          assert.deepEqual(target, right);
          category.forEach((id, i) => {
            const at = `position ${i}: shown ${shown[i]}, right ${right[i]}, category ${id}`;
            if (id === categoryIds.mask) assert.equal(shown[i], MASK, at);
            else if (id === categoryIds.clean) assert.equal(shown[i], right[i], at);
            else if (id === categoryIds.hallucination) assert.ok(shown[i] === wrong[i] && shown[i] !== right[i], at);
            else assert.ok(id === categoryIds.syntax && shown[i]! < ORDINARY && shown[i] !== right[i], at);
          });
        }
      }),
      { seed: 42, numRuns: 300 },
    );
  });

  test("the answer and the canvas before are left alone", () => {
    const right = Uint32Array.from({ length: 64 }, (_, i) => i);
    const canvas = cleanCanvas(right);
    inOrder(plantPhrase(right.map((id) => (id === 7 ? 900 : id))), maskTokens, replaceTokens(0.5))(canvas, noise(0.5));
    assert.deepEqual(
      right,
      Uint32Array.from({ length: 64 }, (_, i) => i),
    );
    assert.equal(count(canvas, categoryIds.clean), 64);
  });

  test("rates: masks at p, random tokens at the rate among what is clean, uniform over the other ordinary tokens", () => {
    const T = 40_000;
    const right = new Uint32Array(T).fill(5);
    const within = (got: number, want: number, n: number, rate: number) =>
      assert.ok(Math.abs(got - want) <= 5 * Math.sqrt(n * rate * (1 - rate)) + 1e-9, `${got}, expected ${want}`);
    for (const p of [0.001, 0.3, 1]) {
      const canvas = inOrder(maskTokens, replaceTokens(0.1))(cleanCanvas(right), noise(p));
      const masks = count(canvas, categoryIds.mask);
      within(masks, p * T, T, p);
      within(count(canvas, categoryIds.syntax), 0.1 * (T - masks), T - masks, 0.1);
    }
    const small = { ...noise(0.5), ordinary: 8 };
    const { shown } = replaceTokens(1)(cleanCanvas(right), small);
    const seen = new Map<number, number>();
    for (const id of shown) seen.set(id, (seen.get(id) ?? 0) + 1);
    assert.deepEqual(
      [...seen.keys()].sort((a, b) => a - b),
      [0, 1, 2, 3, 4, 6, 7],
      "every ordinary token but the right one",
    );
    for (const n of seen.values()) within(n, T / 7, T, 1 / 7);
  });

  test("Table 5's dynamic rate is the noise level up to 0.1 and nothing above", () => {
    assert.deepEqual([0.05, 0.1, 0.11, 0.9].map(dynamicRate), [0.05, 0.1, 0, 0]);
    const right = new Uint32Array(20_000).fill(5);
    assert.equal(count(replaceTokens(dynamicRate)(cleanCanvas(right), noise(0.5)), categoryIds.syntax), 0);
    assert.ok(count(replaceTokens(dynamicRate)(cleanCanvas(right), noise(0.08)), categoryIds.syntax) > 1000);
  });

  test("a guarded phrase stays visible; planted after the masks, it shows only where they left it", () => {
    const right = Uint32Array.of(10, 11, 12, 13, 14, 15, END, END);
    const wrong = Uint32Array.of(10, 11, 90, 91, 14, 15, END, END);
    const guarded = inOrder(plantPhrase(wrong), maskTokens)(cleanCanvas(right), noise(1));
    assert.deepEqual([...guarded.shown], [MASK, MASK, 90, 91, MASK, MASK, MASK, MASK]);
    const after = inOrder(maskTokens, plantPhrase(wrong))(cleanCanvas(right), noise(1));
    assert.ok(after.shown.every((id) => id === MASK));
  });

  test("a longer phrase shifts what follows, and the shifted tail may be masked", () => {
    const right = Uint32Array.of(10, 11, 12, 13, END, END, END, END);
    const wrong = Uint32Array.of(10, 90, 91, 12, 13, END, END, END);
    assert.deepEqual(differingSpan(wrong, right), { start: 1, wrongEnd: 3, rightEnd: 2 });
    const planted = plantPhrase(wrong)(cleanCanvas(right), noise(1));
    assert.deepEqual([...planted.shown], [...wrong]);
    assert.equal(count(planted, categoryIds.hallucination), 4, "90, 91, 12, 13 stand where other tokens belong");
    assert.deepEqual(maskTokens(planted, noise(1)).shown.slice(0, 4), Uint32Array.of(MASK, 90, 91, MASK));
  });

  test("the differing span is all that differs", () => {
    fc.assert(
      fc.property(pairs, ({ right, wrong }) => {
        const span = differingSpan(wrong, right);
        if (!span) return assert.deepEqual(wrong, right);
        const { start, wrongEnd, rightEnd } = span;
        assert.deepEqual(wrong.slice(0, start), right.slice(0, start));
        const shift = rightEnd - wrongEnd;
        for (let i = wrongEnd; i < right.length; i++)
          assert.equal(wrong[i], i + shift < right.length ? right[i + shift] : END, `position ${i}`);
      }),
      { seed: 42, numRuns: 300 },
    );
  });

  test("only what the expert changed in a draft is a mistake", () => {
    const canvas = draftCanvas(Uint32Array.of(1, 2, 3, 4), Uint32Array.of(1, 9, 3, 8));
    assert.deepEqual([...canvas.shown], [1, 2, 3, 4]);
    assert.deepEqual([...canvas.category], [UNJUDGED, categoryIds.mistake, UNJUDGED, categoryIds.mistake]);
  });
});

describe("the released code's Stage I, from its own random numbers (test/goldens/llada.py and wholeModel.py)", () => {
  const { phrase, replacement, losses } = recipes.reference;
  assert.equal(phrase, "guarded");
  assert.equal(losses, lossPresets.reference);
  const rows = [...golden.losses.stage1Phrase.rows, ...wholeGolden.losses.stage1.rows];
  for (const [number, row] of rows.entries()) {
    const at = [...row.labels.keys()].filter((i) => row.labels[i] !== -100);
    const of = <T>(values: readonly T[]): T[] => at.map((i) => values[i]!);
    const [shown, kinds, right] = [of(row.shown), of(row.kinds), Uint32Array.from(of(row.labels))];
    const places = (kind: string) => [...kinds.keys()].filter((i) => kinds[i] === kind);
    const phraseAt = places("phrase");
    test(`row ${number}: ${places("mask").length} masks, ${places("random").length} random tokens, ${phraseAt.length} tokens of a false phrase`, () => {
      const wrong = right.map((id, i) => (kinds[i] === "phrase" ? shown[i]! : id));
      const [masked, random] = row.hits!.map(of) as [number[], number[]];
      const p = 0.999 * row.t + 1e-3;
      // The numbers in the order in which they are asked for; a random token is named by its place among the others.
      const uniform = [...masked, ...random];
      const replaced = places("random");
      const fed: RandomStream = {
        ...randomStream(0),
        uniform: () => uniform.shift()!,
        int: () => {
          const i = replaced.shift()!;
          return shown[i]! > right[i]! ? shown[i]! - 1 : shown[i]!;
        },
      };
      const corrupt = inOrder(plantPhrase(wrong), maskTokens, replaceTokens(replacement));
      const canvas = corrupt(cleanCanvas(right), { p, random: fed, maskId: lladaIds.mask, ordinary: 300 });
      assert.deepEqual([...canvas.shown], shown);
      const names = { mask: "mask", random: "syntax", phrase: "hallucination", clean: "clean" } as const;
      assert.deepEqual(
        [...canvas.category],
        kinds.map((kind) => categoryIds[names[kind as keyof typeof names]]),
      );
      assert.equal(uniform.length + replaced.length, 0, "every number was asked for");
      if (!phraseAt.length) return;
      assert.ok(
        phraseAt.some((i) => masked[i]! < p),
        "a mask would have hit the phrase",
      );
      assert.ok(
        phraseAt.some((i) => random[i]! < replacement),
        "a random token would have hit it",
      );
    });
  }

  test("they have a false phrase, and random tokens at several places of several rows", () => {
    const counts = rows.map(({ kinds }) => kinds.filter((kind) => kind === "random").length);
    assert.ok(counts.filter((count) => count > 1).length > 1);
    assert.ok(rows.some(({ kinds }) => kinds.includes("phrase")));
  });
});

describe("loss weights", () => {
  const canvasOf = (category: readonly number[]): Canvas => ({
    shown: new Uint32Array(category.length),
    target: new Uint32Array(category.length),
    category: Uint32Array.from(category),
  });
  const categories = fc.array(fc.nat(tokenCategories.length), { minLength: 1, maxLength: 60 });

  test("eq. 3: the weights of a category sum to 1/p whatever its count, and to 0 where it is absent", () => {
    fc.assert(
      fc.property(categories, fc.double({ min: 0.001, max: 1, noNaN: true }), (category, p) => {
        const weights = lossWeights(canvasOf(category), p, lossPresets.paper);
        for (const [id, name] of tokenCategories.entries()) {
          const sum = weights.reduce((total, weight, i) => total + (category[i] === id ? weight : 0), 0);
          const want = category.includes(id) ? (name === "mistake" ? 1 : 1 / p) : 0;
          assert.ok(Math.abs(sum - want) <= 1e-5 * (1 + want), `${name}: ${sum}, expected ${want}`);
        }
        weights.forEach((weight, i) => assert.ok(Number.isFinite(weight) && (category[i]! < UNJUDGED || weight === 0)));
      }),
      { seed: 42, numRuns: 200 },
    );
  });

  test("reference: syntax and hallucination share one count, and mistakes are divided by p", () => {
    const { syntax, hallucination, mistake } = categoryIds;
    const weights = lossWeights(canvasOf([syntax, syntax, hallucination, mistake]), 0.5, lossPresets.reference);
    assert.deepEqual([...weights], [2 / 3, 2 / 3, 2 / 3, 2].map(Math.fround));
  });

  test("fixed: 1/p is bounded, and mistakes have none", () => {
    const { mask, clean, mistake } = categoryIds;
    const weights = lossWeights(canvasOf([mask, clean, clean, mistake]), 0.001, lossPresets.fixed);
    assert.deepEqual([...weights], [20, 10, 10, 1]);
  });

  test("a term counts its own category", () => {
    for (const [preset, losses] of Object.entries(lossPresets))
      for (const name of tokenCategories)
        assert.ok((losses[name].counted as readonly string[]).includes(name), `${preset}.${name}`);
  });

  test("a noise level outside (0, 1] is refused", () => {
    for (const p of [0, -1, 1.01, Number.NaN])
      assert.throws(() => lossWeights(canvasOf([0]), p, lossPresets.paper), { message: /noise level/ });
  });

  test("recipes differ as the paper and its code do", () => {
    assert.deepEqual(
      Object.values(recipes).map(({ replacement, phrase, lengths }) => [replacement, phrase, lengths]),
      [
        [0.1, "afterMasks", "equal"],
        [0.05, "guarded", "equal"],
        [0.1, "guarded", "any"],
      ],
    );
  });
});
