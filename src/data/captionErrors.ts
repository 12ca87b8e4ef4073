/**
 * Pairs in the manner of ViCrit: a caption that is right, and the same with one phrase made wrong.
 *
 * An error is planted in what the caption says, not in its letters: one feature of the plan is changed and the text is
 * written again under the same seed, so the rest stays word for word and "a star is" becomes "two stars are". Whatever
 * results is scored; it counts only if the sentence is still grammatical and exactly one stated fact is false.
 */
import { randomStream, type RandomStream } from "../tensor/philox.ts";
import { joinWords, type Text } from "./captionGrammar.ts";
import type { StatedFact } from "./captionFacts.ts";
import { scoreCaption } from "./captionParser.ts";
import type { FactAttribute } from "./facts.ts";
import { bandPosition, planCaption, writePlan } from "./flagCaption.ts";
import { chargeKinds, colours, spots, type FlagSpec } from "./flagSpec.ts";
import type { Features } from "./grammar.ts";

/** What a planted error is wrong about. */
export const errorKinds = ["colour", "count", "kind", "place", "layout"] as const;
export type ErrorKind = (typeof errorKinds)[number];

/** Characters [start, end) of the wrong text stand where [rightStart, rightEnd) of the right one did; all else is equal. */
export interface PlantedError {
  readonly kind: ErrorKind;
  readonly right: string;
  readonly wrong: string;
  readonly rightStart: number;
  readonly rightEnd: number;
  readonly start: number;
  readonly end: number;
  /** The one false fact of the wrong text, as `scoreCaption` states it. */
  readonly fact: StatedFact;
}

export interface PlantOptions {
  /** Only errors of these kinds; all five when left out. */
  readonly kinds?: readonly ErrorKind[];
  /** The longest phrase, on either side, that may change. */
  readonly maxWords?: number;
}

/**
 * The caption of (spec, captionSeed) with one error: a pure function of its arguments. Null when none of the wished kinds
 * fits, as for a count in a flag without charges or bands.
 */
export function plantError(
  spec: FlagSpec,
  captionSeed: number,
  errorSeed: number,
  options: PlantOptions = {},
): PlantedError | null {
  const plan = planCaption(spec, captionSeed);
  const right = joinWords(writePlan(plan, captionSeed));
  const random = randomStream(errorSeed, 0x6572726f);
  const changes = changesOf(plan, spec);
  // The kind is drawn first: there are many more wrong colours than wrong counts.
  for (const kind of random.shuffle(options.kinds ?? errorKinds)) {
    const open = random.shuffle(changes.filter((change) => change.kind === kind));
    for (const change of open.slice(0, 12)) {
      const planted = tryChange(spec, change, right, captionSeed, random, options.maxWords ?? 8);
      if (planted !== null) return planted;
    }
  }
  return null;
}

/**
 * Up to `count` errors in one caption whose spans in the right text do not touch, in the order of the text. Each is given
 * by itself: its `wrong` holds that error only.
 */
export function plantErrors(
  spec: FlagSpec,
  captionSeed: number,
  errorSeed: number,
  count: number,
  options: PlantOptions = {},
): PlantedError[] {
  const random = randomStream(errorSeed, 0x6d616e79);
  const found: PlantedError[] = [];
  for (let attempt = 0; attempt < 3 * count && found.length < count; attempt++) {
    const error = plantError(spec, captionSeed, random.bits(), options);
    if (error === null) break;
    if (found.every((other) => error.rightEnd < other.rightStart || other.rightEnd < error.rightStart))
      found.push(error);
  }
  return found.sort((a, b) => a.rightStart - b.rightStart);
}

/** One feature with the values that it may wrongly take. */
interface Change {
  readonly kind: ErrorKind;
  readonly path: readonly string[];
  /** Sets of features to put over those at the path. */
  readonly values: readonly Features[];
  /** The fact that is meant to become false. */
  readonly attribute: FactAttribute;
}

function changesOf(plan: Features, spec: FlagSpec): Change[] {
  const out: Change[] = [];
  const add = (
    kind: ErrorKind,
    path: readonly string[],
    attribute: FactAttribute,
    values: readonly Features[],
  ): void => {
    if (values.length > 0) out.push({ kind, path, attribute, values });
  };
  const field = plan["field"] as Features;
  for (let i = 0; i < 5; i++) {
    const slot = field[`c${i}`];
    if (typeof slot !== "object") continue;
    const beside = [slot, field[`c${i - 1}`], field[`c${i + 1}`]].map((c) =>
      typeof c === "object" ? c["colour"] : null,
    );
    add(
      "colour",
      ["field", `c${i}`],
      "colour",
      colours.filter((c) => !beside.includes(c)).map((colour) => ({ colour })),
    );
  }
  if (field["layout"] === "bands") {
    const count = field["bandCount"] as number;
    add(
      "count",
      ["field"],
      "bandCount",
      [count - 1, count + 1].filter((n) => n >= 2 && n <= 6).map((bandCount) => ({ bandCount })),
    );
    const turned = { horizontal: "vertical", vertical: "horizontal", rising: "falling", falling: "rising" } as const;
    add("layout", ["field"], "direction", [{ direction: turned[field["direction"] as keyof typeof turned] }]);
    const other = Array.from({ length: count + 1 }, (_, i) => i - 1).filter((i) => i !== field["doubled"]);
    add(
      "layout",
      ["field"],
      "proportions",
      other.map((doubled) => ({ doubled })),
    );
  }
  if (field["layout"] === "cross") {
    add(
      "layout",
      ["field"],
      "style",
      ["nordic", "centered", "diagonal"].filter((s) => s !== field["style"]).map((style) => ({ style })),
    );
  }
  for (const name of ["a", "b", "c"]) {
    const charge = plan[name];
    if (typeof charge !== "object") continue;
    chargeChanges(charge, [name], spec, add);
    if (typeof charge["inner"] === "object") chargeChanges(charge["inner"], [name, "inner"], spec, add);
  }
  return out;
}

