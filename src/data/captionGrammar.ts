/**
 * The grammar of flag captions, in the manner of the World Factbook: one table, read in both directions (grammar.ts).
 *
 * Features of a caption: m (0 to 3 clauses about charges), `field`, and per clause a, b, c a `charge`.
 * - field: layout, and c0, c1 … with its colours; bands also have direction, bandCount, listed (how many colours follow)
 *   and doubled (−1: equal). bandCount and listed are apart, so that a caption can count wrongly and still be grammatical.
 * - charge: kind, points, number (one or many), count, arrangement, size, colour, place; bears (0 or 1) with inner, a
 *   charge without a place.
 * - place: "center", "upper hoist" …; "band" with `ref`, which names a band by colour or by position; "on" with `bearer`.
 */
import { corners, counting, fieldRules, lexicon, numberWords } from "./captionFieldGrammar.ts";
import { bearers } from "./flagSpec.ts";
import { compileGrammar, type Alternative, type Features, type Grammar, type Rule } from "./grammar.ts";

const nouns: { readonly [kind: string]: readonly (readonly [one: string, many: string])[] } = {
  crescent: [
    ["crescent", "crescents"],
    ["crescent moon", "crescent moons"],
  ],
  disk: [
    ["disk", "disks"],
    ["solid circle", "solid circles"],
  ],
  ring: [
    ["ring", "rings"],
    ["hollow circle", "hollow circles"],
  ],
  sun: [
    ["sun", "suns"],
    ["radiant sun", "radiant suns"],
    ["sun with rays", "suns with rays"],
  ],
  diamond: [
    ["diamond", "diamonds"],
    ["rhombus", "rhombuses"],
    ["lozenge", "lozenges"],
  ],
  cross: [
    ["equal-armed cross", "equal-armed crosses"],
    ["couped cross", "couped crosses"],
  ],
  triangle: [["[isosceles|] triangle", "[isosceles|] triangles"]],
  canton: [
    ["canton", "cantons"],
    ["rectangle", "rectangles"],
  ],
  star: [["star", "stars"]],
};

function nounAlternatives(): Alternative[] {
  const out: Alternative[] = [];
  const add = (fixed: Features, one: string, many: string, weight: number): void => {
    out.push(
      { when: { ...fixed, number: "one" }, text: one, weight },
      { when: { ...fixed, number: "many" }, text: many, weight },
    );
  };
  for (const [kind, forms] of Object.entries(nouns)) {
    for (const [i, [one, many]] of forms.entries()) add({ kind, points: 0 }, one, many, i === 0 ? 2 : 0.8);
  }
  for (let points = 4; points <= 8; points++) {
    const count = numberWords[points] as string;
    add({ kind: "star", points }, `${count}-pointed star`, `${count}-pointed stars`, 4);
    add({ kind: "star", points }, `star with ${count} points`, `stars with ${count} points`, 0.8);
  }
  return out;
}

/** Alternatives for each place, of which those marked `after` read well only after a noun or verb: "centered". */
const spotPhrases: { readonly [spot: string]: readonly string[] } = {
  center: ["in the [center|middle]", "in the [center|middle] of the [flag|field]", "at the center"],
  hoist: ["on the hoist side", "[near|toward] the hoist side", "in the hoist-side half"],
  fly: ["on the fly side", "[near|toward] the fly side", "in the fly-side half"],
};
for (const corner of corners) {
  (spotPhrases as Record<string, readonly string[]>)[corner] = [
    `in the ${corner}-side [corner|corner|quadrant]`,
    `in the ${corner}-side quarter of the flag`,
    `[at|near] the ${corner} corner`,
  ];
}

