import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { plantError, plantErrors } from "../../src/data/captionErrors.ts";
import { captionGrammar, captionWords, splitWords } from "../../src/data/captionGrammar.ts";
import { scoreCaption } from "../../src/data/captionParser.ts";
import { factKey } from "../../src/data/facts.ts";
import { captionSeed, writeCaption } from "../../src/data/flagCaption.ts";
import { generateFlag } from "../../src/data/flagGenerator.ts";
import type { FlagSpec } from "../../src/data/flagSpec.ts";
import { compileGrammar } from "../../src/data/grammar.ts";
import { ExpertError } from "../../src/expert/errors.ts";
import { applySegments, type Draft, type Revision } from "../../src/expert/expert.ts";
import { factsExpert } from "../../src/expert/facts.ts";
import { nearestWords } from "../../src/expert/nearest.ts";
import { truePlans } from "../../src/expert/truths.ts";
import { randomStream } from "../../src/tensor/philox.ts";

const runs = { seed: 42, numRuns: 100 };
const seeds = fc.nat(2 ** 31);
const flags = fc
  .record({
    seed: seeds,
    index: fc.nat(1_000_000),
    difficulty: fc.constantFrom(0 as const, 1 as const, 2 as const, 2 as const),
  })
  .map(({ seed, index, difficulty }) => generateFlag(seed, index, { difficulty }));

const draftOf = (text: string, spec?: FlagSpec): Draft => ({
  id: "d",
  question: "What do you see?",
  text,
  groundTruth: "",
  ...(spec ? { spec } : {}),
});
const revise = (text: string, spec: FlagSpec): Promise<Revision> => factsExpert().revise(draftOf(text, spec));
const pairs = ({ segments }: Revision): string[][] => segments.map(({ wrong, right }) => [wrong, right]);

/** Grammatical, true, no less told than before, and told by segments that fit the draft. */
async function checkRevision(text: string, spec: FlagSpec): Promise<Revision> {
  const revision = await revise(text, spec);
  const before = scoreCaption(text, spec);
  const after = scoreCaption(revision.corrected, spec);
  assert.deepEqual([after.problems, after.hallucinated], [[], []], `${text}\n${revision.corrected}`);
  const wasMissing = new Set(before.missing.map(factKey));
  for (const fact of after.missing) assert.ok(wasMissing.has(factKey(fact)), `${factKey(fact)} was lost: ${text}`);
  let reached = 0;
  for (const { wrong, right, start, end } of revision.segments) {
    assert.ok(start >= reached && end <= text.length && wrong !== right);
    assert.equal(text.slice(start, end), wrong);
    reached = end;
  }
  assert.equal(applySegments(text, revision.segments), revision.corrected);
  assert.deepEqual(revision.rejected, {});
  return revision;
}

/** Words added, left out and replaced between two texts, by the schoolbook recurrence. */
function distance(a: readonly string[], b: readonly string[]): number {
  let row = Array.from({ length: b.length + 1 }, (_, j) => j);
  for (const [i, word] of a.entries()) {
    const next = [i + 1];
    for (let j = 1; j <= b.length; j++)
      next.push(Math.min(row[j]! + 1, next[j - 1]! + 1, row[j - 1]! + Number(word !== b[j - 1])));
    row = next;
  }
  return row[b.length]!;
}
const wordsOf = (text: string): string[] => splitWords(text).map(({ word }) => word);

const senegal: FlagSpec = {
  field: { layout: "bands", direction: "vertical", colours: ["green", "yellow", "red"], doubled: null },
  charges: [
    {
      kind: "star",
      points: 5,
      count: 1,
      arrangement: "none",
      size: "medium",
      colour: "green",
      place: { at: "band", band: 1 },
    },
  ],
};
const turkey: FlagSpec = {
  field: { layout: "plain", colour: "red" },
  charges: [
    {
      kind: "crescent",
      count: 1,
      arrangement: "none",
      size: "large",
      colour: "white",
      place: { at: "spot", spot: "hoist" },
    },
    {
      kind: "star",
      points: 5,
      count: 1,
      arrangement: "none",
      size: "medium",
      colour: "white",
      place: { at: "charge", charge: 0 },
    },
  ],
};

