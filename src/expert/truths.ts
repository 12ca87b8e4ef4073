/**
 * Everything true that a caption can say of a flag, as plans of the caption grammar: charges in any order, borne or in a
 * clause of their own, each place under each of its names, a band by its colour or its position.
 *
 * A caption may leave facts out. It leaves out only those that it is allowed to, so that what a draft has right stays.
 */
import { factKey, factsOf, placeNames, type Fact } from "../data/facts.ts";
import { bandPosition, chargeFeatures, fieldFeatures } from "../data/flagCaption.ts";
import { bearers, type Charge, type Field, type FlagSpec } from "../data/flagSpec.ts";
import type { Sayable } from "./nearest.ts";

/** Words that only ever say "with no emblem". The grammar knows no feature for that, so plans cannot keep it out. */
export const denials: ReadonlySet<string> = new Set(["no", "without"]);

type Plan = Record<string, string | number | readonly Sayable[]>;

/** The plans of all true captions of a flag that leave out no facts but `optional` ones. Deterministic in order, too. */
export function truePlans(spec: FlagSpec, optional: readonly Fact[]): Sayable[] {
  const mayOmit = new Set(optional.map(factKey));
  const field = fieldPlans(spec.field, mayOmit);
  const charges = spec.charges.map((_, i) => chargeOf(spec, i, mayOmit));
  return tellings(spec, charges).map((told) => {
    const plan: Plan = { m: told.length, field };
    for (const [slot, charge] of told.entries()) plan[["a", "b", "c"][slot] as string] = charge;
    return plan;
  });
}

/** Features with each nested phrase as a list of one. */
function asPlan(features: ReturnType<typeof chargeFeatures>): Plan {
  return Object.fromEntries(
    Object.entries(features).map(([name, value]) => [name, typeof value === "object" ? [asPlan(value)] : value]),
  );
}

function fieldPlans(field: Field, mayOmit: ReadonlySet<string>): Plan[] {
  // Quarters of two colours can be told in pairs; of any other field both are the same.
  const plans = [true, false].map((paired) => asPlan(fieldFeatures(field, { chance: () => paired })));
  const distinct = JSON.stringify(plans[0]) === JSON.stringify(plans[1]) ? plans.slice(0, 1) : plans;
  const { outline } = field as { outline?: string | null };
  if (!outline || !mayOmit.has(factKey({ subject: "outline", attribute: "colour", value: outline }))) return distinct;
  return distinct.flatMap((plan) => [plan, { ...plan, outlined: "no" }]);
}

/** The ways to tell one charge. */
interface Tellable {
  readonly optional: boolean;
  /** Without a place, as a charge that another one bears. */
  readonly borne: readonly Plan[];
  /** With a place. Bearing nothing. */
  readonly placed: readonly Plan[];
}

function chargeOf(spec: FlagSpec, index: number, mayOmit: ReadonlySet<string>): Tellable {
  const charge = spec.charges[index] as Charge;
  const subject = `charge ${index}`;
  const facts = factsOf(spec).filter((fact) => fact.subject === subject);
  const omissible = (fact: Fact): boolean => mayOmit.has(factKey(fact));
  let borne = [asPlan(chargeFeatures(charge))];
  const unsaid: [Fact["attribute"], Plan][] = [
    ["size", { size: "medium" }],
    ["arrangement", { arrangement: "none" }],
  ];
  for (const [attribute, over] of unsaid) {
    if (facts.some((fact) => fact.attribute === attribute && omissible(fact)))
      borne = borne.flatMap((plan) => [plan, { ...plan, ...over }]);
  }
  const places = placePlans(spec, charge);
  return {
    optional: facts.every(omissible),
    borne,
    placed: borne.flatMap((plan) => places.map((place) => ({ ...plan, ...place, bears: 0 }))),
  };
}

function placePlans(spec: FlagSpec, charge: Charge): Plan[] {
  return placeNames(spec, charge).map((name): Plan => {
    const [, kind, value] = /^(band|on) (.+)$/.exec(name) ?? [];
    if (kind === "on") return { place: "on", bearer: value as string };
    if (kind === "band") return { place: "band", ref: bandRefs(spec.field, Number(value), charge.place.at === "band") };
    return { place: name };
  });
}

/** The names of a band. A colour that several bands have names the one where the charge itself stands. */
function bandRefs(field: Field, band: number, standsThere: boolean): Plan[] {
  if (field.layout !== "bands") return [];
  const colour = field.colours[band] as string;
  const unique = field.colours.filter((other) => other === colour).length === 1;
  const ordinal = ["", "second", "third", "fourth"][band] ?? "";
  const positions = new Set([bandPosition(field, band), ...(ordinal === "" ? [] : [ordinal])]);
  return [
    ...(unique || standsThere ? [{ by: "colour", colour }] : []),
    ...[...positions].map((position) => ({ by: "position", position })),
  ];
}

/** Which charges are told in which order, and which of them are told as borne by another. */
function tellings(spec: FlagSpec, charges: readonly Tellable[]): (readonly Plan[])[][] {
  const bearerOf = (i: number): number => {
    const { place } = spec.charges[i] as Charge;
    return place.at === "charge" && bearers.includes(spec.charges[place.charge]!.kind) ? place.charge : -1;
  };
  const out: (readonly Plan[])[][] = [];
  // role[i]: left out, told by itself, or told as borne.
  const assign = (roles: readonly ("out" | "own" | "borne")[]): void => {
    const i = roles.length;
    if (i < charges.length) {
      const bearer = bearerOf(i);
      if (charges[i]!.optional) assign([...roles, "out"]);
      assign([...roles, "own"]);
      const taken = roles.some((role, k) => role === "borne" && bearerOf(k) === bearer);
      if (bearer >= 0 && bearer < i && roles[bearer] === "own" && !taken) assign([...roles, "borne"]);
      return;
    }
    const clauses = charges.flatMap(({ placed }, i) => {
      if (roles[i] !== "own") return [];
      const inner = roles.findIndex((role, k) => role === "borne" && bearerOf(k) === i);
      return [inner < 0 ? placed : placed.map((plan) => ({ ...plan, bears: 1, inner: charges[inner]!.borne }))];
    });
    out.push(...permutations(clauses));
  };
  assign([]);
  return out;
}

function permutations<T>(items: readonly T[]): T[][] {
  if (items.length === 0) return [[]];
  return items.flatMap((item, i) => permutations(items.toSpliced(i, 1)).map((rest) => [item, ...rest]));
}
