/**
 * From a caption back to facts, and the exact scores that follow.
 *
 * A text is grammatical when the whole of it derives from the caption grammar, spaces and articles included. A text that
 * is not is read clause by clause: from each word on, the fragment that reaches furthest gives what it says, also where
 * it breaks off; then what all ways to go on would have said in common counts as said.
 */
import { captionGrammar, joinWords, splitWords, type Token } from "./captionGrammar.ts";
import { chargeFacts, distinct, fieldFacts, fieldMeant, type Phrase, type StatedFact } from "./captionFacts.ts";
import { factKey, factsOf, placeNames, type Fact } from "./facts.ts";
import type { FlagSpec } from "./flagSpec.ts";
import type { Features } from "./grammar.ts";
import { openReader, readPrefix, readRule, type Reader, type Spans } from "./grammarReader.ts";

export interface ParsedCaption {
  readonly grammatical: boolean;
  /** Charges are numbered as the text mentions them. A fact that is stated twice stands once. */
  readonly facts: readonly StatedFact[];
  /** What is not grammatical, in words. Empty when the text is. */
  readonly problems: readonly string[];
  /** What was said of the field and of each charge, before bands that are named by colour are looked up. */
  readonly fields: readonly Phrase[];
  readonly charges: readonly Phrase[];
  /** Where the text says that there is no emblem, or with `other` none but those that it names. */
  readonly denial: Denial | null;
}

interface Denial {
  readonly other: boolean;
  readonly start: number;
  readonly end: number;
}

/** Reads a caption. Never throws: a text with nothing of a caption in it has no facts. */
export function parseCaption(text: string): ParsedCaption {
  const tokens = splitWords(text);
  const reader = openReader(
    captionGrammar,
    tokens.map(({ word }) => word),
  );
  const problems: string[] = [];
  const fields: Phrase[] = [];
  const charges: Phrase[] = [];

  const whole = readRule(reader, "caption", 0).find(({ end }) => end === tokens.length);
  if (whole !== undefined) {
    const part = (name: string): void => {
      const features = whole.features[name];
      if (typeof features === "object")
        (name === "field" ? fields : charges).push(phrase(features, whole.spans[name] as Spans, tokens));
    };
    for (const name of ["field", "a", "b", "c"]) part(name);
    if (joinWords(tokens.map(({ word }) => word)).text !== text)
      problems.push("an article, a space or the case of a letter is wrong");
  } else {
    const stuck = tokens[reader.furthest];
    problems.push(
      stuck === undefined
        ? "the text ends before the sentence does"
        : `no sentence goes on with "${stuck.word}" at ${stuck.start}`,
    );
    readFragments(withoutEchoes(tokens), fields, charges, problems);
  }
  const flat = charges.flatMap(withInner);
  const field = fields[0] === undefined ? null : fieldMeant(fields[0].features);
  const facts = [
    ...fields.flatMap(fieldFacts),
    ...flat.flatMap((charge, i) => chargeFacts(charge, `charge ${i}`, field, null)),
  ];
  const denial = denialIn(tokens);
  return { grammatical: problems.length === 0, facts: distinct(facts), problems, fields, charges: flat, denial };
}

/** "without emblem", "with no other device": at its first place in the text. */
function denialIn(tokens: readonly Token[]): Denial | null {
  const word = (i: number): string => tokens[i]?.word ?? "";
  for (const [i, { start }] of tokens.entries()) {
    if (word(i) !== "without" && word(i) !== "no") continue;
    const other = word(i + 1) === "other" || word(i + 1) === "further";
    const noun = tokens[i + (other ? 2 : 1)];
    if (noun !== undefined && ["emblem", "charge", "device"].includes(noun.word))
      return { other, start, end: noun.end };
  }
  return null;
}

/** What is looked for at each word; the second group only where the first finds nothing. */
const fragments = [
  ["field", "clause", "item", "inner"],
  ["fieldRemains", "itemRemains"],
] as const;
const glue: ReadonlySet<string> = new Set([
  ",",
  ";",
  ".",
  "and",
  "with",
  "on",
  "the",
  "flag",
  "has",
  "shows",
  "displays",
  "consists",
  "of",
  "is",
  "made",
  "up",
  "this",
  "banner",
  "set",
  "against",
]);