test("repairs what a person would", async () => {
  const cases: readonly [FlagSpec, string, string[][]][] = [
    [senegal, "three equal vertical bands of green (hoist side), gold, and blue.", [["blue", "red"]]],
    [senegal, "three equal equal vertical bands of green, yellow, and red.", [["equal equal", "equal"]]],
    [
      senegal,
      "three horizontal stripes of green, yellow, and red with a orange six-pointed star in the center.",
      [
        ["horizontal", "equal vertical"],
        ["orange six-pointed", "green five-pointed"],
      ],
    ],
    [
      senegal,
      "three equal vertical bands of green, yellow, and red with an green five-pointed star centered.",
      [["an", "a"]],
    ],
    [
      senegal,
      " Three equal vertical bands of green , yellow, and red",
      [
        [" Three", "three"],
        [" ,", ","],
        ["red", "red."],
      ],
    ],
    [turkey, "a plain red field; a big white crescent is on the fly side.", [["fly", "hoist"]]],
    // A star alone is no star of the grammar; who says "no emblem" of a flag with emblems is wrong.
    [turkey, "red with a white crescent on the hoist side containing a white star star.", [["star", "five-pointed"]]],
    [turkey, "a plain red field, with no other emblem.", [["field, with no other emblem", "field"]]],
    [turkey, "", [["", "a plain red field."]]],
  ];
  for (const [spec, text, wanted] of cases) assert.deepEqual(pairs(await checkRevision(text, spec)), wanted);
});

test("a right caption comes back unchanged, also when only the search looks at it", async () => {
  await fc.assert(
    fc.asyncProperty(flags, seeds, async (spec, phrasing) => {
      const text = writeCaption(spec, phrasing);
      assert.deepEqual(await revise(text, spec), { segments: [], corrected: text, rejected: {} });
      assert.deepEqual(nearestWords(captionGrammar, "caption", truePlans(spec, []), wordsOf(text)), wordsOf(text));
    }),
    runs,
  );
});

test("a caption that leaves facts out is as true as one that does not", async () => {
  const text = "three equal vertical bands of green, yellow, and red.";
  assert.ok(scoreCaption(text, senegal).coverage < 1);
  assert.deepEqual((await checkRevision(text, senegal)).segments, []);
});

test("with omissions mended nothing stays unsaid, what was said stays, and a whole caption comes back unchanged", async () => {
  const mend = factsExpert({ omissions: "mend" });
  const bare = await mend.revise(draftOf("three equal vertical bands of green, yellow, and red.", senegal));
  assert.equal(scoreCaption(bare.corrected, senegal).coverage, 1);
  assert.match(bare.corrected, /^three equal vertical bands of green, yellow, and red\b.* star\b/);
  let mended = 0;
  for (let index = 0; index < 100; index++) {
    const spec = generateFlag(7, index);
    const whole = writeCaption(spec, captionSeed(7, index, 0));
    assert.deepEqual((await mend.revise(draftOf(whole, spec))).segments, [], whole);
    const words = wordsOf(whole);
    const draft = words.slice(0, Math.ceil(words.length / 2)).join(" ");
    const { corrected } = await mend.revise(draftOf(draft, spec));
    const { problems, hallucinated, missing } = scoreCaption(corrected, spec);
    assert.deepEqual([problems, hallucinated, missing], [[], [], []], `${draft}\n${corrected}`);
    mended += Number(scoreCaption((await revise(draft, spec)).corrected, spec).missing.length > 0);
  }
  assert.ok(mended > 20, `the default expert left out something of only ${mended} drafts`);
});

test("planted errors are repaired where they stand, in no more words than were planted", async () => {
  const counts = { planted: 0, exact: 0, inside: 0 };
  for (let index = 0; index < 200; index++) {
    const spec = generateFlag(6, index);
    const error = plantError(spec, captionSeed(6, index, 0), index);
    if (error === null) continue;
    const { segments, corrected } = await checkRevision(error.wrong, spec);
    const [first, last] = [segments[0]!, segments.at(-1)!];
    counts.planted++;
    counts.exact += Number(corrected === error.right && first.start === error.start && last.end === error.end);
    counts.inside += Number(first.start >= error.start && last.end <= error.end);
    const [wrong, right] = [wordsOf(error.wrong), wordsOf(error.right)];
    assert.ok(distance(wrong, wordsOf(corrected)) <= distance(wrong, right), `${error.wrong}\n${corrected}`);
  }
  // The rest has another true caption as near: "in the red band" is mended by "in the top band" too.
  assert.ok(counts.inside > 0.95 * counts.planted && counts.exact > 0.55 * counts.planted, JSON.stringify(counts));
});

