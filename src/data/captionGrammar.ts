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
import { compileGrammar, type Alternative, type Features, type Grammar, type Rule } from "./grammar.ts";
import { bearers, colours, type BandDirection } from "./flagSpec.ts";

export const numberWords = ["zero", "one", "two", "three", "four", "five", "six", "seven", "eight"] as const;

/** A rule of alternatives that each fix one value of one feature; several phrases of a value are equally likely. */
function lexicon(feature: string, entries: { readonly [value: string]: string | readonly string[] }): Alternative[] {
  return Object.entries(entries).flatMap(([value, phrases]) =>
    [phrases].flat().map((text) => ({ when: { [feature]: value }, text })));
}

const counting = (feature: string, from: number, to: number): Alternative[] =>
  numberWords.slice(from, to + 1).map((text, i) => ({ when: { [feature]: from + i }, text }));

// ---------------------------------------------------------------------------------------------------------------- field

const positionsAcross: { readonly [D in BandDirection]: (i: number, n: number) => string } = {
  horizontal: (i, n) => (i === 0 ? "[top|upper]" : i === n - 1 ? "[bottom|lower]" : inside(i, n)),
  vertical: (i, n) => (i === 0 ? "hoist-side" : i === n - 1 ? "fly-side" : inside(i, n)),
  rising: (i, n) => (i === 0 ? "[upper|uppermost]" : i === n - 1 ? "[lower|lowermost]" : inside(i, n)),
  falling: (i, n) => (i === 0 ? "[upper|uppermost]" : i === n - 1 ? "[lower|lowermost]" : inside(i, n)),
};
const inside = (i: number, n: number): string => (n === 3 ? "[middle|central]" : (["", "second", "third", "fourth"][i] as string));

/** "a, b, and c" */
function listing(items: readonly string[]): string {
  if (items.length < 3) return items.join(" and ");
  return `${items.slice(0, -1).join(" , ")} , and ${items[items.length - 1]}`;
}

/** All the ways to name n bands of one direction, of which `doubled` is twice as wide (−1: none). */
function bandAlternatives(direction: BandDirection, n: number, doubled: number): Alternative[] {
  const when: Features = { layout: "bands", direction, listed: n, doubled };
  const slots = Array.from({ length: n }, (_, i) => `{c${i}:colour}`);
  const ends = { horizontal: ["(top)", "(bottom)"], vertical: ["(hoist side)", "(fly side)"], rising: ["(upper)", "(lower)"], falling: ["(upper)", "(lower)"] }[direction] as [string, string];
  const spaced = ends.map((end) => end.replace("(", "( ").replace(")", " )")) as [string, string];
  const place = positionsAcross[direction];
  const slanted = direction === "rising" || direction === "falling";
  const word = slanted ? "diagonal" : direction;
  const slant = slanted ? " running {slant}" : "";
  const out: Alternative[] = [];
  const add = (text: string, weight = 1, extra: Features = {}): void => void out.push({ when: { ...when, ...extra }, text, weight });

  const noted = (first: boolean, last: boolean, wide: boolean, mark: string): string =>
    listing(slots.map((slot, i) => {
      const notes: string[] = [];
      if (first && i === 0) notes.push((spaced[0] as string).slice(2, -2));
      if (last && i === n - 1) notes.push((spaced[1] as string).slice(2, -2));
      if (wide && i === doubled) notes.push(mark);
      return notes.length === 0 ? slot : `${slot} ( ${notes.join(" , ")} )`;
    }));
  const wideTail = doubled < 0 ? "" : ` , the ${place(doubled, n)} [one|band] [twice as wide as|double the width of] ${n === 2 ? "the other" : "the others"}`;
  const tail = slant + wideTail;
  const equal = doubled < 0 ? "equal " : "";
  const downward = { horizontal: "from top to bottom", vertical: "from hoist to fly", rising: "from the upper hoist", falling: "from the upper fly" }[direction];
  const upward = { horizontal: "from bottom to top", vertical: "from fly to hoist", rising: "from the lower fly", falling: "from the lower hoist" }[direction];

  // three equal horizontal bands of red (top), white, and blue
  add(`{bandCount} ${equal}${word} [bands|stripes] of ${noted(true, false, false, "")}${tail}`, doubled < 0 ? 5 : 2);
  add(`{bandCount} ${equal}${word} [bands|stripes] of ${listing(slots)}${tail}`, 2);
  add(`{bandCount} ${equal}${word} [bands|stripes] of ${noted(true, true, false, "")}${tail}`, 1);
  if (doubled >= 0) {
    add(`{bandCount} ${word} bands of ${noted(true, false, true, "double width")}${slant}`, 4);
    add(`{bandCount} ${word} bands of ${noted(false, false, true, "double width")}${slant}`, 2);
  } else {
    add(`{bandCount} ${word} [bands|stripes] of equal [width|size]${slant} , in ${listing(slots)}`, 1);
    add(`{bandCount} ${word} bands${slant} , ${n === 2 ? "both" : "all"} [equal|of the same size] , of ${noted(true, false, false, "")}`, 0.7);
  }
  // Named one by one, and read in either direction.
  const named = slots.map((slot, i) => `the ${place(i, n)} ${i === 0 ? "[one|band]" : "[one|]"} ${slot}`);
  add(`{bandCount} ${equal}${word} [bands|stripes]${slant} , ${listing(named)}${wideTail}`, 1.5);
  add(`{bandCount} ${equal}${word} [bands|stripes]${slant} , ${listing([...named].reverse())}${wideTail}`, 0.7);
  add(`{bandCount} ${equal}${word} [bands|stripes]${slant} , ${downward} ${listing(slots)}${wideTail}`, 1.2);
  add(`{bandCount} ${equal}${word} [bands|stripes]${slant} , ${upward} ${listing([...slots].reverse())}${wideTail}`, 1);
  if (n === 3 && !slanted) add(`a ${word} tricolor of ${equal === "" ? "" : "equal bands of "}${noted(true, false, doubled >= 0, "double width")}`, 1.5, { bandCount: 3 });
  if (n === 2 && slanted && doubled < 0) {
    add("a field divided {slant} , {c0:colour} [above|in the upper part] and {c1:colour} [below|in the lower part]", 4, { bandCount: 2 });
    add("a field divided {slant} into {c1:colour} ( lower ) and {c0:colour} ( upper )", 3, { bandCount: 2 });
  }
  return out;
}

