/** The rules of the caption grammar about the field of a flag; the rest is in captionGrammar.ts, which says how to read them. */
import type { Alternative, Features, Rule } from "./grammar.ts";
import { colours, type BandDirection } from "./flagSpec.ts";

export const numberWords = ["zero", "one", "two", "three", "four", "five", "six", "seven", "eight"] as const;

/** A rule of alternatives that each fix one value of one feature; several phrases of a value are equally likely. */
export function lexicon(
  feature: string,
  entries: { readonly [value: string]: string | readonly string[] },
): Alternative[] {
  return Object.entries(entries).flatMap(([value, phrases]) =>
    [phrases].flat().map((text) => ({ when: { [feature]: value }, text })),
  );
}

/** A rule of the number words `from` to `to`. */
export const counting = (feature: string, from: number, to: number): Alternative[] =>
  numberWords.slice(from, to + 1).map((text, i) => ({ when: { [feature]: from + i }, text }));

const positionsAcross: { readonly [D in BandDirection]: (i: number, n: number) => string } = {
  horizontal: (i, n) => (i === 0 ? "[top|upper]" : i === n - 1 ? "[bottom|lower]" : inside(i, n)),
  vertical: (i, n) => (i === 0 ? "hoist-side" : i === n - 1 ? "fly-side" : inside(i, n)),
  rising: (i, n) => (i === 0 ? "[upper|uppermost]" : i === n - 1 ? "[lower|lowermost]" : inside(i, n)),
  falling: (i, n) => (i === 0 ? "[upper|uppermost]" : i === n - 1 ? "[lower|lowermost]" : inside(i, n)),
};
const inside = (i: number, n: number): string =>
  n === 3 ? "[middle|central]" : (["", "second", "third", "fourth"][i] as string);

/** "a, b, and c" */
function listing(items: readonly string[]): string {
  if (items.length < 3) return items.join(" and ");
  return `${items.slice(0, -1).join(" , ")} , and ${items[items.length - 1]}`;
}

