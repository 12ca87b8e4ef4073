/**
 * What a vision encoder is asked about a flag in pre-training: facts of each patch and of the whole picture, as classes.
 *
 * Facts of a charge are asked of each patch that shows it, so one image token comes to hold all that a caption says about
 * the charge. All are exact: they are read off the FlagSpec and off which shape each pixel shows.
 */
import { RediffError } from "../tensor/errors.ts";
import { flagLayers, layerCharges } from "./flagGeometry.ts";
import type { FlagPicture } from "./flagPicture.ts";
import { type Charge, chargeKinds, type Colour, colours, type Field, type FlagSpec, spots } from "./flagSpec.ts";

/** Every fact has at most this many classes. */
export const CLASSES = 16;

/** In the order of the targets. `colour` and `part` are of the patch, the others of the charge that it shows. */
export const patchFacts = [
  "colour",
  "part",
  "kind",
  "charge colour",
  "count",
  "points",
  "arrangement",
  "size",
  "place",
] as const;

/** In the order of the targets. Then, for each kind of charge, whether there is one. */
export const pictureFacts = [
  "layout",
  "direction",
  "bands",
  "doubled",
  "style",
  "field colour 0",
  "field colour 1",
  "field colour 2",
  "field colour 3",
  "field colour 4",
  "charges",
  ...chargeKinds.map((kind) => `${kind} present` as const),
] as const;

/** The class of a fact that is not asked. */
export const NOT_ASKED = -1;
/** A patch is cut into so many cells a side, to say which of them its charge covers. */
export const CELLS = 4;
/** The `kind` of a patch without a charge. */
export const NO_CHARGE: number = chargeKinds.length;

export interface VisionFacts {
  /** Classes (P, patchFacts) and (pictureFacts); NOT_ASKED where there is no such fact. */
  readonly patches: Int8Array;
  readonly picture: Int8Array;
  /** Which charge each patch shows, (P); −1 for none. */
  readonly charges: Int8Array;
  /** Whether the charge of a patch covers more than half of a cell, (P, CELLS·CELLS); 0 where there is no charge. */
  readonly masks: Uint8Array;
}

/**
 * The facts of a picture that is cut into squares of `patch` pixels. A patch shows the topmost charge that covers a 16th of
 * it; a charge too small for that is shown by the patch with most of it. `patch` is a multiple of CELLS.
 */
export function visionFacts(spec: FlagSpec, { image, aspect, parts }: FlagPicture, patch: number): VisionFacts {
  if (patch % CELLS)
    throw new RediffError(
      `A patch is cut into ${CELLS}×${CELLS} cells: its side must be a multiple of ${CELLS}; it is ${patch}.`,
      {
        patch,
      },
    );
  const side = Math.floor(image.width / patch);
  const P = side * side;
  const layers = flagLayers(spec, aspect);
  const owners = layerCharges(spec, aspect);
  const patches = new Int8Array(P * patchFacts.length).fill(NOT_ASKED);
  const charges = new Int8Array(P).fill(-1);
  /** Pixels of each charge in each patch. */
  const areas = spec.charges.map(() => new Uint16Array(P));

  for (let at = 0; at < P; at++) {
    const area = new Uint16Array(layers.length);
    const left = (at % side) * patch;
    const top = Math.floor(at / side) * patch;
    for (let y = top; y < top + patch; y++)
      for (let x = left; x < left + patch; x++) area[parts[y * image.width + x]!]!++;
    const byColour = new Uint16Array(colours.length);
    const byPart = new Uint16Array(CLASSES);
    layers.forEach(({ colour }, layer) => {
      byColour[colours.indexOf(colour)]! += area[layer]!;
      byPart[partOf(spec.field, layer, owners)]! += area[layer]!;
      if (owners[layer]! >= 0) areas[owners[layer]!]![at]! += area[layer]!;
    });
    patches[at * patchFacts.length] = largest(byColour);
    patches[at * patchFacts.length + 1] = largest(byPart);
    areas.forEach((pixels, charge) => {
      if (pixels[at]! * 16 >= patch * patch) charges[at] = charge;
    });
  }
  areas.forEach((pixels, charge) => {
    if (!charges.includes(charge)) charges[largest(pixels)] = charge;
  });
  charges.forEach((charge, at) => {
    const about = spec.charges[charge];
    patches.set(about ? chargeClasses(about) : [NO_CHARGE], at * patchFacts.length + 2);
  });
  const showsCharge = (at: number, charge: number) => owners[parts[at]!] === charge;
  const masks = chargeMasks(charges, patch, image.width, showsCharge);
  return { patches, picture: pictureClasses(spec), charges, masks };
}

