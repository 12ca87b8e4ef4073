import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { captionWords } from "../../src/data/captionGrammar.ts";
import { errorKinds, plantError, plantErrors } from "../../src/data/captionErrors.ts";
import { parseCaption, scoreCaption } from "../../src/data/captionParser.ts";
import { factKey, factsOf } from "../../src/data/facts.ts";
import { captionSeed, writeCaption } from "../../src/data/flagCaption.ts";
import { generateFlag } from "../../src/data/flagGenerator.ts";
import type { FlagSpec } from "../../src/data/flagSpec.ts";
import { randomStream } from "../../src/tensor/philox.ts";

const runs = { seed: 42, numRuns: 200 };
const seeds = fc.nat(2 ** 31);
const flags = fc.record({
  seed: seeds,
  index: fc.nat(1_000_000),
  difficulty: fc.constantFrom(0 as const, 1 as const, 2 as const, 2 as const),
});
const flagOf = ({ seed, index, difficulty }: { seed: number; index: number; difficulty: 0 | 1 | 2 }): FlagSpec =>
  generateFlag(seed, index, { difficulty });

const estonia: FlagSpec = {
  field: { layout: "bands", direction: "horizontal", colours: ["blue", "black", "white"], doubled: null },
  charges: [],
};
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

test("every caption is grammatical and states exactly the facts of its flag", () => {
  for (let index = 0; index < 1000; index++) {
    const spec = generateFlag(17, index);
    const text = writeCaption(spec, captionSeed(17, index, 0));
    const score = scoreCaption(text, spec);
    assert.deepEqual(
      [score.grammatical, score.stated, score.correct, score.total],
      [true, score.total, score.total, score.total],
      text,
    );
  }
  fc.assert(
    fc.property(flags, seeds, (flag, phrasing) => {
      const spec = flagOf(flag);
      const text = writeCaption(spec, phrasing);
      assert.equal(writeCaption(spec, phrasing), text);
      const score = scoreCaption(text, spec);
      assert.deepEqual(
        [score.problems, score.hallucinated, score.missing, score.coverage, score.factuality],
        [[], [], [], 1, 1],
        text,
      );
    }),
    { ...runs, numRuns: 500 },
  );
});

test("captions are lower case, end with a period, and keep to the length and the words of the grammar", () => {
  const known = new Set(captionWords());
  fc.assert(
    fc.property(flags, seeds, (flag, phrasing) => {
      const text = writeCaption(flagOf(flag), phrasing);
      assert.match(text, /^[a-z][a-z ,;.()-]*\.$/);
      assert.ok(text.split(" ").length <= 80, text);
      for (const word of text.match(/[^\s,;.()]+|[,;.()]/g) ?? []) assert.ok(known.has(word), word);
    }),
    runs,
  );
});

test("one flag has many captions", () => {
  const texts = (spec: FlagSpec): number =>
    new Set(Array.from({ length: 300 }, (_, seed) => writeCaption(spec, seed))).size;
  assert.ok(texts(estonia) > 60, `${texts(estonia)}`);
  assert.ok(texts(senegal) > 250, `${texts(senegal)}`);
});

test("each stated fact names the characters that say it", () => {
  const text =
    "three equal horizontal bands of red (top), white, and light blue with two yellow five-pointed stars in a row in the white band.";
  const said = new Map(parseCaption(text).facts.map((fact) => [factKey(fact), text.slice(fact.start, fact.end)]));
  assert.equal(said.get("band 2/colour/light blue"), "light blue");
  assert.equal(said.get("field/bandCount/3"), "three");
  assert.equal(said.get("charge 0/count/2"), "two");
  assert.equal(said.get("charge 0/kind/star"), "five-pointed stars");
  assert.equal(said.get("charge 0/place/band 1"), "white");
  fc.assert(
    fc.property(flags, seeds, (flag, phrasing) => {
      const caption = writeCaption(flagOf(flag), phrasing);
      for (const { start, end } of parseCaption(caption).facts) {
        assert.ok(0 <= start && start < end && end <= caption.length);
        assert.match(caption.slice(start, end), /^\S.*\S$|^\S$/);
      }
    }),
    runs,
  );
});

test("shuffled or repeated words are not grammatical", () => {
  let tried = 0;
  let passed = 0;
  fc.assert(
    fc.property(flags, seeds, (flag, phrasing) => {
      const words = writeCaption(flagOf(flag), phrasing).split(" ");
      const random = randomStream(phrasing);
      const at = random.int(words.length);
      for (const text of [random.shuffle(words), [...words.slice(0, at + 1), ...words.slice(at)]]) {
        tried++;
        if (parseCaption(text.join(" ")).grammatical) passed++;
      }
    }),
    runs,
  );
  // Now and then it is a sentence again: "bands of black, black, and white" says something, if nothing true.
  assert.ok(passed < 0.03 * tried, `${passed} of ${tried} are grammatical`);
});

