/** From what the phrases of a caption say to facts: which band "the white band" is, and where in the text each fact stands. */
import { factKey, proportions, quarterNames, type Fact, type FactAttribute } from "./facts.ts";
import { bandPosition } from "./flagCaption.ts";
import type { Colour, Field } from "./flagSpec.ts";
import type { Features } from "./grammar.ts";

/** A fact and the characters [start, end) that state it. */
export interface StatedFact extends Fact {
  readonly start: number;
  readonly end: number;
}

/** What one phrase says, with the characters that say each feature. */
export interface Phrase {
  readonly features: Features;
  readonly at: (path: readonly string[]) => readonly [number, number];
}

function stated(
  phraseOf: Phrase,
  subject: string,
  attribute: FactAttribute,
  path: readonly string[],
  value?: string | number,
): StatedFact[] {
  let found: string | number | Features | undefined = phraseOf.features;
  for (const name of path) found = typeof found === "object" ? found[name] : undefined;
  if (found === undefined || typeof found === "object") return [];
  const [start, end] = phraseOf.at(path);
  return [{ subject, attribute, value: value ?? found, start, end }];
}

/** What a phrase states about the field: its layout, and the colours of its parts. */
export function fieldFacts(field: Phrase): StatedFact[] {
  const { features } = field;
  const layout = features["layout"];
  const colour = (subject: string, slot: string): StatedFact[] => stated(field, subject, "colour", [slot, "colour"]);
  const out = stated(field, "field", "layout", ["layout"]);
  switch (layout as Field["layout"] | undefined) {
    case "plain":
      return [...out, ...colour("ground", "c0")];
    case "bands": {
      out.push(
        ...stated(field, "field", "direction", ["direction"]),
        ...stated(field, "field", "bandCount", ["bandCount"]),
      );
      const doubled = features["doubled"];
      if (typeof doubled === "number")
        out.push(...stated(field, "field", "proportions", ["doubled"], proportions(doubled)));
      for (let i = 0; i < 5; i++) out.push(...colour(`band ${i}`, `c${i}`));
      return out;
    }
    case "quartered": {
      const slots = features["paired"] === "yes" ? ["c0", "c1", "c1", "c0"] : ["c0", "c1", "c2", "c3"];
      return [...out, ...slots.flatMap((slot, i) => colour(`quarter ${quarterNames[i]}`, slot))];
    }
    case "cross":
      return [
        ...out,
        ...colour("ground", "c0"),
        ...colour("cross", "c1"),
        ...stated(field, "cross", "style", ["style"]),
        ...colour("outline", "c2"),
      ];
    case "border":
      return [...out, ...colour("ground", "c0"), ...colour("border", "c1")];
    case undefined:
      return out;
  }
}

/** The bands of a field, as far as a text or a spec gives them. */
export type Bands = Extract<Field, { layout: "bands" }> | null;

/** The bands that a phrase describes; null where it describes no bands. */
export function fieldMeant(features: Features): Bands {
  if (features["layout"] !== "bands") return null;
  const list: Colour[] = [];
  for (let i = 0; i < 5; i++) {
    const slot = features[`c${i}`];
    if (typeof slot === "object") list.push(slot["colour"] as Colour);
  }
  const direction = features["direction"];
  if (direction !== "horizontal" && direction !== "vertical" && direction !== "rising" && direction !== "falling")
    return null;
  return { layout: "bands", direction, colours: list, doubled: null };
}

/** The bands that a phrase like "the white band" or "the top band" can mean. */
function bandsMeant(ref: Features, field: Bands): number[] {
  if (field === null) return [];
  const all = [...field.colours.keys()];
  if (ref["by"] === "colour") return all.filter((i) => field.colours[i] === ref["colour"]);
  const ordinal = ["first", "second", "third", "fourth"].indexOf(word(ref["position"]));
  return all.filter((i) => bandPosition(field, i) === ref["position"] || i === ordinal);
}

const word = (value: Features[string] | undefined): string => (typeof value === "string" ? value : "unknown");

/** `actual`: the band where the charge really stands, which wins where a phrase can mean several. */
export function chargeFacts(charge: Phrase, subject: string, field: Bands, actual: number | null): StatedFact[] {
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
    const band =
      actual !== null && meant.includes(actual) ? actual : meant.length === 1 ? (meant[0] as number) : word(ref[name]);
    out.push(...stated(charge, subject, "place", ["ref", name], `band ${band}`));
  } else if (features["place"] === "on") {
    out.push(...stated(charge, subject, "place", ["bearer"], `on ${word(features["bearer"])}`));
  } else if (features["place"] !== "band") out.push(...plain("place"));
  return out;
}

/** Each fact once: of equal ones the first. */
export function distinct<F extends Fact>(facts: readonly F[]): F[] {
  const seen = new Set<string>();
  return facts.filter((fact) => !seen.has(factKey(fact)) && seen.add(factKey(fact)));
}
