/**
 * CAPTURE (Dong et al., DetailCaps-4870): agreement of two texts' scene graphs.
 *
 *   matched: equal, else synonyms or one phrase within the other, else softly by how alike they are
 *   P = matched of the candidate / all of it,  R = matched of the reference / all of it,  F = 2PR/(P+R), for each kind
 *   CAPTURE = (5·F_objects + 5·F_attributes + 2·F_relations) / 12
 *
 * Where it differs from the published one: the parser is ours, for flags (sceneGraph.ts); synonyms are a list, not WordNet;
 * the soft match counts shared words (Dice) where they take the cosine of sentence embeddings, which is never zero, so
 * scores are lower than theirs; a kind that neither text has is left out of the mean instead of counting as 0.
 */
import { type SceneGraph, sceneGraph } from "./sceneGraph.ts";

export interface CaptureScore {
  /** 0 to 1. */
  readonly capture: number;
  /** F of each kind; null when neither text has any. */
  readonly objects: number | null;
  readonly attributes: number | null;
  readonly relations: number | null;
}

const weights = { objects: 5, attributes: 5, relations: 2 } as const;
type Kind = keyof typeof weights;
const kinds = Object.keys(weights) as readonly Kind[];

/** CAPTURE of a text against one that is right. */
export function captureScore(candidate: string, reference: string): CaptureScore {
  const [own, theirs] = [sceneGraph(candidate), sceneGraph(reference)];
  const score = Object.fromEntries(kinds.map((kind) => [kind, fScore(own, theirs, kind)])) as Record<
    Kind,
    number | null
  >;
  const counted = kinds.filter((kind) => score[kind] !== null);
  const total = counted.reduce((sum, kind) => sum + weights[kind], 0);
  const sum = counted.reduce((before, kind) => before + weights[kind] * score[kind]!, 0);
  return { capture: total ? sum / total : 0, ...score };
}

function fScore(candidate: SceneGraph, reference: SceneGraph, kind: Kind): number | null {
  const [own, theirs] = [[...candidate[kind]], [...reference[kind]]];
  if (own.length + theirs.length === 0) return null;
  const alike = kind === "relations" ? relationsAlike : phrasesAlike;
  // Each matches one of the other side at most, surest first; what is left over counts by its best likeness.
  const [restOwn, restTheirs] = [new Set(own), new Set(theirs)];
  let matched = 0;
  for (const sure of [
    (a: string, b: string) => a === b,
    (a: string, b: string) => kind !== "relations" && within(a, b),
  ]) {
    for (const a of restOwn) {
      const b = [...restTheirs].find((other) => sure(a, other));
      if (b === undefined) continue;
      matched++;
      restOwn.delete(a);
      restTheirs.delete(b);
    }
  }
  const soft = (from: Iterable<string>, to: Iterable<string>): number =>
    [...from].reduce((sum, a) => sum + Math.max(0, ...[...to].map((b) => alike(a, b))), 0);
  const precision = own.length ? (matched + soft(restOwn, restTheirs)) / own.length : 0;
  const recall = theirs.length ? (matched + soft(restTheirs, restOwn)) / theirs.length : 0;
  return precision + recall > 0 ? (2 * precision * recall) / (precision + recall) : 0;
}

const wordsOf = (phrase: string): readonly string[] => phrase.split(/[ -]/);

/** Whether all words of one phrase are in the other: "branch" in "olive branch". */
function within(a: string, b: string): boolean {
  const [few, many] = [wordsOf(a), wordsOf(b)].sort((one, other) => one.length - other.length) as [
    readonly string[],
    readonly string[],
  ];
  return few.every((word) => many.includes(word));
}

/** Dice's coefficient of two phrases' words. */
function phrasesAlike(a: string, b: string): number {
  const [own, theirs] = [wordsOf(a), wordsOf(b)];
  return (2 * own.filter((word) => theirs.includes(word)).length) / (own.length + theirs.length);
}

/** How alike the ends of one and the same relation are. */
function relationsAlike(a: string, b: string): number {
  const [subject = "", relation, object = ""] = a.split("|");
  const [otherSubject = "", otherRelation, otherObject = ""] = b.split("|");
  if (relation !== otherRelation) return 0;
  return (phrasesAlike(subject, otherSubject) + phrasesAlike(object, otherObject)) / 2;
}