test("several errors, jumbled and random words come back grammatical and true", async () => {
  const words = captionWords();
  await fc.assert(
    fc.asyncProperty(flags, seeds, async (spec, seed) => {
      const random = randomStream(seed);
      const right = writeCaption(spec, seed).split(" ");
      const [a, b] = [random.int(right.length), random.int(right.length)];
      const drafts = [
        random.shuffle(right),
        right.map((word) => (random.chance(0.3) ? random.pick(words) : word)),
        [...right.slice(0, a), ...right.slice(b)],
        // Up to three whole captions, each with an error of its own, run together.
        plantErrors(spec, seed, seed, 3).map(({ wrong }) => wrong),
      ];
      for (const draft of drafts) await checkRevision(draft.join(" "), spec);
    }),
    { ...runs, numRuns: 30 },
  );
});

test("never farther from the draft than any caption that the writer finds", async () => {
  await fc.assert(
    fc.asyncProperty(flags, flags, seeds, async (spec, other, seed) => {
      const draft = writeCaption(other, seed);
      const { corrected } = await checkRevision(draft, spec);
      const found = distance(wordsOf(draft), wordsOf(corrected));
      for (let phrasing = 0; phrasing < 50; phrasing++)
        assert.ok(found <= distance(wordsOf(draft), wordsOf(writeCaption(spec, phrasing))));
    }),
    { ...runs, numRuns: 25 },
  );
});

test("the search is exact: it agrees with trying every text of a small grammar", () => {
  const grammar = compileGrammar({
    s: {
      alternatives: [
        { when: { n: 1, x: { c: "r" } }, text: "one {x:colour} [dot|spot|big round dot]" },
        { when: { n: 1 }, text: "a dot of {x:colour} [|only]" },
        { when: { n: 2 }, text: "{x:colour} and {y:colour} [dots|spots]" },
      ],
    },
    colour: {
      alternatives: [
        { when: { c: "r" }, text: "red" },
        { when: { c: "b" }, text: "[dark|deep|] blue" },
      ],
    },
  });
  const [r, b] = [{ c: "r" }, { c: "b" }];
  const blues = ["dark blue", "deep blue", "blue"];
  const all = [
    ...["dot", "spot", "big round dot"].map((dot) => `one red ${dot}`),
    ...["red", ...blues].flatMap((c) => [`a dot of ${c}`, `a dot of ${c} only`]),
    ...blues.flatMap((c) => [`red and ${c} dots`, `red and ${c} spots`]),
  ].map((text) => text.split(" "));
  const plans = [
    { n: 1, x: [r, b] },
    { n: 2, x: [r], y: [b] },
  ];
  const words = ["one", "a", "red", "blue", "dark", "dot", "dots", "of", "only", "and", "big", "zebra"];
  fc.assert(
    fc.property(fc.array(fc.constantFrom(...words), { maxLength: 8 }), (draft) => {
      const found = nearestWords(grammar, "s", plans, draft)!;
      assert.ok(
        all.some((text) => text.join(" ") === found.join(" ")),
        found.join(" "),
      );
      assert.equal(distance(draft, found), Math.min(...all.map((text) => distance(draft, text))));
    }),
    { seed: 7, numRuns: 500 },
  );
  assert.equal(nearestWords(grammar, "s", [{ n: 3 }], ["red"]), null);
  // Of equally near texts, the one with a word of as many letters.
  const tokens = (word: string): number => word.length;
  assert.deepEqual(
    nearestWords(grammar, "s", plans, ["red", "and", "shallow", "blue", "newts"], { tokens })?.at(-1),
    "spots",
  );
  assert.deepEqual(nearestWords(grammar, "s", plans, ["red", "and", "blue", "newt"], { tokens })?.at(-1), "dots");
  assert.deepEqual(nearestWords(grammar, "s", plans, ["red", "dot"], { without: new Set(["one"]) }), [
    "a",
    "dot",
    "of",
    "red",
  ]);
});

test("with equal lengths, what changes the number of tokens is left out and counted", async () => {
  const tokens = (text: string): number => wordsOf(text).length;
  const expert = factsExpert({ lengths: { lengths: "equal", tokens } });
  const text = "three horizontal stripes of green, yellow, and red with an orange six-pointed star in the center.";
  const { segments, corrected, rejected } = await expert.revise(draftOf(text, senegal));
  assert.deepEqual(
    segments.map(({ right }) => right),
    ["a green five-pointed"],
  );
  assert.equal(tokens(corrected), tokens(text));
  assert.deepEqual(rejected, { "unequal length": 1 });
});

test("a draft without its flag is refused", async () => {
  await assert.rejects(factsExpert().revise(draftOf("a plain red field.")), (error) => {
    assert.ok(error instanceof ExpertError);
    assert.match(error.message, /needs the flag behind a draft, but draft d has none/);
    return true;
  });
});
