/** How often the heads of the vision stage are right, on flags that it never saw. */
import { CELLS, CLASSES, NO_CHARGE, patchFacts, pictureFacts } from "../data/visionFacts.ts";
import { imageTokens } from "../model/config.ts";
import type { Rediff } from "../model/rediff.ts";
import { noGrad, readAll, scope } from "../tensor/index.ts";
import { drawVisionBatch, uploadPixels, type VisionBatch, visionLogits } from "./vision.ts";

/** Share of right answers by fact, 0 to 1. */
export type VisionAccuracy = Readonly<Record<string, number>>;

/**
 * Accuracies on `count` flags of a seed:
 *
 * - `colour` and `part` of a patch; `background`: patches without a charge that are known as such
 * - `kind`, `charge colour` and the other facts of a charge: its patches vote by the sum of their logits
 * - `cell`: cells of patches with a charge that are known to be covered by it or not
 * - `layout`, `field colours` (all of a flag right), `kinds` (the kinds of charges there are, all right), …
 */
export async function visionAccuracy(model: Rediff, seed: number, count: number): Promise<VisionAccuracy> {
  const tally = new Map<string, { right: number; asked: number }>();
  const note = (fact: string, right: boolean) => {
    const entry = tally.get(fact) ?? { right: 0, asked: 0 };
    tally.set(fact, { right: entry.right + Number(right), asked: entry.asked + 1 });
  };
  const P = imageTokens(model.config.vision);
  for (let first = 0; first < count; first += 32) {
    const batch = drawVisionBatch(seed, first, Math.min(32, count - first), model.config);
    const logits = await scope(model.device, async () => {
      const given = noGrad(model.device, () => visionLogits(model, uploadPixels(model, batch)));
      const [patches, masks, picture] = await readAll([given.patches, given.masks, given.picture]);
      return { patches: patches as Float32Array, masks: masks as Float32Array, picture: picture as Float32Array };
    });
    for (let i = 0; i < batch.B; i++) {
      notePatches(note, logits.patches, batch, i, P);
      noteMasks(note, logits.masks, batch, i, P);
      notePicture(note, logits.picture, batch, i);
    }
  }
  return Object.fromEntries([...tally].map(([fact, { right, asked }]) => [fact, right / asked]));
}

type Note = (fact: string, right: boolean) => void;

function notePatches(note: Note, logits: Float32Array, { patches, charges }: VisionBatch, i: number, P: number): void {
  const G = patchFacts.length;
  const votes = new Map<string, { fact: string; answer: number; logits: Float32Array }>();
  for (let at = i * P; at < (i + 1) * P; at++) {
    const charge = charges[at]!;
    patchFacts.forEach((fact, g) => {
      if (patches.weights[at * G + g] === 0) return;
      const answer = patches.classes[at * G + g]!;
      const given = logits.subarray((at * G + g) * CLASSES, (at * G + g + 1) * CLASSES);
      if (fact === "colour" || fact === "part") note(fact, argmax(given) === answer);
      else if (charge < 0) note("background", argmax(given) === NO_CHARGE);
      else {
        const key = `${charge} ${fact}`;
        const vote = votes.get(key) ?? { fact, answer, logits: new Float32Array(CLASSES) };
        vote.logits.forEach((sum, c) => (vote.logits[c] = sum + given[c]!));
        votes.set(key, vote);
      }
    });
  }
  for (const vote of votes.values()) note(vote.fact, argmax(vote.logits) === vote.answer);
}

function noteMasks(note: Note, logits: Float32Array, { masks, charges }: VisionBatch, i: number, P: number): void {
  const M = CELLS * CELLS;
  for (let at = i * P * M; at < (i + 1) * P * M; at++)
    if (charges[Math.floor(at / M)]! >= 0)
      note("cell", Number(logits[2 * at + 1]! > logits[2 * at]!) === masks.classes[at]);
}

function notePicture(note: Note, logits: Float32Array, { picture }: VisionBatch, i: number): void {
  const F = pictureFacts.length;
  const whole = new Map([
    ["field colours", true],
    ["kinds", true],
  ]);
  pictureFacts.forEach((fact, f) => {
    const at = i * F + f;
    if (picture.weights[at] === 0) return;
    const right = argmax(logits.subarray(at * CLASSES, (at + 1) * CLASSES)) === picture.classes[at];
    const group = fact.startsWith("field colour") ? "field colours" : fact.endsWith("present") ? "kinds" : undefined;
    if (group === undefined) note(fact, right);
    else whole.set(group, whole.get(group)! && right);
  });
  for (const [group, right] of whole) note(group, right);
}

const argmax = (values: Float32Array): number => values.indexOf(Math.max(...values));
