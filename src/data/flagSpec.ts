/**
 * FlagSpec: everything there is to know about a procedural flag, as plain JSON-able data.
 *
 * The renderer turns it into a picture, the caption grammar into a sentence, `factsOf` into a list of atomic facts; the
 * three agree because they read nothing else. "Hoist" is the side of the pole (left), "fly" the free side (right).
 */

/** Eleven colours, in the order of how often real flags use them. */
export const colours = [
  "red",
  "white",
  "blue",
  "green",
  "yellow",
  "black",
  "light blue",
  "orange",
  "maroon",
  "purple",
  "gray",
] as const;
export type Colour = (typeof colours)[number];

/** Colour in sRGB, 0 to 255. Means of what real flags use; the wear of the renderer varies them. */
export const palette: { readonly [C in Colour]: readonly [number, number, number] } = {
  red: [208, 22, 38],
  white: [255, 255, 255],
  blue: [14, 46, 140],
  green: [0, 122, 61],
  yellow: [252, 209, 22],
  black: [12, 12, 12],
  "light blue": [108, 180, 238],
  orange: [247, 127, 0],
  maroon: [110, 14, 40],
  purple: [112, 44, 160],
  gray: [142, 146, 150],
};

export type BandDirection = "horizontal" | "vertical" | "rising" | "falling";
export type CrossStyle = "nordic" | "centered" | "diagonal";

/** What covers the whole flag. Band 0 is the top, hoist-side or uppermost one. */
export type Field =
  | { readonly layout: "plain"; readonly colour: Colour }
  | {
      readonly layout: "bands";
      /** Diagonal bands rise (lower hoist to upper fly) or fall (upper hoist to lower fly). */
      readonly direction: BandDirection;
      readonly colours: readonly Colour[];
      /** Index of the band that is twice as wide as each of the others; null: all are equal. */
      readonly doubled: number | null;
    }
  /** Upper hoist, upper fly, lower hoist, lower fly. */
  | { readonly layout: "quartered"; readonly colours: readonly [Colour, Colour, Colour, Colour] }
  | {
      readonly layout: "cross";
      readonly style: CrossStyle;
      readonly ground: Colour;
      readonly colour: Colour;
      readonly outline: Colour | null;
    }
  | { readonly layout: "border"; readonly ground: Colour; readonly colour: Colour };

export const spots = ["center", "hoist", "fly", "upper hoist", "upper fly", "lower hoist", "lower fly"] as const;
export type Spot = (typeof spots)[number];

/** Where a charge stands: at a spot of the flag, in the middle of a band, or on another charge (by its index). */
export type Place =
  | { readonly at: "spot"; readonly spot: Spot }
  | { readonly at: "band"; readonly band: number }
  | { readonly at: "charge"; readonly charge: number };

export const chargeKinds = [
  "star",
  "crescent",
  "disk",
  "ring",
  "sun",
  "diamond",
  "cross",
  "triangle",
  "canton",
] as const;
export type ChargeKind = (typeof chargeKinds)[number];
export type ChargeSize = "small" | "medium" | "large";
/** How several equal charges stand together; "none" for a single one. */
export type Arrangement = "none" | "row" | "column" | "circle";

interface ChargeBase {
  readonly colour: Colour;
  readonly count: number;
  readonly arrangement: Arrangement;
  readonly size: ChargeSize;
  readonly place: Place;
}

/** A triangle stands at the spot "hoist", a canton at "upper hoist"; both are always single and of medium size. */
export type Charge =
  | (ChargeBase & { readonly kind: "star"; readonly points: 5 | 6 | 7 | 8 })
  | (ChargeBase & { readonly kind: Exclude<ChargeKind, "star"> });

/** At most three charges in all. A charge that stands on another comes after it. */
export interface FlagSpec {
  readonly field: Field;
  readonly charges: readonly Charge[];
}

/** Charges that can carry another one: on them, or for a crescent between its horns. */
export const bearers: readonly ChargeKind[] = ["canton", "triangle", "disk", "diamond", "crescent"];

/** The share of the flag's breadth at which each band begins, and 1 at the end: n + 1 numbers. */
export function bandEdges(field: Extract<Field, { layout: "bands" }>): number[] {
  const parts = field.colours.map((_, i) => (i === field.doubled ? 2 : 1));
  const total = parts.reduce((a, b) => a + b, 0);
  const edges = [0];
  let sum = 0;
  for (const part of parts) edges.push((sum += part) / total);
  return edges;
}

const tooClose: readonly (readonly [Colour, Colour])[] = [
  ["red", "maroon"],
  ["red", "orange"],
  ["orange", "yellow"],
  ["blue", "purple"],
  ["blue", "black"],
  ["maroon", "black"],
  ["maroon", "purple"],
  ["purple", "black"],
  ["light blue", "gray"],
  ["maroon", "blue"],
];
const faint: readonly (readonly [Colour, Colour])[] = [
  ["white", "yellow"],
  ["white", "light blue"],
  ["white", "gray"],
  ["green", "gray"],
  ["orange", "gray"],
  ["purple", "gray"],
  ["green", "blue"],
  ["red", "purple"],
  ["green", "black"],
];

/** Whether two areas of these colours can lie side by side and be told apart, also in a worn picture. */
export function distinguishable(a: Colour, b: Colour): boolean {
  return a !== b && !tooClose.some(([c, d]) => (a === c && b === d) || (a === d && b === c));
}

/** Whether a small thing of one colour stands out on the other. Stricter than `distinguishable`. */
export function contrasts(a: Colour, b: Colour): boolean {
  return distinguishable(a, b) && !faint.some(([c, d]) => (a === c && b === d) || (a === d && b === c));
}
