/**
 * Where the parts of a flag lie: a FlagSpec as a stack of coloured shapes, and the marks that its charges make.
 *
 * Coordinates: x from 0 (hoist) to `aspect` (fly), y from 0 (top) to 1, so that a circle is round. Lengths of charges
 * shrink with narrow flags (`unit`), so what fits at 3:2 fits at every aspect.
 *
 * A shape is a signed distance, negative inside, in the same unit; it need only be exact near the outline, where the
 * renderer turns it into coverage.
 */
import { bandEdges, type Charge, type Colour, type Field, type FlagSpec } from "./flagSpec.ts";

export type SignedDistance = (x: number, y: number) => number;

export interface Layer {
  readonly colour: Colour;
  readonly distance: SignedDistance;
  /** x0, y0, x1, y1: there is nothing of the shape outside. */
  readonly box: readonly [number, number, number, number];
}

/** One drawn instance of a charge: centre and radius. */
export interface Mark {
  readonly x: number;
  readonly y: number;
  readonly radius: number;
}

/** Room for a charge: centre, the radius of a single one, and the width and height open to several. */
interface Room extends Mark {
  readonly width: number;
  readonly height: number;
}

export const cantonWidth = 0.42;
export const cantonHeight = 0.5;
export const triangleDepth = 0.42;
const crossHalfWidth = 0.085;
const outlineWidth = 0.045;
const nordicCentre = 0.36;
const borderWidth = 0.12;

const unitOf = (aspect: number): number => Math.min(1, aspect / 1.5);

/** The layers of the field, back to front. The first covers everything. */
export function fieldLayers(field: Field, aspect: number): Layer[] {
  const box = [0, 0, aspect, 1] as const;
  const everywhere = (colour: Colour): Layer => ({ colour, distance: () => -1, box });
  const unit = unitOf(aspect);
  switch (field.layout) {
    case "plain":
      return [everywhere(field.colour)];
    case "bands": {
      const along = bandCoordinate(field.direction, aspect);
      const edges = bandEdges(field);
      return field.colours.map((colour, i) => {
        const edge = edges[i] as number;
        if (i === 0) return everywhere(colour);
        return { colour, box, distance: (x, y) => (edge - along.at(x, y)) * along.length };
      });
    }
    case "quartered": {
      const [upperHoist, upperFly, lowerHoist, lowerFly] = field.colours;
      const half = aspect / 2;
      return [
        everywhere(upperHoist),
        { colour: upperFly, box, distance: (x) => half - x },
        { colour: lowerHoist, box: [0, 0.4, aspect, 1], distance: (_, y) => 0.5 - y },
        { colour: lowerFly, box: [half - 0.1, 0.4, aspect, 1], distance: (x, y) => Math.max(0.5 - y, half - x) },
      ];
    }
    case "cross": {
      const half = crossHalfWidth * unit;
      const layers = [everywhere(field.ground)];
      const cross = (colour: Colour, halfWidth: number): Layer => ({
        colour,
        box,
        distance: crossDistance(field.style, aspect, halfWidth),
      });
      if (field.outline !== null) layers.push(cross(field.outline, half + outlineWidth * unit));
      layers.push(cross(field.colour, half));
      return layers;
    }
    case "border": {
      const width = borderWidth * unit;
      const inside = (x: number, y: number): number =>
        Math.max(width - x, x - aspect + width, width - y, y - 1 + width);
      return [everywhere(field.colour), { colour: field.ground, box, distance: inside }];
    }
  }
}

/** A coordinate that runs from 0 to 1 across the bands, and the length that it covers. */
function bandCoordinate(
  direction: Extract<Field, { layout: "bands" }>["direction"],
  aspect: number,
): { at: SignedDistance; length: number } {
  const slant = 2 / Math.hypot(1 / aspect, 1);
  switch (direction) {
    case "horizontal":
      return { at: (_, y) => y, length: 1 };
    case "vertical":
      return { at: (x) => x / aspect, length: aspect };
    case "rising":
      return { at: (x, y) => (x / aspect + y) / 2, length: slant };
    case "falling":
      return { at: (x, y) => (1 - x / aspect + y) / 2, length: slant };
  }
}

function crossDistance(
  style: Extract<Field, { layout: "cross" }>["style"],
  aspect: number,
  half: number,
): SignedDistance {
  if (style === "diagonal") {
    const length = Math.hypot(aspect, 1);
    return (x, y) => Math.min(Math.abs(x - y * aspect), Math.abs(x - (1 - y) * aspect)) / length - half;
  }
  const centre = (style === "nordic" ? nordicCentre : 0.5) * aspect;
  return (x, y) => Math.min(Math.abs(x - centre), Math.abs(y - 0.5)) - half;
}

