/**
 * Procedural flags: a pure function of (seed, index). Frequencies follow the flags of the world loosely: tricolours, red,
 * white and blue are common; rare things are a little more common than in life, so that a small model meets them.
 *
 * Nothing is invisible: bands beside each other differ, and a charge contrasts with every colour under its outline. This
 * is checked on the geometry, by looking at the field where the charge would lie.
 */
import { randomStream, type RandomStream } from "../tensor/philox.ts";
import {
  cantonHeight,
  cantonWidth,
  fieldColourAt,
  fieldLayers,
  marksOf,
  triangleDepth,
  type Layer,
} from "./flagGeometry.ts";
import {
  bearers,
  colours,
  contrasts,
  distinguishable,
  spots,
  type Arrangement,
  type BandDirection,
  type Charge,
  type ChargeKind,
  type Colour,
  type Field,
  type FlagSpec,
  type Place,
} from "./flagSpec.ts";

export interface GeneratorOptions {
  /** 0: fields in six colours. 1: also one single charge. 2 (default): everything. */
  readonly difficulty?: 0 | 1 | 2;
}

const colourWeights: readonly (readonly [Colour, number])[] = [
  ["red", 24],
  ["white", 21],
  ["blue", 16],
  ["green", 13],
  ["yellow", 12],
  ["black", 6],
  ["light blue", 4],
  ["orange", 3],
  ["maroon", 2],
  ["purple", 1.5],
  ["gray", 1.5],
];
const kindWeights: readonly (readonly [ChargeKind, number])[] = [
  ["star", 32],
  ["canton", 14],
  ["triangle", 14],
  ["crescent", 11],
  ["disk", 9],
  ["sun", 7],
  ["diamond", 5],
  ["cross", 5],
  ["ring", 4],
];
const nominalAspect = 1.5;

/** The flag of (seed, index). The same two numbers and difficulty give the same flag for ever. */
export function generateFlag(seed: number, index: number, options: GeneratorOptions = {}): FlagSpec {
  const difficulty = options.difficulty ?? 2;
  const random = randomStream(seed, 0x666c6167, index);
  // A draw can end with fewer charges than wished; the few fields that hold none are drawn again.
  for (let attempt = 0; ; attempt++) {
    const draw = random.fork(attempt);
    const field = drawField(draw, difficulty);
    const wished = difficulty === 0 ? 0 : difficulty === 1 ? 1 : chargeCount(draw, field);
    const charges = drawCharges(draw, field, wished, difficulty);
    if (charges.length === wished || attempt === 7) return { field, charges };
  }
}

function chargeCount(random: RandomStream, field: Field): number {
  const none = field.layout === "plain" ? 0.05 : field.layout === "cross" ? 0.7 : 0.26;
  return random.weighted([
    [0, none],
    [1, 0.42],
    [2, 0.24],
    [3, 0.1],
  ]);
}

function drawColour(
  random: RandomStream,
  difficulty: number,
  allowed: (colour: Colour) => boolean = () => true,
): Colour {
  const open = colourWeights.slice(0, difficulty === 0 ? 6 : 11).filter(([colour]) => allowed(colour));
  return random.weighted(open);
}

function drawField(random: RandomStream, difficulty: number): Field {
  const colour = (...beside: Colour[]): Colour =>
    drawColour(random, difficulty, (c) => beside.every((other) => distinguishable(c, other)));
  const layout = random.weighted<Field["layout"]>([
    ["bands", 58],
    ["plain", difficulty === 0 ? 10 : 20],
    ["cross", 11],
    ["quartered", 5],
    ["border", 5],
  ]);
  switch (layout) {
    case "plain":
      return { layout, colour: colour() };
    case "bands":
      return drawBands(random, difficulty);
    case "quartered": {
      const first = colour();
      const second = colour(first);
      if (random.chance(0.6)) return { layout, colours: [first, second, second, first] };
      const third = colour(first);
      return { layout, colours: [first, second, third, colour(second, third)] };
    }
    case "cross": {
      const ground = colour();
      const cross = colour(ground);
      const style = random.weighted<"nordic" | "centered" | "diagonal">([
        ["nordic", 5],
        ["centered", 3],
        ["diagonal", 3],
      ]);
      const outline = difficulty > 0 && random.chance(0.4) ? colour(ground, cross) : null;
      return { layout, style, ground, colour: cross, outline };
    }
    case "border": {
      const ground = colour();
      return { layout, ground, colour: colour(ground) };
    }
  }
}