test("slips that a reader sees make a text ungrammatical, but not unreadable", () => {
  const right =
    "three equal vertical bands of green (hoist side), yellow, and red with a green five-pointed star centered in the yellow band.";
  assert.equal(scoreCaption(right, senegal).coverage, 1);
  for (const wrong of [
    right.replace("a green", "an green"),
    right.replace("(hoist", "( hoist"),
    right.replace("bands of", "bands of of"),
    right.replace("star centered", "stars centered"),
    right.slice(0, -1),
    `${right} ${right}`,
    right.toUpperCase(),
    right.replace(", and", " and"),
  ])
    assert.ok(!parseCaption(wrong).grammatical, wrong);
  const chaos = scoreCaption(
    "three equal vertical bands of green (hoist side), yellow, red red with with a green five-pointed star in the the band.",
    senegal,
  );
  assert.equal(chaos.grammatical, false);
  assert.deepEqual(chaos.hallucinated, []);
  assert.deepEqual(chaos.missing.map(factKey).sort(), ["charge 0/place/band 1"]);
});

test("one wrong word loses what it says and no more", () => {
  const cases: [string, string[]][] = [
    ["three of vertical bands of green, yellow, and red.", ["field/bandCount/3", "field/proportions/equal"]],
    [
      "three equal vertical bands of green, yellow, and red with green five-pointed star in the yellow band.",
      ["charge 0/count/1"],
    ],
    [
      "three equal vertical bands of green, yellow, and red with a of five-pointed star in the yellow band.",
      ["charge 0/colour/green", "charge 0/count/1"],
    ],
    [
      "three equal vertical vertical bands of green, yellow, and red with a green a green five-pointed star in the in the yellow band.",
      [],
    ],
  ];
  const charge = [
    "charge 0/kind/star",
    "charge 0/count/1",
    "charge 0/colour/green",
    "charge 0/place/band 1",
    "charge 0/points/5",
  ];
  for (const [text, lost] of cases) {
    const score = scoreCaption(text, senegal);
    assert.equal(score.grammatical, false);
    assert.deepEqual(score.hallucinated, [], text);
    assert.deepEqual(
      score.missing.map(factKey).sort(),
      [...lost, ...(text.includes("star") ? [] : charge)].sort(),
      text,
    );
  }
});

test("a caption that states nothing has no factuality", () => {
  for (const text of ["", "the the the", "hello world.", ".", "of ; (", "a"]) {
    const score = scoreCaption(text, senegal);
    assert.deepEqual([score.stated, score.factuality, score.coverage, score.grammatical], [0, null, 0, false], text);
  }
});

test("parsing never throws and never finds more than it is given", () => {
  const words = captionWords();
  fc.assert(
    fc.property(fc.array(fc.constantFrom(...words), { maxLength: 60 }), flags, (list, flag) => {
      const score = scoreCaption(list.join(" "), flagOf(flag));
      assert.ok(
        score.correct <= score.total &&
          score.correct <= score.stated &&
          score.hallucinated.length === score.stated - score.correct,
      );
      assert.equal(score.missing.length, score.total - score.correct);
    }),
    runs,
  );
  fc.assert(
    fc.property(fc.string(), (text) => void parseCaption(text)),
    runs,
  );
});

test("a caption cut off states no fact that the whole one does not", () => {
  fc.assert(
    fc.property(flags, seeds, fc.double({ min: 0, max: 1, noNaN: true }), (flag, phrasing, share) => {
      const spec = flagOf(flag);
      const words = writeCaption(spec, phrasing).split(" ");
      const cut = words.slice(0, Math.floor(share * words.length)).join(" ");
      assert.deepEqual(scoreCaption(cut, spec).hallucinated, [], cut);
    }),
    runs,
  );
});

test("hallucinated charges and fields are counted one by one", () => {
  const text =
    "three equal horizontal bands of blue (top), black, and white with a red crescent centered in the black band.";
  const score = scoreCaption(text, estonia);
  assert.equal(score.grammatical, true);
  assert.equal(score.coverage, 1);
  assert.deepEqual(score.hallucinated.map(factKey).sort(), [
    "extra 0/colour/red",
    "extra 0/count/1",
    "extra 0/kind/crescent",
    "extra 0/place/band 1",
  ]);
  const other = scoreCaption("a plain red field, with no other emblem.", estonia);
  assert.equal(other.correct, 0);
  assert.equal(other.factuality, 0);
});

