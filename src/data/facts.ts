/**
 * Atomic facts of a flag. A fact is what one phrase can say and be wrong about: the colour of one band, how many stars.
 *
 *   subject                            attributes
 *   field                              layout, direction, bandCount, proportions ("equal" or "band 1 double")
 *   band 0 …, quarter upper hoist …,
 *   ground, cross, outline, border     colour; of the cross also style
 *   charge 0 …                         kind, points (stars), count, arrangement (of several), size (not medium),
 *                                      colour, place ("center", "upper hoist", "band 1", "on canton" …)
 *
 * Every fact of `factsOf` can be seen in the picture, and every caption that we write states all of them.
 */
import type { Charge, Field, FlagSpec } from "./flagSpec.ts";

export type FactAttribute =
  | "layout"
  | "direction"
  | "bandCount"
  | "proportions"
  | "style"
  | "kind"
  | "points"
  | "count"
  | "arrangement"
  | "size"
  | "colour"
  | "place";

export interface Fact {
  readonly subject: string;
  readonly attribute: FactAttribute;
  readonly value: string | number;
}

export const quarterNames = ["upper hoist", "upper fly", "lower hoist", "lower fly"] as const;

/** Two facts are the same when their keys are. */
export const factKey = (fact: Fact): string => `${fact.subject}/${fact.attribute}/${fact.value}`;

/** All facts of a flag, field first, charges in the order of the spec. */
export function factsOf(spec: FlagSpec): Fact[] {
  return [...fieldFacts(spec.field), ...spec.charges.flatMap((charge, i) => chargeFacts(spec, charge, `charge ${i}`))];
}

function fieldFacts(field: Field): Fact[] {
  const colour = (subject: string, value: string): Fact => ({ subject, attribute: "colour", value });
  const about = (attribute: FactAttribute, value: string | number): Fact => ({ subject: "field", attribute, value });
  const layout = about("layout", field.layout);
  switch (field.layout) {
    case "plain":
      return [layout, colour("ground", field.colour)];
    case "bands":
      return [
        layout,
        about("direction", field.direction),
        about("bandCount", field.colours.length),
        about("proportions", proportions(field.doubled ?? -1)),
        ...field.colours.map((value, i) => colour(`band ${i}`, value)),
      ];
    case "quartered":
      return [layout, ...field.colours.map((value, i) => colour(`quarter ${quarterNames[i]}`, value))];
    case "cross": {
      const facts = [layout, colour("ground", field.ground), colour("cross", field.colour)];
      facts.push({ subject: "cross", attribute: "style", value: field.style });
      if (field.outline !== null) facts.push(colour("outline", field.outline));
      return facts;
    }
    case "border":
      return [layout, colour("ground", field.ground), colour("border", field.colour)];
  }
}

/** −1: all bands are equal. */
export const proportions = (doubled: number): string => (doubled < 0 ? "equal" : `band ${doubled} double`);

function chargeFacts(spec: FlagSpec, charge: Charge, subject: string): Fact[] {
  const about = (attribute: FactAttribute, value: string | number): Fact => ({ subject, attribute, value });
  const facts = [
    about("kind", charge.kind),
    about("count", charge.count),
    about("colour", charge.colour),
    about("place", placeName(spec, charge)),
  ];
  if (charge.kind === "star") facts.push(about("points", charge.points));
  if (charge.arrangement !== "none") facts.push(about("arrangement", charge.arrangement));
  if (charge.size !== "medium") facts.push(about("size", charge.size));
  return facts;
}

/** The name of a charge's place in the facts. */
function placeName(spec: FlagSpec, { place }: Charge): string {
  switch (place.at) {
    case "spot":
      return place.spot;
    case "band":
      return `band ${place.band}`;
    case "charge":
      return `on ${spec.charges[place.charge]?.kind ?? "nothing"}`;
  }
}

/**
 * All names that are true of a charge's place, the fact's own first: the middle of a middle band is the center of the
 * flag, and what stands on a canton stands where the canton does.
 */
export function placeNames(spec: FlagSpec, charge: Charge): string[] {
  const names = [placeName(spec, charge)];
  const { place } = charge;
  if (place.at === "charge") {
    const bearer = spec.charges[place.charge];
    if (bearer !== undefined) names.push(...placeNames(spec, bearer));
  } else if (place.at === "band" && spec.field.layout === "bands") {
    const { direction, colours, doubled } = spec.field;
    const n = colours.length;
    const ends = {
      horizontal: null,
      vertical: ["hoist", "fly"],
      rising: ["upper hoist", "lower fly"],
      falling: ["upper fly", "lower hoist"],
    }[direction];
    const middle = (n - 1) / 2;
    if (place.band === middle && (doubled === null || doubled === middle)) names.push("center");
    const end = place.band === 0 ? ends?.[0] : place.band === n - 1 ? ends?.[1] : undefined;
    if (end !== undefined) names.push(end);
  }
  return names;
}
