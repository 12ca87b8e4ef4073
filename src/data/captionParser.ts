/**
 * From a caption back to facts, and the exact scores that follow.
 *
 * A text is grammatical when the whole of it derives from the caption grammar, spaces and articles included. A text that
 * is not is read clause by clause: from each word on, the fragment that reaches furthest gives what it says, also where
 * it breaks off; then what all ways to go on would have said in common counts as said.
 */
import { captionGrammar, joinWords, splitWords, type Token } from "./captionGrammar.ts";
import { bandPosition } from "./flagCaption.ts";
import { factKey, factsOf, placeNames, proportions, quarterNames, type Fact, type FactAttribute } from "./facts.ts";
import type { Colour, Field, FlagSpec } from "./flagSpec.ts";
import { openReader, readPrefix, readRule, type Features, type Spans } from "./grammar.ts";

/** A fact and the characters [start, end) that state it. */
export interface StatedFact extends Fact {
  readonly start: number;
  readonly end: number;
}

export interface ParsedCaption {
  readonly grammatical: boolean;
  /** Charges are numbered as the text mentions them. A fact that is stated twice stands once. */
  readonly facts: readonly StatedFact[];
  /** What is not grammatical, in words. Empty when the text is. */
  readonly problems: readonly string[];
  /** What was said of the field and of each charge, before bands that are named by colour are looked up. */
  readonly fields: readonly Phrase[];
  readonly charges: readonly Phrase[];
}

/** What one phrase says, with the characters that say each feature. */
export interface Phrase {
  readonly features: Features;
  readonly at: (path: readonly string[]) => readonly [number, number];
}

/** Reads a caption. Never throws: a text with nothing of a caption in it has no facts. */
export function parseCaption(text: string): ParsedCaption {
  const tokens = splitWords(text);
  const reader = openReader(captionGrammar, tokens.map(({ word }) => word));
  const problems: string[] = [];
  const fields: Phrase[] = [];
  const charges: Phrase[] = [];

  const whole = readRule(reader, "caption", 0).find(({ end }) => end === tokens.length);
  if (whole !== undefined) {
    const part = (name: string): void => {
      const features = whole.features[name];
      if (typeof features === "object") (name === "field" ? fields : charges).push(phrase(features, whole.spans[name] as Spans, tokens));
    };
    for (const name of ["field", "a", "b", "c"]) part(name);
    if (joinWords(tokens.map(({ word }) => word)).text !== text) problems.push("an article, a space or the case of a letter is wrong");
  } else {
    const stuck = tokens[reader.furthest];
    problems.push(stuck === undefined ? "the text ends before the sentence does" : `no sentence goes on with "${stuck.word}" at ${stuck.start}`);
    readFragments(reader, tokens, fields, charges, problems);
  }
  const flat = charges.flatMap(withInner);
  const field = fields[0] === undefined ? null : fieldMeant(fields[0].features);
  const facts = [
    ...fields.flatMap(fieldFacts),
    ...flat.flatMap((charge, i) => chargeFacts(charge, `charge ${i}`, field, null)),
  ];
  return { grammatical: problems.length === 0, facts: distinct(facts), problems, fields, charges: flat };
}

const fragments = ["field", "clause", "item", "inner"] as const;
const glue: ReadonlySet<string> = new Set([",", ";", ".", "and", "with", "on", "the", "flag", "has", "shows", "displays", "consists", "of", "is", "made", "up", "this", "banner", "set", "against"]);