test("that there is no other emblem is false of a flag that has one, and nothing more than silence of one that has none", () => {
  const field = "three equal vertical bands of green (hoist side), yellow, and red";
  for (const denial of ["with no other emblem", "without further device", "with no charge"]) {
    const score = scoreCaption(`${field}, ${denial}.`, senegal);
    assert.deepEqual(score.hallucinated.map(factKey), ["emblems/count/0"]);
    const { start, end } = score.hallucinated[0]!;
    assert.match(`${field}, ${denial}.`.slice(start, end), /^(no|without) .*(emblem|device|charge)$/);
    assert.equal(score.stated, score.correct + 1);
    const silent = scoreCaption(`${field}.`, senegal);
    assert.equal(score.coverage, silent.coverage);
    assert.ok((score.factuality as number) < (silent.factuality as number));
  }
  const right = scoreCaption("three equal horizontal bands of blue, black, and white, with no other device.", estonia);
  assert.deepEqual([right.grammatical, right.factuality, right.stated], [true, 1, right.total]);
  // None but the star that it names: true; that there is none at all: false.
  const star = `${field} with a green five-pointed star centered`;
  assert.deepEqual(scoreCaption(`${star}, with no other emblem.`, senegal).hallucinated, []);
  assert.equal(scoreCaption(`${star}, with no emblem.`, senegal).hallucinated.length, 1);
});

test("places with two names are both true", () => {
  const text =
    "three equal vertical bands of green (hoist side), yellow, and red with a green five-pointed star centered.";
  assert.equal(scoreCaption(text, senegal).factuality, 1);
  assert.equal(scoreCaption(text.replace("centered.", "on the hoist side."), senegal).hallucinated.length, 1);
});

test("a planted error makes exactly one fact false, inside its span", () => {
  const kinds = new Set<string>();
  let unequal = 0;
  let planted = 0;
  fc.assert(
    fc.property(flags, seeds, seeds, (flag, phrasing, errorSeed) => {
      const spec = flagOf(flag);
      const error = plantError(spec, phrasing, errorSeed);
      assert.deepEqual(plantError(spec, phrasing, errorSeed), error);
      if (error === null) return;
      planted++;
      kinds.add(error.kind);
      const { right, wrong, rightStart, rightEnd, start, end, fact } = error;
      assert.equal(right, writeCaption(spec, phrasing));
      assert.equal(wrong, right.slice(0, rightStart) + wrong.slice(start, end) + right.slice(rightEnd));
      assert.notEqual(wrong.slice(start, end), right.slice(rightStart, rightEnd));
      if (wrong.length !== right.length) unequal++;
      const score = scoreCaption(wrong, spec);
      assert.equal(score.grammatical, true, wrong);
      assert.deepEqual(score.hallucinated, [fact], wrong);
      assert.ok(fact.start < end && start < fact.end, `${wrong}: ${start}-${end} against ${fact.start}-${fact.end}`);
      // What it made false is missing now; a fact that only the right value has (points of a star) may go with it.
      assert.ok(score.missing.length >= 1 && score.missing.length <= 2, wrong);
    }),
    runs,
  );
  assert.deepEqual([...kinds].sort(), [...errorKinds].sort());
  assert.ok(planted > 0.97 * runs.numRuns);
  assert.ok(unequal > 0.3 * planted && unequal < planted);
});

test("errors of a wished kind have it, and several do not touch", () => {
  for (const kind of errorKinds) {
    for (let index = 0; index < 30; index++) {
      const error = plantError(generateFlag(3, index), index, index, { kinds: [kind] });
      if (error !== null) assert.equal(error.kind, kind);
    }
  }
  for (let index = 0; index < 60; index++) {
    const errors = plantErrors(generateFlag(3, index), index, index, 3);
    for (const [i, error] of errors.entries()) {
      const next = errors[i + 1];
      if (next !== undefined) assert.ok(error.rightEnd < next.rightStart);
    }
  }
  assert.equal(
    plantError({ field: { layout: "plain", colour: "red" }, charges: [] }, 1, 1, { kinds: ["count", "place"] }),
    null,
  );
});

test("facts are distinct, and of every flag", () => {
  fc.assert(
    fc.property(flags, (flag) => {
      const facts = factsOf(flagOf(flag));
      assert.ok(facts.length >= 2);
      assert.equal(new Set(facts.map(factKey)).size, facts.length);
    }),
    runs,
  );
});
