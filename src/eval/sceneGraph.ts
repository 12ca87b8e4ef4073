/**
 * Scene graphs of flag descriptions: objects, their attributes, and relations between them, by rules.
 *
 *   "a red disk centered on the white band"  ->  objects disk, band; attributes red, white; relation disk · on · band
 *
 * The published CAPTURE reads texts with a T5 parser; this reads noun phrases with the lists of flagWords.ts. A colour
 * without a noun belongs to what was named last ("bands of red, white"), or to the field when nothing was. Lists of colours
 * in brackets and places ("(top)", "hoist side") make no objects. Reading never fails: what is not understood is left out.
 */
import {
  articles,
  attributes as attributeWords,
  bearing,
  canonical,
  negations,
  nounsAnyway,
  otherwise,
  phrases,
  places,
  relations as relationWords,
} from "./flagWords.ts";

export interface SceneGraph {
  readonly objects: ReadonlySet<string>;
  /** One bag for all objects, as in the published metric. */
  readonly attributes: ReadonlySet<string>;
  /** Subject, relation, object, joined by "|". */
  readonly relations: ReadonlySet<string>;
}

/** Lower-case text as words, each the one that stands for its synonyms, and marks. */
function flagTokens(text: string): string[] {
  const plain = text
    .toLowerCase()
    .replaceAll(/\bstars? with (\w+) points\b/g, "$1-pointed star")
    .replaceAll(/(\w)'s\b/g, "$1");
  const raw = [...plain.matchAll(/[\p{L}\d]+(?:[-'][\p{L}\d]+)*|[,;.()]/gu)].map(([word]) => singular(word));
  const out: string[] = [];
  for (let i = 0; i < raw.length;) {
    const phrase = phrases.find((words) => words.every((word, k) => raw[i + k] === singular(word)));
    const word = phrase ? phrase.join(" ") : raw[i]!;
    out.push(canonical.get(word) ?? word);
    i += phrase?.length ?? 1;
  }
  return out;
}

/** English plurals, as far as flags have them. */
function singular(word: string): string {
  if (
    word === "arms" ||
    attributeWords.has(word) ||
    word.length < 4 ||
    !word.endsWith("s") ||
    /(?:ss|us|is|sses)$/.test(word)
  )
    return word === "crosses" ? "cross" : word;
  if (word === "leaves") return "leaf";
  if (word.endsWith("ies")) return `${word.slice(0, -3)}y`;
  return /(?:sh|ch|x|s|z|hombus|o)es$/.test(word) && word !== "shoes" ? word.slice(0, -2) : word.slice(0, -1);
}

const isAttribute = (word: string): boolean =>
  attributeWords.has(word) || /^\d+$/.test(word) || /-(?:pointed|sided|colored|edged|rayed|bordered|width)$/.test(word);
const isLink = (word: string): boolean => relationWords.has(word) || bearing.has(word);
const isNoun = (word: string): boolean =>
  /^[\p{L}]/u.test(word) &&
  !isAttribute(word) &&
  !isLink(word) &&
  !articles.has(word) &&
  !negations.has(word) &&
  word !== "and" &&
  (nounsAnyway.has(word) || !otherwise.test(word));

type Link = { readonly name: string; readonly inverse?: boolean };

/** The scene graph of a text. Never fails. */
export function sceneGraph(text: string): SceneGraph {
  const tokens = flagTokens(text);
  const objects = new Set<string>();
  const attributes = new Set<string>();
  const relations = new Set<string>();
  /** What was named last in the sentence, and how the text goes on from it. */
  let subject: string | undefined;
  let link: Link | undefined;
  /** "in the center is a disk": where something stands that is named later. */
  let waiting: string | undefined;
  let brackets = 0;

  const relate = (noun: string): void => {
    if (subject !== undefined && link !== undefined && subject !== noun)
      relations.add(link.inverse && !places.has(noun) ? `${noun}|on|${subject}` : `${subject}|${link.name}|${noun}`);
    else if (link !== undefined && !link.inverse && subject === undefined) {
      waiting = noun;
      return;
    } else if (waiting !== undefined) {
      relations.add(`${noun}|on|${waiting}`);
      waiting = undefined;
    }
    if (!places.has(noun)) subject = noun;
  };

  for (let i = 0; i < tokens.length;) {
    const word = tokens[i]!;
    if (negations.has(word)) {
      i = phraseAfter(tokens, i + 1).end;
      continue;
    }
    if (isAttribute(word) || isNoun(word)) {
      const { end, modifiers, noun } = nounPhrase(tokens, i);
      for (const modifier of modifiers) attributes.add(modifier);
      i = end;
      // "red with a white disk"
      const named = noun ?? (objects.size === 0 ? "field" : undefined);
      if (named === undefined) continue;
      if (!places.has(named)) objects.add(named);
      // "in the center of the band" is on the band; "of the flag" says nothing more.
      const { noun: whole = "flag" } = tokens[i] === "of" ? phraseAfter(tokens, i + 1) : {};
      if (brackets > 0 || (places.has(named) && !places.has(whole))) continue;
      relate(named);
      link = undefined;
      continue;
    }
    if (word === "(") brackets++;
    else if (word === ")") brackets = Math.max(0, brackets - 1);
    else if (word === ";" || word === ".") [subject, link, waiting] = [undefined, undefined, undefined];
    else if (isLink(word) && brackets === 0) {
      // "centered on the band" is one link; "centered" and no more says where by itself.
      if (word === "centered" && subject !== undefined && !relationWords.has(tokens[i + 1] ?? ""))
        relations.add(`${subject}|on|center`);
      // Of "charged with", the bearing stays; of "based on", the last word decides.
      else if (bearing.has(word)) link = { name: "on", inverse: true };
      else if (!link?.inverse) link = relationWords.get(word)!;
    }
    i++;
  }
  return { objects, attributes, relations };
}

/** The noun phrase after articles. */
function phraseAfter(tokens: readonly string[], start: number): NounPhrase {
  let i = start;
  while (articles.has(tokens[i] ?? "")) i++;
  return nounPhrase(tokens, i);
}

interface NounPhrase {
  readonly end: number;
  readonly modifiers: readonly string[];
  /** All its nouns joined; undefined when there is none. A noun that says where is left out before another one. */
  readonly noun: string | undefined;
}

function nounPhrase(tokens: readonly string[], start: number): NounPhrase {
  const modifiers: string[] = [];
  const nouns: string[] = [];
  let i = start;
  for (; i < tokens.length; i++) {
    const word = tokens[i]!;
    if (isAttribute(word)) {
      if (nouns.length > 0) break;
      modifiers.push(word);
    } else if (isNoun(word)) nouns.push(word);
    // "large, white, five-pointed star"
    else if (!(word === "," && nouns.length === 0 && modifiers.length > 0 && isAttribute(tokens[i + 1] ?? ""))) break;
  }
  const last = nouns.at(-1);
  if (last === undefined) return { end: i, modifiers, noun: undefined };
  // "upper hoist corner" is the place itself; of "hoist band", the band.
  const where = nouns.findLast((noun) => places.has(noun) && noun !== "corner" && noun !== "side");
  // "the upper hoist quadrant" says where, "a quadrant" is a thing.
  if (places.has(last) || (last === "canton" && where !== undefined)) return { end: i, modifiers, noun: where ?? last };
  return { end: i, modifiers, noun: nouns.filter((noun) => !places.has(noun)).join(" ") };
}
