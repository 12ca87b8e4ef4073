/**
 * Captions of flags. A caption is planned (which charge comes when, how a band is named), then written by the grammar.
 * One flag has very many captions: orders, phrasings and synonyms are free, and they must agree with each other within
 * one text. That is what a decoder that writes several words at once gets wrong.
 */
import { philox, randomStream, type RandomStream } from "../tensor/philox.ts";
import { captionGrammar, joinWords } from "./captionGrammar.ts";
import { bearers, type Charge, type Field, type FlagSpec } from "./flagSpec.ts";
import { write, type Features } from "./grammar.ts";

/** A caption that states every fact of the flag: a pure function of (spec, seed). Lower case, ends with a period. */
export function writeCaption(spec: FlagSpec, seed: number): string {
  return joinWords(writePlan(planCaption(spec, seed), seed)).text;
}

/** The words of a plan. Plans that differ in one feature are worded alike under one seed. Throws when nothing can say it. */
export function writePlan(plan: Features, seed: number): string[] {
  const words = write(captionGrammar, "caption", plan, seed);
  if (words === null) throw new Error(`flagCaption: the grammar has no words for ${JSON.stringify(plan)}`);
  return words;
}

/** What a caption says, in the features of captionGrammar.ts. */
export function planCaption(spec: FlagSpec, seed: number): Features {
  const random = randomStream(seed, 0x706c616e);
  const top: { charge: Charge; index: number; features: Features }[] = [];
  const later: Features[] = [];
  for (const [index, charge] of spec.charges.entries()) {
    if (charge.place.at !== "charge") {
      top.push({
        charge,
        index,
        features: { ...chargeFeatures(charge), ...placeFeatures(spec.field, charge, random), bears: 0 },
      });
    }
  }
  for (const charge of spec.charges) {
    if (charge.place.at !== "charge") continue;
    const on = charge.place.charge;
    const bearer = top.find(({ index }) => index === on);
    if (bearer === undefined || !bearers.includes(bearer.charge.kind)) {
      throw new RangeError(
        `flagCaption: a ${charge.kind} stands on charge ${on}, which must be one of ${bearers.join(", ")} on the field`,
      );
    }
    if (bearer.features["bears"] === 0 && random.chance(0.75)) {
      bearer.features = { ...bearer.features, bears: 1, inner: chargeFeatures(charge) };
    } else later.push({ ...chargeFeatures(charge), place: "on", bearer: bearer.charge.kind, bears: 0 });
  }
  // What stands on a charge is told after it; the rest in any order.
  const told = [...random.shuffle(top).map(({ features }) => features), ...later];
  const plan: Record<string, Features | number> = { m: told.length, field: fieldFeatures(spec.field, random) };
  for (const [i, features] of told.entries()) plan[["a", "b", "c"][i] as string] = features;
  return plan;
}

/** What a caption says of the field. `random` settles whether quarters of two colours are told in pairs. */
export function fieldFeatures(field: Field, random: Pick<RandomStream, "chance">): Features {
  const colour = (value: string): Features => ({ colour: value });
  const numbered = (values: readonly string[]): Features =>
    Object.fromEntries(values.map((value, i) => [`c${i}`, colour(value)]));
  const { layout } = field;
  switch (layout) {
    case "plain":
      return { layout, ...numbered([field.colour]) };
    case "bands":
      return {
        layout,
        direction: field.direction,
        doubled: field.doubled ?? -1,
        bandCount: field.colours.length,
        listed: field.colours.length,
        ...numbered(field.colours),
      };
    case "quartered": {
      const [a, b, c, d] = field.colours;
      if (a === d && b === c && random.chance(0.5)) return { layout, paired: "yes", ...numbered([a, b]) };
      return { layout, paired: "no", ...numbered(field.colours) };
    }
    case "cross":
      return {
        layout,
        style: field.style,
        outlined: field.outline === null ? "no" : "yes",
        ...numbered([field.ground, field.colour, ...(field.outline === null ? [] : [field.outline])]),
      };
    case "border":
      return { layout, ...numbered([field.ground, field.colour]) };
  }
}

/** What a caption says of a charge, without its place. */
export function chargeFeatures(charge: Charge): Features {
  const { kind, count, arrangement, size, colour } = charge;
  return {
    kind,
    points: kind === "star" ? charge.points : 0,
    number: count === 1 ? "one" : "many",
    count,
    arrangement,
    size,
    colour,
  };
}

function placeFeatures(field: Field, { place }: Charge, random: RandomStream): Features {
  if (place.at === "spot") return { place: place.spot };
  if (place.at !== "band" || field.layout !== "bands")
    throw new RangeError("flagCaption: a charge in a band needs a field of bands");
  const colour = field.colours[place.band] as string;
  const unique = field.colours.filter((other) => other === colour).length === 1;
  // Both draws are made always, so that plans of similar flags stay similar.
  const byColour = random.chance(0.6);
  const ref =
    unique && byColour ? { by: "colour", colour } : { by: "position", position: bandPosition(field, place.band) };
  return { place: "band", ref };
}

/** The word of the grammar for a band's position. */
export function bandPosition(field: Extract<Field, { layout: "bands" }>, band: number): string {
  const n = field.colours.length;
  const upright = field.direction === "vertical";
  if (band === 0) return upright ? "hoist side" : "top";
  if (band === n - 1) return upright ? "fly side" : "bottom";
  if (band === (n - 1) / 2) return "middle";
  return ["top", "second", "third", "fourth"][band] as string;
}

/** A seed for the caption of (seed, index, phrasing), for callers that number their captions. */
export function captionSeed(seed: number, index: number, phrasing: number): number {
  const [a] = philox([index >>> 0, phrasing >>> 0, 0, 2], [seed >>> 0, Math.floor(seed / 0x100000000) >>> 0]);
  return a;
}