const charge = "{core} {arrangement}";
const chargeRules: { readonly [name: string]: Rule } = {
  noun: { alternatives: nounAlternatives() },
  count: { alternatives: counting("count", 2, 8) },
  size: { alternatives: lexicon("size", { medium: "", small: "small", large: ["large", "big"] }) },
  core: {
    alternatives: [
      { when: { number: "one", count: 1 }, text: "a {size} {colour} {noun}", weight: 8 },
      { when: { number: "one", count: 1 }, text: "[a single|one] {size} {colour} {noun}" },
      { when: { number: "many" }, text: "{count} {size} {colour} {noun}", weight: 8 },
    ],
  },
  arrangement: {
    alternatives: [
      { when: { arrangement: "none" }, text: "" },
      ...lexicon("arrangement", {
        row: ["in a horizontal row", "[arranged|aligned|set|] in a row", "side by side"],
        column: ["in a vertical row", "[arranged|aligned|set|] in a column", "one above the other"],
        circle: ["in a circle", "arranged in a circle", "in a circular pattern", "forming a circle"],
      }),
    ],
  },
  be: { alternatives: lexicon("number", { one: "is", many: "are" }) },
  appear: { alternatives: lexicon("number", { one: ["appears", "stands"], many: ["appear", "stand"] }) },
  bandRef: {
    alternatives: [
      { when: { by: "colour" }, text: "the {colour} band" },
      ...lexicon("position", {
        top: "the [top|upper] band",
        bottom: "the [bottom|lower] band",
        middle: "the [middle|central] band",
        "hoist side": "the hoist-side band",
        "fly side": "the fly-side band",
        second: "the second band",
        third: "the third band",
        fourth: "the fourth band",
      }).map(({ when, text }) => ({ when: { by: "position", ...when }, text })),
    ],
  },
  /** A place that can open a clause. */
  where: {
    alternatives: [
      ...lexicon("place", spotPhrases),
      { when: { place: "band" }, text: "[in|on] {ref:bandRef}" },
      { when: { place: "band" }, text: "in the [center|middle] of {ref:bandRef}", weight: 1.5 },
      ...lexicon(
        "bearer",
        Object.fromEntries(
          bearers.map((kind) => [
            kind,
            kind === "crescent" ? "[between the horns of|inside] the crescent" : `[on|in|within] the ${kind}`,
          ]),
        ),
      ).map(({ when, text }) => ({ when: { place: "on", ...when }, text })),
    ],
  },
  /** A place after its noun. */
  placed: {
    alternatives: [
      { text: "{where}", weight: 3 },
      { when: { place: "center", bears: 0 }, text: "centered", weight: 4 },
      { when: { place: "center" }, text: "centered on the flag", weight: 2 },
      { when: { place: "band" }, text: "centered [in|on] {ref:bandRef}", weight: 4 },
      { when: { place: "hoist", kind: "triangle" }, text: "based on the hoist side", weight: 8 },
      { when: { place: "hoist", kind: "triangle" }, text: "extending from the hoist side", weight: 3 },
    ],
  },
  bearing: {
    alternatives: [
      { when: { kind: "crescent" }, text: "[partially|partly] [encircling|enclosing]", weight: 6 },
      { text: "bearing", weight: 2 },
      { text: "charged with" },
      { text: "containing" },
    ],
  },
  inner: { alternatives: [{ text: charge }] },
  borne: {
    alternatives: [
      { when: { bears: 0 }, text: "" },
      { when: { bears: 1 }, text: "{bearing} {inner:inner}" },
    ],
  },
  /** A charge as a noun phrase, with its place. */
  item: { alternatives: [{ text: `${charge} {placed} {borne}`, weight: 4 }] },
  /** A charge that has lost its article or its colour; only read. */
  itemRemains: {
    alternatives: [
      { text: "{size} {colour} {noun} {arrangement} {placed} {borne}" },
      { text: "{noun} {arrangement} {placed} {borne}" },
    ],
  },
  bearsVerb: {
    alternatives: [
      { when: { bearer: "crescent" }, text: "[encloses|embraces]" },
      ...bearers
        .filter((kind) => kind !== "crescent")
        .flatMap((bearer): Alternative[] => [
          { when: { bearer }, text: "bears" },
          { when: { bearer }, text: "is charged with" },
          { when: { bearer }, text: "contains" },
        ]),
    ],
  },
  /** A charge as a clause of its own. */
  clause: {
    alternatives: [
      { text: `${charge} {be} [placed|located|set] {where} {borneToo}`, weight: 1.2 },
      { text: `${charge} {be} {placed} {borneToo}`, weight: 1.2 },
      { text: `${charge} {appear} {where} {borneToo}`, weight: 1.2 },
      { text: `{where} {be} ${charge} {borne}`, weight: 2 },
      { text: `there {be} ${charge} {placed} {borne}`, weight: 1.2 },
      { when: { place: "band" }, text: `{ref:bandRef} [bears|carries|is charged with] ${charge} {borne}`, weight: 3 },
      ...bearers.map((bearer): Alternative => ({
        when: { place: "on", bearer },
        text: `the ${bearer} {bearsVerb} ${charge} {borne}`,
        weight: 4,
      })),
    ],
  },
  /** What is borne, after a whole clause: "… is in the corner, bearing a star". */
  borneToo: {
    alternatives: [
      { when: { bears: 0 }, text: "" },
      { when: { bears: 1 }, text: ", {bearing} {inner:inner}" },
    ],
  },
};