/** All the ways to name n bands of one direction, of which `doubled` is twice as wide (−1: none). */
function bandAlternatives(direction: BandDirection, n: number, doubled: number): Alternative[] {
  const when: Features = { layout: "bands", direction, listed: n, doubled };
  const slots = Array.from({ length: n }, (_, i) => `{c${i}:colour}`);
  const [firstNote, lastNote] = {
    horizontal: ["top", "bottom"],
    vertical: ["hoist side", "fly side"],
    rising: ["upper", "lower"],
    falling: ["upper", "lower"],
  }[direction] as [string, string];
  const place = positionsAcross[direction];
  const slanted = direction === "rising" || direction === "falling";
  const word = slanted ? "diagonal" : direction;
  const slant = slanted ? " running {slant}" : "";
  const out: Alternative[] = [];
  const add = (text: string, weight = 1, extra: Features = {}): void =>
    void out.push({ when: { ...when, ...extra }, text, weight });

  const noted = (first: boolean, last: boolean, wide: boolean, mark: string): string =>
    listing(
      slots.map((slot, i) => {
        const notes: string[] = [];
        if (first && i === 0) notes.push(firstNote);
        if (last && i === n - 1) notes.push(lastNote);
        if (wide && i === doubled) notes.push(mark);
        return notes.length === 0 ? slot : `${slot} ( ${notes.join(" , ")} )`;
      }),
    );
  const wideTail =
    doubled < 0
      ? ""
      : ` , the ${place(doubled, n)} [one|band] [twice as wide as|double the width of] ${n === 2 ? "the other" : "the others"}`;
  const tail = slant + wideTail;
  const equal = doubled < 0 ? "equal " : "";
  const downward = {
    horizontal: "from top to bottom",
    vertical: "from hoist to fly",
    rising: "from the upper hoist",
    falling: "from the upper fly",
  }[direction];
  const upward = {
    horizontal: "from bottom to top",
    vertical: "from fly to hoist",
    rising: "from the lower fly",
    falling: "from the lower hoist",
  }[direction];

  // three equal horizontal bands of red (top), white, and blue
  add(`{bandCount} ${equal}${word} [bands|stripes] of ${noted(true, false, false, "")}${tail}`, doubled < 0 ? 5 : 2);
  add(`{bandCount} ${equal}${word} [bands|stripes] of ${listing(slots)}${tail}`, 2);
  add(`{bandCount} ${equal}${word} [bands|stripes] of ${noted(true, true, false, "")}${tail}`, 1);
  if (doubled >= 0) {
    add(`{bandCount} ${word} bands of ${noted(true, false, true, "double width")}${slant}`, 4);
    add(`{bandCount} ${word} bands of ${noted(false, false, true, "double width")}${slant}`, 2);
  } else {
    add(`{bandCount} ${word} [bands|stripes] of equal [width|size]${slant} , in ${listing(slots)}`, 1);
    add(
      `{bandCount} ${word} bands${slant} , ${n === 2 ? "both" : "all"} [equal|of the same size] , of ${noted(true, false, false, "")}`,
      0.7,
    );
  }
  // Named one by one, and read in either direction.
  const named = slots.map((slot, i) => `the ${place(i, n)} ${i === 0 ? "[one|band]" : "[one|]"} ${slot}`);
  add(`{bandCount} ${equal}${word} [bands|stripes]${slant} , ${listing(named)}${wideTail}`, 1.5);
  add(`{bandCount} ${equal}${word} [bands|stripes]${slant} , ${listing(named.toReversed())}${wideTail}`, 0.7);
  add(`{bandCount} ${equal}${word} [bands|stripes]${slant} , ${downward} ${listing(slots)}${wideTail}`, 1.2);
  add(`{bandCount} ${equal}${word} [bands|stripes]${slant} , ${upward} ${listing(slots.toReversed())}${wideTail}`, 1);
  if (n === 3 && !slanted)
    add(
      `a ${word} tricolor of ${equal === "" ? "" : "equal bands of "}${noted(true, false, doubled >= 0, "double width")}`,
      1.5,
      { bandCount: 3 },
    );
  if (n === 2 && slanted && doubled < 0) {
    add(
      "a field divided {slant} , {c0:colour} [above|in the upper part] and {c1:colour} [below|in the lower part]",
      4,
      { bandCount: 2 },
    );
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

/**
 * What is left of a field of bands when its beginning is broken: from the direction on, or from "bands" on. Only read, in
 * texts that are not grammatical; each claims no more than its own words do.
 */
function bandRemains(): Alternative[] {
  return allBands().flatMap(({ when, text }): Alternative[] => {
    const found = /^\{bandCount\} (?:equal )?(horizontal|vertical|diagonal) (.*)$/.exec(text);
    if (found === null || when === undefined) return [];
    const [, word, rest] = found as unknown as [string, string, string];
    const { direction, doubled } = when;
    const wide: Features = (doubled as number) >= 0 ? { doubled: doubled as number } : {};
    const known: Features = { layout: "bands", ...wide };
    return [
      ...(word === "diagonal" ? [] : [{ when: { ...known, direction: direction as string }, text: `${word} ${rest}` }]),
      { when: known, text: rest },
    ];
  });
}

/** The quarters of a field, in the order of their colours c0 to c3. */
export const corners = ["upper hoist", "upper fly", "lower hoist", "lower fly"] as const;

function quarterAlternatives(): Alternative[] {
  const slots = corners.map((_, i) => `{c${i}:colour}`);
  const when = { layout: "quartered", paired: "no" };
  const noted = listing(corners.map((corner, i) => `${slots[i]} ( ${corner} side )`));
  const named = listing(corners.map((corner, i) => `the ${corner} [one|] ${slots[i]}`));
  return [
    { when, text: `four equal quarters of ${noted}` },
    { when, text: `four equal quarters , ${named}` },
    {
      when,
      text: `four equal [rectangles|quarters] , {c0:colour} and {c1:colour} above and {c2:colour} and {c3:colour} below`,
    },
    { when, text: `a field divided into four [equal|] quarters , ${named}` },
    {
      when,
      text: `a quartered field of {c0:colour} and {c1:colour} ( upper half ) and {c2:colour} and {c3:colour} ( lower half )`,
    },
    {
      when: { layout: "quartered", paired: "yes" },
      text: "four equal quarters , the upper hoist and lower fly ones {c0:colour} and the [others|other two] {c1:colour}",
      weight: 2,
    },
    {
      when: { layout: "quartered", paired: "yes" },
      text: "a field divided into four [equal|] quarters , {c1:colour} at the upper fly and lower hoist and {c0:colour} at the other two",
      weight: 2,
    },
  ];
}

export const fieldRules: { readonly [name: string]: Rule } = {
  colour: {
    uniform: true,
    alternatives: colours.flatMap((colour): Alternative[] => {
      const others: { [name: string]: readonly [string, number] } = {
        yellow: ["gold", 0.5],
        "light blue": ["sky blue", 0.4],
        maroon: ["dark red", 0.4],
        purple: ["violet", 0.3],
      };
      const other = others[colour];
      const own = { when: { colour }, text: colour };
      return other === undefined ? [own] : [own, { when: { colour }, text: other[0], weight: other[1] }];
    }),
  },
  bandCount: { alternatives: counting("bandCount", 2, 6) },
  slant: {
    alternatives: lexicon("direction", {
      rising: [
        "[diagonally|] from the lower hoist-side corner to the upper fly-side corner",
        "[diagonally|] from the upper fly-side corner to the lower hoist-side corner",
        "[diagonally|] from lower hoist to upper fly",
      ],
      falling: [
        "[diagonally|] from the upper hoist-side corner to the lower fly-side corner",
        "[diagonally|] from the lower fly-side corner to the upper hoist-side corner",
        "[diagonally|] from upper hoist to lower fly",
      ],
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
  fieldRemains: { alternatives: bandRemains() },
  field: {
    alternatives: [
      { when: { layout: "plain" }, text: "a plain {c0:colour} field", weight: 2 },
      { when: { layout: "plain" }, text: "a [solid|uniform] {c0:colour} [background|field]" },
      { when: { layout: "plain" }, text: "a field of [solid|plain] {c0:colour}" },
      { when: { layout: "plain" }, text: "a single field of {c0:colour}", weight: 0.7 },
      ...allBands(),
      ...quarterAlternatives(),
      {
        when: { layout: "cross" },
        text: "a {c0:colour} field with a {c1:colour} {crossName} {crossOutline}",
        weight: 3,
      },
      {
        when: { layout: "cross" },
        text: "a {c1:colour} {crossName} {crossOutline} [on|over] a [field of {c0:colour}|{c0:colour} field|{c0:colour} background]",
        weight: 3,
      },
      {
        when: { layout: "cross" },
        text: "a {c0:colour} field divided by a {c1:colour} {crossName} {crossOutline} that [extends|reaches] to [the edges of the flag|all edges]",
      },
      { when: { layout: "border" }, text: "a {c0:colour} field [with|within|surrounded by] a {c1:colour} border" },
      { when: { layout: "border" }, text: "a {c1:colour} [border|frame] around a {c0:colour} [field|center]" },
      { when: { layout: "border" }, text: "a {c0:colour} field [edged|bordered] on all [four|] sides in {c1:colour}" },
    ],
  },
};