function readFragments(reader: ReturnType<typeof openReader>, tokens: readonly Token[], fields: Phrase[], charges: Phrase[], problems: string[]): void {
  let at = 0;
  let skipped: string[] = [];
  const report = (): void => {
    if (skipped.some((word) => !glue.has(word))) problems.push(`"${skipped.join(" ")}" is part of nothing`);
    skipped = [];
  };
  while (at < tokens.length) {
    let best: { end: number; features: Features; spans: Spans; isField: boolean } | null = null;
    for (const rule of fragments) {
      const found = readPrefix(reader, rule, at);
      if (found === null || (best !== null && found.end <= best.end)) continue;
      // "three" may begin bands or stars, so a field needs a few words more to be one.
      const isField = rule === "field";
      const says = isField ? found.features["layout"] !== undefined && found.end - at >= 3 : found.features["kind"] !== undefined;
      if (says) best = { ...found, features: unfinished(found.features, tokens[found.end]), isField };
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

/** "centered" before "on the" that leads nowhere, or where the text breaks off, is no place yet. */
function unfinished(features: Features, next: Token | undefined): Features {
  if (features["place"] !== "center" || (next !== undefined && !["in", "on", "of"].includes(next.word))) return features;
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
  return [charge, {
    features: { ...inner, place: "on", bearer: kind },
    // That it stands on its bearer is said by naming it there.
    at: (path) => charge.at(["inner", path[0] === "place" || path[0] === "bearer" ? "kind" : (path[0] as string), ...path.slice(1)]),
  }];
}

function stated(phraseOf: Phrase, subject: string, attribute: FactAttribute, path: readonly string[], value?: string | number): StatedFact[] {
  let found: string | number | Features | undefined = phraseOf.features;
  for (const name of path) found = typeof found === "object" ? found[name] : undefined;
  if (found === undefined || typeof found === "object") return [];
  const [start, end] = phraseOf.at(path);
  return [{ subject, attribute, value: value ?? found, start, end }];
}

function fieldFacts(field: Phrase): StatedFact[] {
  const { features } = field;
  const layout = features["layout"];
  const colour = (subject: string, slot: string): StatedFact[] => stated(field, subject, "colour", [slot, "colour"]);
  const out = stated(field, "field", "layout", ["layout"]);
  switch (layout) {
    case "plain":
      return [...out, ...colour("ground", "c0")];
    case "bands": {
      out.push(...stated(field, "field", "direction", ["direction"]), ...stated(field, "field", "bandCount", ["bandCount"]));
      const doubled = features["doubled"];
      if (typeof doubled === "number") out.push(...stated(field, "field", "proportions", ["doubled"], proportions(doubled)));
      for (let i = 0; i < 5; i++) out.push(...colour(`band ${i}`, `c${i}`));
      return out;
    }
    case "quartered": {
      const slots = features["paired"] === "yes" ? ["c0", "c1", "c1", "c0"] : ["c0", "c1", "c2", "c3"];
      return [...out, ...slots.flatMap((slot, i) => colour(`quarter ${quarterNames[i]}`, slot))];
    }
    case "cross":
      return [...out, ...colour("ground", "c0"), ...colour("cross", "c1"), ...stated(field, "cross", "style", ["style"]), ...colour("outline", "c2")];
    case "border":
      return [...out, ...colour("ground", "c0"), ...colour("border", "c1")];
    default:
      return out;
  }
}

/** The bands of a field, as far as a text or a spec gives them. */
type Bands = Extract<Field, { layout: "bands" }> | null;

function fieldMeant(features: Features): Bands {
  if (features["layout"] !== "bands") return null;
  const list: Colour[] = [];
  for (let i = 0; i < 5; i++) {
    const slot = features[`c${i}`];
    if (typeof slot === "object") list.push(slot["colour"] as Colour);
  }
  const direction = features["direction"];
  if (direction !== "horizontal" && direction !== "vertical" && direction !== "rising" && direction !== "falling") return null;
  return { layout: "bands", direction, colours: list, doubled: null };
}

/** The bands that a phrase like "the white band" or "the top band" can mean. */
function bandsMeant(ref: Features, field: Bands): number[] {
  if (field === null) return [];
  const all = [...field.colours.keys()];
  if (ref["by"] === "colour") return all.filter((i) => field.colours[i] === ref["colour"]);
  const ordinal = ["first", "second", "third", "fourth"].indexOf(String(ref["position"]));
  return all.filter((i) => bandPosition(field, i) === ref["position"] || i === ordinal);
}

/** `actual`: the band where the charge really stands, which wins where a phrase can mean several. */
function chargeFacts(charge: Phrase, subject: string, field: Bands, actual: number | null): StatedFact[] {
  const { features } = charge;
  const plain = (attribute: FactAttribute): StatedFact[] => stated(charge, subject, attribute, [attribute]);
  const out = [...plain("kind"), ...plain("count"), ...plain("colour")];
  if (features["points"] !== 0) out.push(...plain("points"));
  if (features["arrangement"] !== "none") out.push(...plain("arrangement"));
  if (features["size"] !== "medium") out.push(...plain("size"));
  const ref = features["ref"];
  if (features["place"] === "band" && typeof ref === "object") {
    const meant = bandsMeant(ref, field);
    const name = ref["by"] === "colour" ? "colour" : "position";
    const band = actual !== null && meant.includes(actual) ? actual : meant.length === 1 ? meant[0] : ref[name];
    out.push(...stated(charge, subject, "place", ["ref", name], `band ${band}`));
  } else if (features["place"] === "on") {
    out.push(...stated(charge, subject, "place", ["bearer"], `on ${features["bearer"]}`));
  } else if (features["place"] !== "band") out.push(...plain("place"));
  return out;
}

function distinct<F extends Fact>(facts: readonly F[]): F[] {
  const seen = new Set<string>();
  return facts.filter((fact) => !seen.has(factKey(fact)) && seen.add(factKey(fact)));
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
 * are looked up in the flag itself, so one wrong colour in the list of bands makes one fact false, not two.
 */
export function scoreCaption(text: string, spec: FlagSpec): CaptionScore {
  const parsed = parseCaption(text);
  const truth = factsOf(spec);
  const keys = new Set(truth.map(factKey));
  const bands = spec.field.layout === "bands" ? spec.field : null;
  const own = parsed.fields[0] === undefined ? null : fieldMeant(parsed.fields[0].features);

  const names = spec.charges.map((charge) => placeNames(spec, charge));
  // table[j][i]: the facts of the text's charge j if it is the flag's charge i.
  const table = parsed.charges.map((charge) => spec.charges.map(({ place }, i) =>
    withOneName(chargeFacts(charge, `charge ${i}`, bands ?? own, place.at === "band" ? place.band : null), names[i] as string[])));
  const gain = table.map((row) => row.map((facts) => facts.filter((fact) => keys.has(factKey(fact))).length));
  const match = bestMatch(gain, spec.charges.length);
  let extra = 0;
  const facts = distinct([
    ...parsed.fields.flatMap(fieldFacts),
    ...parsed.charges.flatMap((charge, j) => {
      const i = match[j] ?? -1;
      return i >= 0 ? (table[j]?.[i] ?? []) : chargeFacts(charge, `extra ${extra++}`, bands ?? own, null);
    }),
  ]);
  const said = new Set(facts.map(factKey));
  const hallucinated = facts.filter((fact) => !keys.has(factKey(fact)));
  const missing = truth.filter((fact) => !said.has(factKey(fact)));
  const correct = facts.length - hallucinated.length;
  return {
    coverage: correct / truth.length,
    factuality: facts.length === 0 ? null : correct / facts.length,
    grammatical: parsed.grammatical,
    stated: facts.length, correct, total: truth.length,
    hallucinated, missing, problems: parsed.problems,
  };
}

/** Facts in which a place that is true under any of its names stands under the first. */
function withOneName(facts: readonly StatedFact[], names: readonly string[]): StatedFact[] {
  return facts.map((fact) => (fact.attribute === "place" && names.includes(String(fact.value)) ? { ...fact, value: names[0] as string } : fact));
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