function drawBands(random: RandomStream, difficulty: number): Field {
  const direction = random.weighted<BandDirection>([
    ["horizontal", 62],
    ["vertical", 26],
    ["rising", 6],
    ["falling", 6],
  ]);
  const slanted = direction === "rising" || direction === "falling";
  const n = random.weighted<number>(
    slanted
      ? [
          [2, 6],
          [3, 4],
        ]
      : direction === "vertical"
        ? [
            [2, 15],
            [3, 70],
            [4, 5],
            [5, 10],
          ]
        : [
            [2, 22],
            [3, 56],
            [4, 8],
            [5, 14],
          ],
  );
  const list: Colour[] = [];
  // Half of the flags of three or five bands are symmetric, as Austria's or Thailand's.
  const symmetric = n % 2 === 1 && random.chance(n === 5 ? 0.6 : 0.22);
  for (let i = 0; i < n; i++) {
    const mirrored = symmetric && i > n / 2 ? list[n - 1 - i] : undefined;
    if (mirrored !== undefined) {
      list.push(mirrored);
      continue;
    }
    const before = list[i - 1];
    const fresh = random.chance(0.85);
    list.push(
      drawColour(
        random,
        difficulty,
        (c) => (before === undefined || distinguishable(c, before)) && !(fresh && list.includes(c)),
      ),
    );
  }
  const doubled =
    !slanted && n < 5 && random.chance(0.16)
      ? n === 3 && random.chance(0.6)
        ? 1
        : random.int(n)
      : !slanted && n === 5 && random.chance(0.25)
        ? 2
        : null;
  return { layout: "bands", direction, colours: list, doubled };
}

function drawCharges(random: RandomStream, field: Field, wished: number, difficulty: number): Charge[] {
  const layers = fieldLayers(field, nominalAspect);
  let charges: Charge[] = [];
  for (let attempt = 0; attempt < 24 && charges.length < wished; attempt++) {
    const charge = drawCharge(random, field, charges, difficulty);
    if (charge === null) continue;
    const next = [...charges, charge];
    if (fits({ field, charges: next }, layers)) charges = next;
  }
  return charges;
}

function drawCharge(random: RandomStream, field: Field, before: readonly Charge[], difficulty: number): Charge | null {
  const kind = random.weighted(kindWeights);
  if (kind === "canton" || kind === "triangle") {
    // These two lie under everything else and once at most.
    if (before.length > 0) return null;
    if (
      kind === "triangle" &&
      (field.layout !== "bands" || field.direction !== "horizontal") &&
      field.layout !== "plain"
    )
      return null;
    if (kind === "canton" && (field.layout !== "bands" || field.direction !== "horizontal") && field.layout !== "plain")
      return null;
    const spot = kind === "canton" ? "upper hoist" : "hoist";
    return {
      kind,
      colour: drawColour(random, difficulty),
      count: 1,
      arrangement: "none",
      size: "medium",
      place: { at: "spot", spot },
    };
  }
  const place = drawPlace(random, field, before);
  // Only stars are small enough to stand on a charge and still be told apart, besides a few simple shapes.
  if (place.at === "charge" && !["star", "crescent", "cross", "disk", "sun"].includes(kind)) return null;
  const bearer = place.at === "charge" ? before[place.charge] : undefined;
  if (bearer?.kind === "crescent" && kind !== "star") return null;
  if (bearer?.kind === kind) return null;
  const many =
    difficulty === 2 &&
    ["star", "diamond", "disk", "crescent"].includes(kind) &&
    random.chance(kind === "star" ? 0.38 : 0.12) &&
    (bearer === undefined || bearer.kind === "canton" || (bearer.kind === "triangle" && kind === "star"));
  const count = many
    ? random.weighted<number>([
        [2, 4],
        [3, 5],
        [4, 3],
        [5, 2],
        [6, 1],
      ])
    : 1;
  const arrangement = count === 1 ? "none" : drawArrangement(random, field, place, count);
  if (arrangement === null) return null;
  if (bearer?.kind === "triangle" && count > 3) return null;
  const central = place.at === "spot" && place.spot === "center";
  const size =
    central && count === 1 && difficulty > 0
      ? random.weighted<"small" | "medium" | "large">([
          ["small", 1],
          ["medium", 5],
          ["large", 2],
        ])
      : "medium";
  const base = { colour: drawColour(random, difficulty), count, arrangement, size, place };
  if (kind !== "star") return { kind, ...base };
  const points = random.weighted<5 | 6 | 7 | 8>([
    [5, 74],
    [6, 10],
    [7, 6],
    [8, 10],
  ]);
  // On a small charge or in a small copy the points of a star cannot be counted; five is what people expect.
  return { kind, points: count > 2 || place.at === "charge" ? 5 : points, ...base };
}

function drawArrangement(random: RandomStream, field: Field, place: Place, count: number): Arrangement | null {
  if (place.at === "band" && field.layout === "bands") {
    if (field.direction === "horizontal") return "row";
    return field.direction === "vertical" ? "column" : null;
  }
  const options: (readonly [Arrangement, number])[] = [
    ["row", count > 4 ? 0.5 : 3],
    ["column", count > 4 ? 0.5 : 2],
  ];
  if (count >= 4) options.push(["circle", 6]);
  return random.weighted(options);
}