/** The colour of the field at a point, without its charges. */
export function fieldColourAt(layers: readonly Layer[], x: number, y: number): Colour {
  let colour = (layers[0] as Layer).colour;
  for (const layer of layers) if (layer.distance(x, y) < 0) colour = layer.colour;
  return colour;
}

function roomOf(spec: FlagSpec, charge: Charge, aspect: number): Room {
  const unit = unitOf(aspect);
  const room = (x: number, y: number, radius: number, width: number, height: number): Room => ({
    x,
    y,
    radius,
    width,
    height,
  });
  const place = charge.place;
  if (place.at === "charge") return roomOnCharge(spec, place.charge, aspect);
  if (place.at === "band") return roomInBand(spec.field, place.band, aspect);
  const corner = (x: number, y: number): Room => room(x * aspect, y, 0.15 * unit, 0.32 * aspect, 0.4);
  const side = (x: number): Room => room(x * aspect, 0.5, 0.17 * unit, 0.32 * aspect, 0.8);
  switch (place.spot) {
    case "center":
      return room(aspect / 2, 0.5, 0.31 * unit, 0.7 * aspect, 0.8);
    case "hoist":
      return side(0.2);
    case "fly":
      return side(0.8);
    case "upper hoist":
      return corner(0.21, 0.25);
    case "upper fly":
      return corner(0.79, 0.25);
    case "lower hoist":
      return corner(0.21, 0.75);
    case "lower fly":
      return corner(0.79, 0.75);
  }
}

function roomInBand(field: Field, band: number, aspect: number): Room {
  const unit = unitOf(aspect);
  if (field.layout !== "bands")
    throw new RangeError(`FlagSpec: a charge stands in band ${band} of a ${field.layout} field`);
  const edges = bandEdges(field);
  const from = edges[band];
  const to = edges[band + 1];
  if (from === undefined || to === undefined) {
    throw new RangeError(`FlagSpec: a charge stands in band ${band}, the field has ${field.colours.length}`);
  }
  const middle = (from + to) / 2;
  const breadth = (to - from) * bandCoordinate(field.direction, aspect).length;
  const radius = Math.min(0.4 * breadth, 0.2 * unit);
  switch (field.direction) {
    case "horizontal":
      return { x: aspect / 2, y: middle, radius, width: 0.7 * aspect, height: 0.8 * breadth };
    case "vertical":
      return { x: middle * aspect, y: 0.5, radius, width: 0.8 * breadth, height: 0.8 };
    case "rising":
      return { x: middle * aspect, y: middle, radius: radius * 0.8, width: 2 * radius, height: 2 * radius };
    case "falling":
      return { x: (1 - middle) * aspect, y: middle, radius: radius * 0.8, width: 2 * radius, height: 2 * radius };
  }
}

function roomOnCharge(spec: FlagSpec, index: number, aspect: number): Room {
  const unit = unitOf(aspect);
  const bearer = spec.charges[index];
  if (bearer === undefined)
    throw new RangeError(`FlagSpec: a charge stands on charge ${index}, there are ${spec.charges.length}`);
  if (bearer.kind === "canton") {
    const width = cantonWidth * aspect;
    return { x: width / 2, y: cantonHeight / 2, radius: 0.18 * unit, width: 0.86 * width, height: 0.43 };
  }
  if (bearer.kind === "triangle") {
    const depth = triangleDepth * aspect;
    const inscribed = depth / (1 + 2 * Math.hypot(depth, 0.5));
    return { x: inscribed, y: 0.5, radius: inscribed * 0.66, width: inscribed * 1.6, height: inscribed * 2 };
  }
  const { x, y, radius } = marksOf(spec, index, aspect)[0] as Mark;
  if (bearer.kind === "crescent") {
    return { x: x + 0.36 * radius, y, radius: 0.46 * radius, width: radius, height: radius };
  }
  const share = bearer.kind === "disk" ? 0.66 : 0.46;
  return { x, y, radius: radius * share, width: radius * 1.5 * share, height: radius * 1.5 * share };
}

const sizes = { small: 0.55, medium: 0.76, large: 1 };