function allBands(): Alternative[] {
  const out: Alternative[] = [];
  for (const direction of ["horizontal", "vertical", "rising", "falling"] as const) {
    for (let n = 2; n <= 5; n++) {
      for (let doubled = -1; doubled < n; doubled++) out.push(...bandAlternatives(direction, n, doubled));
    }
  }
  return out;
}

const corners = ["upper hoist", "upper fly", "lower hoist", "lower fly"] as const;

function quarterAlternatives(): Alternative[] {
  const slots = corners.map((_, i) => `{c${i}:colour}`);
  const when = { layout: "quartered", paired: "no" };
  const noted = listing(corners.map((corner, i) => `${slots[i]} ( ${corner} side )`));
  const named = listing(corners.map((corner, i) => `the ${corner} [one|] ${slots[i]}`));
  return [
    { when, text: `four equal quarters of ${noted}` },
    { when, text: `four equal quarters , ${named}` },
    { when, text: `four equal [rectangles|quarters] , {c0:colour} and {c1:colour} above and {c2:colour} and {c3:colour} below` },
    { when, text: `a field divided into four [equal|] quarters , ${named}` },
    { when, text: `a quartered field of {c0:colour} and {c1:colour} ( upper half ) and {c2:colour} and {c3:colour} ( lower half )` },
    { when: { layout: "quartered", paired: "yes" }, text: "four equal quarters , the upper hoist and lower fly ones {c0:colour} and the [others|other two] {c1:colour}", weight: 2 },
    { when: { layout: "quartered", paired: "yes" }, text: "a field divided into four [equal|] quarters , {c1:colour} at the upper fly and lower hoist and {c0:colour} at the other two", weight: 2 },
  ];
}

const fieldRules: { readonly [name: string]: Rule } = {
  colour: {
    uniform: true,
    alternatives: colours.flatMap((colour): Alternative[] => {
      const others: { [name: string]: readonly [string, number] } = {
        yellow: ["gold", 0.5], "light blue": ["sky blue", 0.4], maroon: ["dark red", 0.4], purple: ["violet", 0.3],
      };
      const other = others[colour];
      const own = { when: { colour }, text: colour };
      return other === undefined ? [own] : [own, { when: { colour }, text: other[0], weight: other[1] }];
    }),
  },
  bandCount: { alternatives: counting("bandCount", 2, 6) },
  slant: {
    alternatives: lexicon("direction", {
      rising: ["[diagonally|] from the lower hoist-side corner to the upper fly-side corner", "[diagonally|] from the upper fly-side corner to the lower hoist-side corner", "[diagonally|] from lower hoist to upper fly"],
      falling: ["[diagonally|] from the upper hoist-side corner to the lower fly-side corner", "[diagonally|] from the lower fly-side corner to the upper hoist-side corner", "[diagonally|] from upper hoist to lower fly"],
    }),
  },
  crossName: {
    alternatives: lexicon("style", {
      nordic: ["[nordic|scandinavian] cross", "off-center cross [shifted|set] toward the hoist side"],
      centered: ["centered cross", "upright cross centered on the flag", "symmetric cross"],
      diagonal: ["diagonal cross", "saltire", "x-shaped cross"],
    }),
  },
  crossOutline: {
    alternatives: [
      { when: { outlined: "no" }, text: "" },
      { when: { outlined: "yes" }, text: "[outlined|edged|fimbriated] in {c2:colour}", weight: 2 },
      { when: { outlined: "yes" }, text: "that has a [thin|narrow] {c2:colour} [border|outline|edge]" },
    ],
  },
  field: {
    alternatives: [
      { when: { layout: "plain" }, text: "a plain {c0:colour} field", weight: 2 },
      { when: { layout: "plain" }, text: "a [solid|uniform] {c0:colour} [background|field]" },
      { when: { layout: "plain" }, text: "a field of [solid|plain] {c0:colour}" },
      { when: { layout: "plain" }, text: "a single field of {c0:colour}", weight: 0.7 },
      ...allBands(),
      ...quarterAlternatives(),
      { when: { layout: "cross" }, text: "a {c0:colour} field with a {c1:colour} {crossName} {crossOutline}", weight: 3 },
      { when: { layout: "cross" }, text: "a {c1:colour} {crossName} {crossOutline} [on|over] a [field of {c0:colour}|{c0:colour} field|{c0:colour} background]", weight: 3 },
      { when: { layout: "cross" }, text: "a {c0:colour} field divided by a {c1:colour} {crossName} {crossOutline} that [extends|reaches] to [the edges of the flag|all edges]" },
      { when: { layout: "border" }, text: "a {c0:colour} field [with|within|surrounded by] a {c1:colour} border" },
      { when: { layout: "border" }, text: "a {c1:colour} [border|frame] around a {c0:colour} [field|center]" },
      { when: { layout: "border" }, text: "a {c0:colour} field [edged|bordered] on all [four|] sides in {c1:colour}" },
    ],
  },
};