function drawPlace(random: RandomStream, field: Field, before: readonly Charge[]): Place {
  const options: (readonly [Place, number])[] = [];
  for (const [index, { kind, count }] of before.entries()) {
    const taken = before.some(({ place }) => place.at === "charge" && place.charge === index);
    if (bearers.includes(kind) && count === 1 && !taken) options.push([{ at: "charge", charge: index }, 30]);
  }
  if (field.layout === "bands") {
    // The middle of the flag is the middle of a middle band too; bands come first, so that the two cannot be confused.
    const slanted = field.direction === "rising" || field.direction === "falling";
    for (const band of field.colours.keys())
      options.push([{ at: "band", band }, band === (field.colours.length - 1) / 2 ? 8 : 3]);
    if (field.direction === "horizontal") {
      for (const spot of spots) {
        // Of more than two bands a corner is mostly one band, and would be called that.
        if (field.colours.length === 2) options.push([{ at: "spot", spot }, spot === "center" ? 8 : 0.8]);
      }
    }
    if (slanted && field.colours.length === 2) options.push([{ at: "spot", spot: "center" }, 4]);
  } else {
    for (const spot of spots) {
      const corner = spot.includes(" ");
      // A side would lie across two quarters, and the center of a Nordic cross is not where its arms meet.
      if (field.layout === "quartered" && !corner && spot !== "center") continue;
      if (field.layout === "cross" && !corner && (field.style === "nordic" || spot !== "center")) continue;
      options.push([{ at: "spot", spot }, spot === "center" ? 12 : corner ? 2 : 1]);
    }
  }
  return random.weighted(options);
}

type Box = readonly [number, number, number, number];

function boxOf(spec: FlagSpec, index: number): Box {
  const charge = spec.charges[index] as Charge;
  if (charge.kind === "canton") return [0, 0, cantonWidth * nominalAspect, cantonHeight];
  if (charge.kind === "triangle") return [0, 0, triangleDepth * nominalAspect, 1];
  const marks = marksOf(spec, index, nominalAspect);
  return [
    Math.min(...marks.map((m) => m.x - m.radius)),
    Math.min(...marks.map((m) => m.y - m.radius)),
    Math.max(...marks.map((m) => m.x + m.radius)),
    Math.max(...marks.map((m) => m.y + m.radius)),
  ];
}

/** Whether the last charge is big enough to be seen, lies clear of the others, and contrasts with what is under it. */
function fits(spec: FlagSpec, layers: readonly Layer[]): boolean {
  const last = spec.charges.length - 1;
  const charge = spec.charges[last] as Charge;
  const box = boxOf(spec, last);
  if (marksOf(spec, last, nominalAspect).some(({ radius }) => radius < 0.048)) return false;
  for (let other = 0; other < last; other++) {
    if (charge.place.at === "charge" && charge.place.charge === other) continue;
    const b = boxOf(spec, other);
    if (box[0] < b[2] && b[0] < box[2] && box[1] < b[3] && b[1] < box[3]) return false;
  }
  const bearer = charge.place.at === "charge" ? spec.charges[charge.place.charge] : undefined;
  if (bearer !== undefined && bearer.kind !== "crescent") return contrasts(charge.colour, bearer.colour);
  const under = coloursUnder(spec, last, layers);
  // In a corner of a cross a charge keeps clear of its arms.
  if (spec.field.layout === "cross" && charge.place.at === "spot" && charge.place.spot !== "center" && under.length > 1)
    return false;
  return under.every((colour) =>
    large(charge) ? distinguishable(charge.colour, colour) : contrasts(charge.colour, colour),
  );
}

const large = (charge: Charge): boolean => charge.kind === "canton" || charge.kind === "triangle";

function coloursUnder(spec: FlagSpec, index: number, layers: readonly Layer[]): Colour[] {
  const found = new Set<Colour>();
  const charge = spec.charges[index] as Charge;
  if (large(charge)) {
    const [x0, y0, x1, y1] = boxOf(spec, index);
    for (let i = 1; i < 12; i++) {
      for (let j = 1; j < 12; j++)
        found.add(fieldColourAt(layers, x0 + ((x1 - x0) * i) / 11.5, y0 + ((y1 - y0) * j) / 12));
    }
  } else {
    for (const { x, y, radius } of marksOf(spec, index, nominalAspect)) {
      for (const share of [0, 0.5, 1]) {
        for (let i = 0; i < 12; i++) {
          const angle = (i * Math.PI) / 6;
          found.add(fieldColourAt(layers, x + share * radius * Math.cos(angle), y + share * radius * Math.sin(angle)));
        }
      }
    }
  }
  return colours.filter((colour) => found.has(colour));
}