/** Centre and radius of each of the `count` marks of a charge; for a canton or triangle, of its inner circle. */
export function marksOf(spec: FlagSpec, index: number, aspect: number): Mark[] {
  const charge = spec.charges[index];
  if (charge === undefined) throw new RangeError(`FlagSpec: no charge ${index}, there are ${spec.charges.length}`);
  const room = roomOf(spec, charge, aspect);
  const central = charge.place.at === "spot" && charge.place.spot === "center";
  const single = room.radius * (central ? sizes[charge.size] : 1);
  const { x, y } = room;
  const n = charge.count;
  switch (charge.arrangement) {
    case "none":
      return [{ x, y, radius: single }];
    case "row": {
      const radius = Math.min(single * 0.8, room.width / (2.5 * n - 0.5), room.height / 2);
      return steps(n).map((step) => ({ x: x + (step - (n - 1) / 2) * 2.5 * radius, y, radius }));
    }
    case "column": {
      const radius = Math.min(single * 0.8, room.height / (2.5 * n - 0.5), room.width / 2);
      return steps(n).map((step) => ({ x, y: y + (step - (n - 1) / 2) * 2.5 * radius, radius }));
    }
    case "circle": {
      const reach = room.radius * (central ? 1.05 : 1.15);
      const sine = Math.sin(Math.PI / n) * 0.85;
      const ring = reach / (1 + sine);
      return steps(n).map((step) => {
        const angle = (2 * Math.PI * step) / n - Math.PI / 2;
        return { x: x + ring * Math.cos(angle), y: y + ring * Math.sin(angle), radius: ring * sine };
      });
    }
  }
}

const steps = (n: number): number[] => Array.from({ length: n }, (_, i) => i);

/** All layers of a flag, back to front: those of the field, then those of each charge, one for each of its marks. */
export function flagLayers(spec: FlagSpec, aspect: number): Layer[] {
  const layers = fieldLayers(spec.field, aspect);
  for (const [index, charge] of spec.charges.entries()) layers.push(...chargeLayers(spec, charge, index, aspect));
  return layers;
}

/** For each layer of `flagLayers`, the index of its charge; −1 for the field. */
export function layerCharges(spec: FlagSpec, aspect: number): number[] {
  const layers = fieldLayers(spec.field, aspect).map(() => -1);
  for (const [index, charge] of spec.charges.entries())
    for (const _ of chargeLayers(spec, charge, index, aspect)) layers.push(index);
  return layers;
}

function chargeLayers(spec: FlagSpec, charge: Charge, index: number, aspect: number): Layer[] {
  const { colour } = charge;
  if (charge.kind === "canton") {
    const width = cantonWidth * aspect;
    const distance: SignedDistance = (x, y) => Math.max(x - width, y - cantonHeight);
    return [{ colour, distance, box: [0, 0, width, cantonHeight] }];
  }
  if (charge.kind === "triangle") {
    const depth = triangleDepth * aspect;
    const length = Math.hypot(depth, 0.5);
    // Inside: left of both edges that meet at the apex (depth, 1/2).
    const distance: SignedDistance = (x, y) => (0.5 * (x - depth) + depth * Math.abs(y - 0.5)) / length;
    return [{ colour, distance, box: [0, 0, depth, 1] }];
  }
  const shape = charge.kind === "star" ? star(charge.points, charge.points === 5 ? 0.4 : 0.52) : shapes[charge.kind];
  return marksOf(spec, index, aspect).map(({ x: cx, y: cy, radius }) => {
    const reach = radius * 1.02;
    return {
      colour,
      distance: (x, y) => shape((x - cx) / radius, (y - cy) / radius) * radius,
      box: [cx - reach, cy - reach, cx + reach, cy + reach],
    };
  });
}

/** A star of radius 1 whose notches lie at radius `inner`, one point up: distance to the edge of the folded half point. */
function star(points: number, inner: number): SignedDistance {
  const half = Math.PI / points;
  const nx = inner * Math.cos(half);
  const ny = inner * Math.sin(half);
  const length = Math.hypot(1 - nx, ny);
  return (x, y) => {
    const radius = Math.hypot(x, y);
    // The angle from straight up, folded into half a point.
    let angle = Math.abs(Math.atan2(x, -y)) % (2 * half);
    if (angle > half) angle = 2 * half - angle;
    const px = radius * Math.cos(angle);
    const py = radius * Math.sin(angle);
    return (ny * (px - 1) + (1 - nx) * py) / length;
  };
}

const rays = star(12, 0.62);

const shapes: { readonly [K in Exclude<Charge["kind"], "star" | "canton" | "triangle">]: SignedDistance } = {
  disk: (x, y) => Math.hypot(x, y) - 1,
  ring: (x, y) => Math.abs(Math.hypot(x, y) - 0.8) - 0.2,
  // The horns point to the fly.
  crescent: (x, y) => Math.max(Math.hypot(x, y) - 1, 0.8 - Math.hypot(x - 0.3, y)),
  diamond: (x, y) => (0.8 * Math.abs(x) + Math.abs(y) - 0.8) / Math.hypot(0.8, 1),
  cross: (x, y) => {
    const ax = Math.abs(x);
    const ay = Math.abs(y);
    return Math.min(Math.max(ax - 0.28, ay - 0.92), Math.max(ax - 0.92, ay - 0.28));
  },
  // A disk, a gap, and rays around it.
  sun: (x, y) => {
    const radius = Math.hypot(x, y);
    return Math.min(radius - 0.5, Math.max(rays(x, y), 0.62 - radius));
  },
};