const opened = "{opener} {field:field}";
const captionRules: { readonly [name: string]: Rule } = {
  opener: {
    alternatives: [
      { text: "", weight: 4 },
      { text: "the flag [has|shows|displays|consists of|is made up of]", weight: 4 },
      { text: "this [flag|banner] [has|shows|displays]" },
    ],
  },
  /** A field before "with": bare colour for a plain one, and no second "with" beside that of a cross. */
  before: {
    alternatives: [
      { when: { layout: "plain" }, text: "{c0:colour}", weight: 2 },
      ...["plain", "bands"].map((layout): Alternative => ({ when: { layout }, text: "{opener} {field}", weight: 4 })),
      ...["quartered", "cross", "border"].map((layout): Alternative => ({
        when: { layout },
        text: "{opener} {field} ,",
        weight: 4,
      })),
    ],
  },
  caption: {
    alternatives: [
      // A plain flag needs few words; most of its captions say more than they must.
      ...["plain", "bands", "quartered", "cross", "border"].map((layout): Alternative => ({
        when: { m: 0, field: { layout } },
        text: `${opened} .`,
        weight: layout === "plain" ? 0.1 : 1,
      })),
      {
        when: { m: 0, field: { layout: "plain" } },
        text: `${opened} [that fills|covering] the [whole|entire] flag , [without|with no] [emblem|charge|device] of any [kind|sort] .`,
        weight: 3,
      },
      { when: { m: 0 }, text: `${opened} , [without|with no] [other|further] [emblem|charge|device] .`, weight: 0.5 },

      { when: { m: 1 }, text: "{field:before} with {a:item} .", weight: 5 },
      { when: { m: 1 }, text: `${opened} [;|.] {a:clause} .`, weight: 4 },
      { when: { m: 1 }, text: "{opener} {a:item} , [on|set against] {field:field} .", weight: 1.5 },

      { when: { m: 2 }, text: "{field:before} with {a:item} and {b:item} .", weight: 3 },
      { when: { m: 2 }, text: `${opened} [;|.] {a:clause} [;|, and|; and] {b:clause} .`, weight: 4 },
      { when: { m: 2 }, text: "{field:before} with {a:item} [;|.] {b:clause} .", weight: 3 },
      { when: { m: 2 }, text: "{opener} {a:item} and {b:item} , [on|set against] {field:field} .", weight: 1.2 },

      { when: { m: 3 }, text: "{field:before} with {a:item} , {b:item} , and {c:item} .", weight: 3 },
      { when: { m: 3 }, text: `${opened} [;|.] {a:clause} ; {b:clause} [; and|;] {c:clause} .`, weight: 3 },
      { when: { m: 3 }, text: "{field:before} with {a:item} [;|.] {b:clause} [; and|;|, and] {c:clause} .", weight: 3 },
      { when: { m: 3 }, text: "{field:before} with {a:item} and {b:item} [;|.] {c:clause} .", weight: 2 },
      {
        when: { m: 3 },
        text: "{opener} {a:item} , {b:item} , and {c:item} , [on|set against] {field:field} .",
        weight: 1,
      },
    ],
  },
};

export const captionGrammar: Grammar = compileGrammar({ ...fieldRules, ...chargeRules, ...captionRules });

/** The words of all captions, sorted, with the punctuation marks and the article "an". */
export function captionWords(): readonly string[] {
  return [...new Set([...captionGrammar.words, "an"])].sort();
}

export interface Token {
  /** As the grammar knows it: the article is always "a". */
  readonly word: string;
  /** Characters [start, end) of the text. */
  readonly start: number;
  readonly end: number;
}
export interface Text {
  readonly text: string;
  readonly tokens: readonly Token[];
}

/** Words to text: the article before a vowel is "an", and no space stands inside brackets or before marks. */
export function joinWords(words: readonly string[]): Text {
  const tokens: Token[] = [];
  let text = "";
  for (const [i, word] of words.entries()) {
    if (i > 0 && words[i - 1] !== "(" && !/^[,;.)]$/.test(word)) text += " ";
    const start = text.length;
    text += word === "a" && /^(?!one|uni)[aeiou]/.test(words[i + 1] ?? "") ? "an" : word;
    tokens.push({ word, start, end: text.length });
  }
  return { text, tokens };
}

/** Text to words, whatever stands between them. */
export function splitWords(text: string): Token[] {
  return [...text.matchAll(/[^\s,;.()]+|[,;.()]/g)].map(({ 0: word, index }) => ({
    word: word === "an" ? "a" : word,
    start: index,
    end: index + word.length,
  }));
}