// -------------------------------------------------------------------------------------------------------------- charges

const nouns: { readonly [kind: string]: readonly (readonly [one: string, many: string])[] } = {
  crescent: [["crescent", "crescents"], ["crescent moon", "crescent moons"]],
  disk: [["disk", "disks"], ["solid circle", "solid circles"]],
  ring: [["ring", "rings"], ["hollow circle", "hollow circles"]],
  sun: [["sun", "suns"], ["radiant sun", "radiant suns"], ["sun with rays", "suns with rays"]],
  diamond: [["diamond", "diamonds"], ["rhombus", "rhombuses"], ["lozenge", "lozenges"]],
  cross: [["equal-armed cross", "equal-armed crosses"], ["couped cross", "couped crosses"]],
  triangle: [["[isosceles|] triangle", "[isosceles|] triangles"]],
  canton: [["canton", "cantons"], ["rectangle", "rectangles"]],
  star: [["star", "stars"]],
};

function nounAlternatives(): Alternative[] {
  const out: Alternative[] = [];
  const add = (fixed: Features, one: string, many: string, weight: number): void => {
    out.push({ when: { ...fixed, number: "one" }, text: one, weight }, { when: { ...fixed, number: "many" }, text: many, weight });
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
    `in the ${corner}-side [corner|corner|quadrant]`, `in the ${corner}-side quarter of the flag`, `[at|near] the ${corner} corner`,
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
        top: "the [top|upper] band", bottom: "the [bottom|lower] band", middle: "the [middle|central] band",
        "hoist side": "the hoist-side band", "fly side": "the fly-side band",
        second: "the second band", third: "the third band", fourth: "the fourth band",
      }).map(({ when, text }) => ({ when: { by: "position", ...when }, text })),
    ],
  },
  /** A place that can open a clause. */
  where: {
    alternatives: [
      ...lexicon("place", spotPhrases),
      { when: { place: "band" }, text: "[in|on] {ref:bandRef}" },
      { when: { place: "band" }, text: "in the [center|middle] of {ref:bandRef}", weight: 1.5 },
      ...lexicon("bearer", Object.fromEntries(bearers.map((kind) =>
        [kind, kind === "crescent" ? "[between the horns of|inside] the crescent" : `[on|in|within] the ${kind}`])))
        .map(({ when, text }) => ({ when: { place: "on", ...when }, text })),
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
  bearsVerb: {
    alternatives: [
      { when: { bearer: "crescent" }, text: "[encloses|embraces]" },
      ...bearers.filter((kind) => kind !== "crescent").flatMap((bearer): Alternative[] => [
        { when: { bearer }, text: "bears" }, { when: { bearer }, text: "is charged with" }, { when: { bearer }, text: "contains" },
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
        when: { place: "on", bearer }, text: `the ${bearer} {bearsVerb} ${charge} {borne}`, weight: 4,
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

// -------------------------------------------------------------------------------------------------------------- caption

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
      ...["quartered", "cross", "border"].map((layout): Alternative => ({ when: { layout }, text: "{opener} {field} ,", weight: 4 })),
    ],
  },
  caption: {
    alternatives: [
      // A plain flag needs few words; most of its captions say more than they must.
      ...["plain", "bands", "quartered", "cross", "border"].map((layout): Alternative =>
        ({ when: { m: 0, field: { layout } }, text: `${opened} .`, weight: layout === "plain" ? 0.1 : 1 })),
      { when: { m: 0, field: { layout: "plain" } }, text: `${opened} [that fills|covering] the [whole|entire] flag , [without|with no] [emblem|charge|device] of any [kind|sort] .`, weight: 3 },
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
      { when: { m: 3 }, text: "{opener} {a:item} , {b:item} , and {c:item} , [on|set against] {field:field} .", weight: 1 },
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
    word: word === "an" ? "a" : word, start: index, end: index + word.length,
  }));
}