function readFragments(tokens: readonly Token[], fields: Phrase[], charges: Phrase[], problems: string[]): void {
  const reader = openReader(
    captionGrammar,
    tokens.map(({ word }) => word),
  );
  let at = 0;
  let skipped: string[] = [];
  const report = (): void => {
    if (skipped.some((word) => !glue.has(word))) problems.push(`"${skipped.join(" ")}" is part of nothing`);
    skipped = [];
  };
  while (at < tokens.length) {
    let best: Found | null = null;
    for (const rules of fragments) {
      for (const rule of rules) best = further(best, findFragment(reader, tokens, rule, at));
      if (best !== null) break;
    }
    if (best === null) {
      skipped.push((tokens[at] as Token).word);
      at++;
      continue;
    }
    report();
    (best.isField ? fields : charges).push(phrase(best.features, best.spans, tokens));
    at = best.end;
  }
  report();
}

interface Found {
  readonly end: number;
  readonly features: Features;
  readonly spans: Spans;
  readonly isField: boolean;
}

function findFragment(reader: Reader, tokens: readonly Token[], rule: string, at: number): Found | null {
  const found = readPrefix(reader, rule, at);
  if (found === null) return null;
  // "three" may begin bands or stars, so a field needs a few words more to be one; a charge needs its noun.
  const isField = rule.startsWith("field");
  const says = isField
    ? found.features["layout"] !== undefined && found.end - at >= (rule === "field" ? 3 : 2)
    : found.features["kind"] !== undefined;
  return says ? { ...found, features: unfinished(found.features, tokens[found.end]), isField } : null;
}

const further = (a: Found | null, b: Found | null): Found | null =>
  a === null || (b !== null && b.end > a.end) ? b : a;

/** Words said twice in a row, up to three of them, said once: the commonest slip of a decoder that writes several at once. */
function withoutEchoes(tokens: readonly Token[]): Token[] {
  const out: Token[] = [];
  for (const token of tokens) {
    out.push(token);
    for (let n = 1; n <= 3; n++) {
      const echo = out.slice(-n);
      const before = out.slice(-2 * n, -n);
      if (before.length === n && echo.every(({ word }, i) => word === before[i]?.word)) out.splice(-n, n);
    }
  }
  return out;
}

/** How many words a caption has, and how many of them repeat the one to three right before. */
export function captionEchoes(text: string): { words: number; echoes: number } {
  const tokens = splitWords(text);
  return { words: tokens.length, echoes: tokens.length - withoutEchoes(tokens).length };
}

/** "centered" before "on the" that leads nowhere, or where the text breaks off, is no place yet. */
function unfinished(features: Features, next: Token | undefined): Features {
  if (features["place"] !== "center" || (next !== undefined && !["in", "on", "of"].includes(next.word)))
    return features;
  const { place: _, ...rest } = features;
  return rest;
}

function phrase(features: Features, spans: Spans, tokens: readonly Token[]): Phrase {
  return {
    features,
    at: (path) => {
      let here: Spans | readonly [number, number] | undefined = spans;
      for (const name of path) here = Array.isArray(here) ? here : (here as Spans | undefined)?.[name];
      if (!Array.isArray(here)) throw new Error(`captionParser: no span for ${path.join(".")}`);
      const [from, to] = here as readonly [number, number];
      const first = tokens[from] ?? tokens[tokens.length - 1];
      const start = first?.start ?? 0;
      return [start, to > from ? (tokens[to - 1] as Token).end : start];
    },
  };
}

/** A charge and the one that it bears, as two phrases. */
function withInner(charge: Phrase): Phrase[] {
  const inner = charge.features["inner"];
  if (typeof inner !== "object") return [charge];
  const kind = charge.features["kind"] ?? "nothing";
  return [
    charge,
    {
      features: { ...inner, place: "on", bearer: kind },
      // That it stands on its bearer is said by naming it there.
      at: (path) =>
        charge.at([
          "inner",
          path[0] === "place" || path[0] === "bearer" ? "kind" : (path[0] as string),
          ...path.slice(1),
        ]),
    },
  ];
}