/** VisionFacts.masks. `showsCharge`: whether a pixel shows a charge. */
function chargeMasks(
  charges: Int8Array,
  patch: number,
  width: number,
  showsCharge: (pixel: number, charge: number) => boolean,
): Uint8Array {
  const side = Math.floor(width / patch);
  const cell = patch / CELLS;
  return Uint8Array.from({ length: charges.length * CELLS * CELLS }, (_, i) => {
    const at = Math.floor(i / (CELLS * CELLS));
    const charge = charges[at]!;
    if (charge < 0) return 0;
    const left = (at % side) * patch + (i % CELLS) * cell;
    const top = Math.floor(at / side) * patch + (Math.floor(i / CELLS) % CELLS) * cell;
    let covered = 0;
    for (let y = top; y < top + cell; y++)
      for (let x = left; x < left + cell; x++) covered += Number(showsCharge(y * width + x, charge));
    return Number(2 * covered > cell * cell);
  });
}

const largest = (counts: Uint16Array): number => counts.indexOf(Math.max(...counts));

/** Band 0 to 4, quarter 5 to 8, ground, cross, outline, border, charge. */
function partOf({ layout, ...field }: Field, layer: number, owners: readonly number[]): number {
  if (owners[layer]! >= 0) return 13;
  switch (layout) {
    case "bands":
      return layer;
    case "quartered":
      return 5 + layer;
    case "plain":
      return 9;
    case "cross":
      if (layer === 0) return 9;
      return layer === 1 && "outline" in field && field.outline !== null ? 11 : 10;
    case "border":
      return layer === 0 ? 12 : 9;
  }
}

/** kind, charge colour, count, points, arrangement, size, place. */
function chargeClasses(charge: Charge): number[] {
  const { place } = charge;
  return [
    chargeKinds.indexOf(charge.kind),
    colours.indexOf(charge.colour),
    charge.count - 1,
    charge.kind === "star" ? charge.points - 5 : NOT_ASKED,
    ["none", "row", "column", "circle"].indexOf(charge.arrangement),
    ["small", "medium", "large"].indexOf(charge.size),
    place.at === "spot" ? spots.indexOf(place.spot) : place.at === "band" ? 7 + place.band : 12,
  ];
}

function pictureClasses({ field, charges }: FlagSpec): Int8Array {
  const bands = field.layout === "bands" ? field : undefined;
  const fieldColours = coloursOf(field);
  return Int8Array.from([
    ["plain", "bands", "quartered", "cross", "border"].indexOf(field.layout),
    bands ? ["horizontal", "vertical", "rising", "falling"].indexOf(bands.direction) : NOT_ASKED,
    bands ? bands.colours.length - 2 : NOT_ASKED,
    bands ? (bands.doubled ?? -1) + 1 : NOT_ASKED,
    field.layout === "cross" ? ["nordic", "centered", "diagonal"].indexOf(field.style) : NOT_ASKED,
    ...[0, 1, 2, 3, 4].map((i) => (fieldColours[i] ? colours.indexOf(fieldColours[i]) : NOT_ASKED)),
    charges.length,
    ...chargeKinds.map((kind) => Number(charges.some((charge) => charge.kind === kind))),
  ]);
}

function coloursOf(field: Field): readonly Colour[] {
  switch (field.layout) {
    case "plain":
      return [field.colour];
    case "bands":
    case "quartered":
      return field.colours;
    case "cross":
      return [field.ground, field.colour, ...(field.outline === null ? [] : [field.outline])];
    case "border":
      return [field.ground, field.colour];
  }
}