function chargeChanges(
  charge: Features,
  path: readonly string[],
  spec: FlagSpec,
  add: (kind: ErrorKind, path: readonly string[], attribute: FactAttribute, values: readonly Features[]) => void,
): void {
  const { kind, points, count, arrangement, colour, place, ref } = charge;
  add(
    "colour",
    path,
    "colour",
    colours.filter((c) => c !== colour).map((c) => ({ colour: c })),
  );
  const large = kind === "canton" || kind === "triangle";
  if (!large) {
    const counts = [1, 2, 3, 4, 5, 6].filter((n) => n !== count);
    add(
      "count",
      path,
      "count",
      counts.map((n) => (n === 1 ? { count: 1, number: "one", arrangement: "none" } : { count: n, number: "many" })),
    );
  }
  if (kind === "star") {
    const near = [4, 5, 6, 7, 8].filter((n) => n !== points);
    add(
      "count",
      path,
      "points",
      near.map((n) => ({ points: n })),
    );
  }
  // A canton or a triangle has its own words for its place, so it is taken for nothing else.
  if (!large)
    add(
      "kind",
      path,
      "kind",
      chargeKinds.filter((k) => k !== kind && k !== "canton" && k !== "triangle").map((k) => ({ kind: k, points: 0 })),
    );
  if (arrangement === "row" || arrangement === "column" || arrangement === "circle") {
    add(
      "layout",
      path,
      "arrangement",
      ["row", "column", "circle"].filter((a) => a !== arrangement).map((a) => ({ arrangement: a })),
    );
  }
  if (place === "band" && typeof ref === "object" && spec.field.layout === "bands") {
    const field = spec.field;
    const others =
      ref["by"] === "colour"
        ? field.colours.filter((c) => c !== ref["colour"]).map((c) => ({ ref: { by: "colour", colour: c } }))
        : [...field.colours.keys()]
            .map((i) => bandPosition(field, i))
            .filter((p) => p !== ref["position"])
            .map((position) => ({ ref: { by: "position", position } }));
    add("place", path, "place", others);
  } else if (place !== undefined && place !== "on" && place !== "band") {
    add(
      "place",
      path,
      "place",
      spots.filter((spot) => spot !== place).map((spot) => ({ place: spot })),
    );
  }
}

function tryChange(
  spec: FlagSpec,
  change: Change,
  right: Text,
  captionSeed: number,
  random: RandomStream,
  maxWords: number,
): PlantedError | null {
  const plan = planCaption(spec, captionSeed);
  let words: string[];
  try {
    words = writePlan(replaced(plan, change.path, random.pick(change.values)), captionSeed);
  } catch {
    // Some pairs of features have no words, as a doubled sixth band.
    return null;
  }
  const wrong = joinWords(words);
  const span = difference(right, wrong, maxWords);
  if (span === null) return null;
  const score = scoreCaption(wrong.text, spec);
  const [fact, ...more] = score.hallucinated;
  if (!score.grammatical || fact === undefined || more.length > 0 || fact.attribute !== change.attribute) return null;
  return { kind: change.kind, right: right.text, wrong: wrong.text, ...span, fact };
}

function replaced(features: Features, path: readonly string[], over: Features): Features {
  const [name, ...rest] = path;
  if (name === undefined) return { ...features, ...over };
  return { ...features, [name]: replaced(features[name] as Features, rest, over) };
}

/** What differs between two texts as one span of words in each, or null when it is nothing or longer than allowed. */
function difference(
  right: Text,
  wrong: Text,
  maxWords: number,
): Pick<PlantedError, "rightStart" | "rightEnd" | "start" | "end"> | null {
  const a = right.tokens.map(({ start, end }) => right.text.slice(start, end));
  const b = wrong.tokens.map(({ start, end }) => wrong.text.slice(start, end));
  const shorter = Math.min(a.length, b.length);
  let head = 0;
  while (head < shorter && a[head] === b[head]) head++;
  let tail = 0;
  while (tail < shorter - head && a[a.length - 1 - tail] === b[b.length - 1 - tail]) tail++;
  // Words that are only added or left out leave one span empty: it takes in the word before.
  if (head > 0 && (head + tail >= a.length || head + tail >= b.length)) head--;
  const from = { a: right.tokens[head], b: wrong.tokens[head] };
  const to = { a: right.tokens[a.length - tail - 1], b: wrong.tokens[b.length - tail - 1] };
  if (from.a === undefined || from.b === undefined || to.a === undefined || to.b === undefined) return null;
  if (
    a.length - tail - head > maxWords ||
    b.length - tail - head > maxWords ||
    head === Math.min(a.length, b.length) - tail
  )
    return null;
  return { rightStart: from.a.start, rightEnd: to.a.end, start: from.b.start, end: to.b.end };
}