export interface CaptionScore {
  /** correct / total: how much of the flag is told. */
  readonly coverage: number;
  /** correct / stated: how much of what is told is true; null for a caption that states nothing. */
  readonly factuality: number | null;
  readonly grammatical: boolean;
  /** Distinct facts: stated by the caption, those of them that are true, and those of the flag. */
  readonly stated: number;
  readonly correct: number;
  readonly total: number;
  readonly hallucinated: readonly StatedFact[];
  readonly missing: readonly Fact[];
  readonly problems: readonly string[];
}

/**
 * Scores a caption against the flag. The charges of the text are matched with those of the flag so that most facts are
 * true; facts of a charge that matches none are hallucinated, under the subjects "extra 0" …. Bands that are named by colour
 * are looked up in the flag itself, so one wrong colour in the list of bands makes one fact false, not two. "With no other emblem"
 * is a false statement about a flag with more emblems than the text names; where it is true it says what silence says, and
 * counts as nothing.
 */
export function scoreCaption(text: string, spec: FlagSpec): CaptionScore {
  const parsed = parseCaption(text);
  const truth = factsOf(spec);
  const keys = new Set(truth.map(factKey));
  const bands = spec.field.layout === "bands" ? spec.field : null;
  const own = parsed.fields[0] === undefined ? null : fieldMeant(parsed.fields[0].features);

  const names = spec.charges.map((charge) => placeNames(spec, charge));
  // table[j][i]: the facts of the text's charge j if it is the flag's charge i.
  const table = parsed.charges.map((charge) =>
    spec.charges.map(({ place }, i) =>
      withOneName(
        chargeFacts(charge, `charge ${i}`, bands ?? own, place.at === "band" ? place.band : null),
        names[i] as string[],
      ),
    ),
  );
  const gain = table.map((row) => row.map((facts) => facts.filter((fact) => keys.has(factKey(fact))).length));
  const match = bestMatch(gain, spec.charges.length);
  let extra = 0;
  const facts = distinct([
    ...parsed.fields.flatMap(fieldFacts),
    ...parsed.charges.flatMap((charge, j) => {
      const i = match[j] ?? -1;
      return i >= 0 ? (table[j]?.[i] ?? []) : chargeFacts(charge, `extra ${extra++}`, bands ?? own, null);
    }),
    ...falseDenial(parsed, spec),
  ]);
  const said = new Set(facts.map(factKey));
  const hallucinated = facts.filter((fact) => !keys.has(factKey(fact)));
  const missing = truth.filter((fact) => !said.has(factKey(fact)));
  const correct = facts.length - hallucinated.length;
  return {
    coverage: correct / truth.length,
    factuality: facts.length === 0 ? null : correct / facts.length,
    grammatical: parsed.grammatical,
    stated: facts.length,
    correct,
    total: truth.length,
    hallucinated,
    missing,
    problems: parsed.problems,
  };
}

function falseDenial({ denial, charges }: ParsedCaption, spec: FlagSpec): StatedFact[] {
  if (denial === null || spec.charges.length <= (denial.other ? charges.length : 0)) return [];
  const { start, end } = denial;
  return [{ subject: "emblems", attribute: "count", value: 0, start, end }];
}

/** Facts in which a place that is true under any of its names stands under the first. */
function withOneName(facts: readonly StatedFact[], names: readonly string[]): StatedFact[] {
  return facts.map((fact) =>
    fact.attribute === "place" && names.includes(String(fact.value)) ? { ...fact, value: names[0] as string } : fact,
  );
}

/** For each row a column of its own or −1, with the greatest sum. At most three columns: every way is tried. */
function bestMatch(gain: readonly (readonly number[])[], columns: number): number[] {
  const rows = gain.length;
  let best: number[] = [];
  let most = -1;
  const assign = (column: number, used: ReadonlyMap<number, number>, sum: number): void => {
    if (column === columns) {
      if (sum <= most) return;
      most = sum;
      best = Array.from({ length: rows }, (_, row) => used.get(row) ?? -1);
      return;
    }
    for (let row = 0; row < rows; row++) {
      const value = gain[row]?.[column] ?? 0;
      if (value > 0 && !used.has(row)) assign(column + 1, new Map(used).set(row, column), sum + value);
    }
    assign(column + 1, used, sum);
  };
  assign(0, new Map(), 0);
  return best;
}
