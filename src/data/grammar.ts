/**
 * A small unification grammar that is read in both directions: `write` turns features into words, `parse` turns words into
 * features. One table of rules serves both, so what is written can be read back, and grammatical means derivable.
 *
 * Features are what a phrase says: names with values, some of which are features again. A rule is a list of alternatives;
 * an alternative is a template and the features that it fixes:
 *
 *   charge:  { when: { count: 1 }, text: "a {colour} {noun}" }        "a yellow star"  <->  { count: 1, colour: "yellow", … }
 *
 *   word         the word itself, as are  , ; . : ( )
 *   {rule}       a phrase of that rule about the same features
 *   {name:rule}  a phrase of that rule about the features under `name`
 *   [x|y|]       any of these, freely: it says nothing. Nothing between bars is an empty choice
 *
 * Reading, all features found must agree (unify): so "two stars is" fails where the verb says one and the noun many.
 * Writing, an alternative is open when its fixed features agree. Choices among the open ones are keyed by their place in
 * the derivation rather than drawn in turn, so features that differ in one value give texts that differ in few words.
 */
import { philox } from "../tensor/philox.ts";

export interface Features {
  readonly [name: string]: string | number | Features;
}

export interface Alternative {
  readonly when?: Features;
  readonly text: string;
  /** How often it is chosen relative to the others; 1 when left out. 0: it is read but never written. */
  readonly weight?: number;
}

/** `uniform` rules choose alike everywhere in one text: who says "gold" once does not say "yellow" later. */
export interface Rule {
  readonly alternatives: readonly Alternative[];
  readonly uniform?: boolean;
}

export interface Grammar {
  readonly rules: ReadonlyMap<string, CompiledRule>;
  readonly words: readonly string[];
}

type Node =
  | { readonly word: string }
  | { readonly rule: string; readonly name: string | null }
  | { readonly choices: readonly (readonly Node[])[] };

interface CompiledRule {
  readonly uniform: boolean;
  readonly alternatives: readonly CompiledAlternative[];
}
interface CompiledAlternative {
  readonly when: Features;
  readonly nodes: readonly Node[];
  readonly weight: number;
  /** Words that it can begin with; null: any, as it can be empty. */
  first: ReadonlySet<string> | null;
}

/** Where each feature was said, as token indices [from, to). Nested like the features. */
export interface Spans {
  readonly [name: string]: readonly [number, number] | Spans;
}
export interface Reading {
  readonly end: number;
  readonly features: Features;
  readonly spans: Spans;
}

/** Compiles the table. Throws on a template that names an unknown rule or does not close a bracket. */
export function compileGrammar(table: { readonly [name: string]: Rule }): Grammar {
  const rules = new Map<string, CompiledRule>();
  const words = new Set<string>();
  for (const [name, rule] of Object.entries(table)) {
    rules.set(name, {
      uniform: rule.uniform ?? false,
      alternatives: rule.alternatives.map(({ when, text, weight }) => ({
        when: when ?? {}, nodes: compileTemplate(text, name), weight: weight ?? 1, first: null,
      })),
    });
  }
  const visit = (nodes: readonly Node[], from: string): void => {
    for (const node of nodes) {
      if ("word" in node) words.add(node.word);
      else if ("choices" in node) for (const choice of node.choices) visit(choice, from);
      else if (!rules.has(node.rule)) throw new Error(`grammar: rule ${from} names ${node.rule}, which does not exist`);
    }
  };
  for (const [name, rule] of rules) for (const { nodes } of rule.alternatives) visit(nodes, name);
  const memo = new Map<string, ReadonlySet<string> | null>();
  for (const [name, rule] of rules) {
    for (const alternative of rule.alternatives) alternative.first = firstWords(rules, alternative.nodes, memo, [name]);
  }
  return { rules, words: [...words].sort() };
}

function compileTemplate(text: string, rule: string): Node[] {
  const tokens = text.match(/\{[^}]*\}|[[\]|]|[^\s[\]|{}]+/g) ?? [];
  let at = 0;
  const sequence = (inside: boolean): Node[] => {
    const nodes: Node[] = [];
    for (; at < tokens.length; at++) {
      const token = tokens[at] as string;
      if (token === "]" || token === "|") {
        if (inside) return nodes;
        throw new Error(`grammar: stray ${token} in rule ${rule}: ${text}`);
      }
      if (token === "[") nodes.push(choice());
      else if (token.startsWith("{")) {
        const [name, target] = token.slice(1, -1).split(":") as [string, string?];
        nodes.push(target === undefined ? { rule: name, name: null } : { rule: target, name });
      } else nodes.push({ word: token });
    }
    if (inside) throw new Error(`grammar: a bracket is not closed in rule ${rule}: ${text}`);
    return nodes;
  };
  const choice = (): Node => {
    const choices: Node[][] = [];
    do {
      at++;
      choices.push(sequence(true));
    } while (tokens[at] === "|");
    return { choices };
  };
  return sequence(false);
}

/** The words that a sequence can begin with, or null where it can be empty. */
function firstWords(
  rules: ReadonlyMap<string, CompiledRule>, nodes: readonly Node[], memo: Map<string, ReadonlySet<string> | null>, trail: readonly string[],
): ReadonlySet<string> | null {
  const found = new Set<string>();
  for (const node of nodes) {
    let empty = false;
    const add = (words: ReadonlySet<string> | null, self: Set<string>): void => {
      if (words === null) empty = true;
      else for (const word of words) self.add(word);
    };
    // A sequence that may be empty reports null, but its words still count for what holds it.
    if ("word" in node) found.add(node.word);
    else if ("choices" in node) {
      for (const choice of node.choices) add(firstWords(rules, choice, memo, trail), found);
    } else {
      if (trail.includes(node.rule)) throw new Error(`grammar: ${node.rule} begins with itself`);
      for (const [i, alternative] of (rules.get(node.rule) as CompiledRule).alternatives.entries()) {
        const key = `${node.rule}/${i}`;
        if (!memo.has(key)) memo.set(key, firstWords(rules, alternative.nodes, memo, [...trail, node.rule]));
        add(memo.get(key) as ReadonlySet<string> | null, found);
      }
    }
    if (!empty) return found;
    // Something optional at the front: its own words were lost with the null, so nothing can be said.
    return null;
  }
  return null;
}

// ---------------------------------------------------------------------------------------------------------------- write

/** The words that say `features`, or null when no derivation does. A pure function of (features, seed). */
export function write(grammar: Grammar, rule: string, features: Features, seed: number): string[] | null {
  return writeRule(grammar, rule, features, seed, 0);
}

const mix = (path: number, text: string, ordinal: number): number => {
  let hash = Math.imul(path ^ 0x811c9dc5, 0x01000193) ^ ordinal;
  for (let i = 0; i < text.length; i++) hash = Math.imul(hash ^ text.charCodeAt(i), 0x01000193);
  return hash >>> 0;
};

/** Options in the order of preference under their weights: the smallest of independent exponential clocks comes first. */
function preferred<T>(options: readonly T[], weights: (option: T, i: number) => number, seed: number, path: number): T[] {
  if (options.length === 1) return options.slice();
  const scored: { option: T; time: number }[] = [];
  for (const [i, option] of options.entries()) {
    const weight = weights(option, i);
    if (weight <= 0) continue;
    const [bits] = philox([path, i, 0, 0], [seed >>> 0, Math.floor(seed / 0x100000000) >>> 0]);
    scored.push({ option, time: -Math.log((bits + 0.5) / 0x100000000) / weight });
  }
  return scored.sort((a, b) => a.time - b.time).map(({ option }) => option);
}

function writeRule(grammar: Grammar, name: string, features: Features, seed: number, path: number): string[] | null {
  const rule = grammar.rules.get(name) as CompiledRule;
  const here = mix(rule.uniform ? 0 : path, name, 0);
  const open = rule.alternatives.filter(({ when }) => agrees(when, features));
  for (const { nodes } of preferred(open, ({ weight }) => weight, seed, here)) {
    const words = writeNodes(grammar, nodes, features, seed, here);
    if (words !== null) return words;
  }
  return null;
}

function agrees(when: Features, features: Features): boolean {
  for (const name in when) {
    const wanted = when[name];
    const found = features[name];
    if (typeof wanted === "object") {
      if (typeof found !== "object" || !agrees(wanted, found)) return false;
    } else if (wanted !== found) return false;
  }
  return true;
}

function writeNodes(grammar: Grammar, nodes: readonly Node[], features: Features, seed: number, path: number): string[] | null {
  const out: string[] = [];
  let free = 0;
  for (const node of nodes) {
    let words: string[] | null = null;
    if ("word" in node) words = [node.word];
    else if ("choices" in node) {
      const here = mix(path, "[", ++free);
      for (const choice of preferred(node.choices, () => 1, seed, here)) {
        words = writeNodes(grammar, choice, features, seed, here);
        if (words !== null) break;
      }
    } else if (node.name === null) words = writeRule(grammar, node.rule, features, seed, path);
    else {
      const inner = features[node.name];
      if (typeof inner === "object") words = writeRule(grammar, node.rule, inner, seed, mix(path, node.name, 1));
    }
    if (words === null) return null;
    out.push(...words);
  }
  return out;
}

// ---------------------------------------------------------------------------------------------------------------- parse

interface State {
  readonly at: number;
  readonly features: Features;
  readonly spans: Spans;
}

/** A text being read: the words, what each rule has been found to derive at each of them, and the furthest word looked at. */
export interface Reader {
  readonly grammar: Grammar;
  readonly words: readonly string[];
  readonly memo: Map<string, readonly Reading[]>;
  furthest: number;
}

export function openReader(grammar: Grammar, words: readonly string[]): Reader {
  return { grammar, words, memo: new Map(), furthest: 0 };
}

/** Every reading of the rule that begins at a word. */
export function readRule(reader: Reader, name: string, at: number): readonly Reading[] {
  const key = `${name} ${at}`;
  const known = reader.memo.get(key);
  if (known !== undefined) return known;
  const rule = reader.grammar.rules.get(name) as CompiledRule;
  const out: Reading[] = [];
  const word = reader.words[at];
  for (const { when, nodes, first } of rule.alternatives) {
    if (first !== null && (word === undefined || !first.has(word))) continue;
    for (const state of readNodes(reader, nodes, { at, features: {}, spans: {} })) {
      const merged = withFixed(state, when, at);
      if (merged !== null) out.push({ end: merged.at, features: merged.features, spans: merged.spans });
    }
  }
  reader.memo.set(key, out);
  return out;
}

/** The reading that gets furthest into the text, complete or broken off between two parts of its template. */
export function readPrefix(reader: Reader, name: string, at: number): Reading | null {
  const rule = reader.grammar.rules.get(name) as CompiledRule;
  let best: Reading | null = null;
  for (const { when, nodes, first } of rule.alternatives) {
    if (first !== null && !first.has(reader.words[at] ?? "")) continue;
    let states: State[] = [{ at, features: {}, spans: {} }];
    for (const [i, node] of nodes.entries()) {
      const next = states.flatMap((state) => readNodes(reader, [node], state));
      const done = next.length === 0 || i === nodes.length - 1;
      if (next.length > 0) states = next;
      if (!done) continue;
      for (const state of states) {
        const merged = withFixed(state, when, at);
        if (merged === null || (best !== null && merged.at <= best.end)) continue;
        best = { end: merged.at, features: merged.features, spans: merged.spans };
      }
      break;
    }
  }
  return best;
}

/** The state with the alternative's fixed features added; they were said by all of its words. */
function withFixed(state: State, when: Features, from: number): State | null {
  return unify(state, { end: state.at, features: when, spans: spansOf(when, [from, state.at]) });
}

function spansOf(features: Features, span: readonly [number, number]): Spans {
  const out: Record<string, readonly [number, number] | Spans> = {};
  for (const name in features) {
    const value = features[name];
    out[name] = typeof value === "object" ? spansOf(value, span) : span;
  }
  return out;
}

function readNodes(reader: Reader, nodes: readonly Node[], from: State): State[] {
  let states: State[] = [from];
  for (const node of nodes) {
    const next: State[] = [];
    for (const state of states) {
      if ("word" in node) {
        if (reader.words[state.at] !== node.word) continue;
        next.push({ ...state, at: state.at + 1 });
        if (state.at + 1 > reader.furthest) reader.furthest = state.at + 1;
      } else if ("choices" in node) {
        for (const choice of node.choices) next.push(...readNodes(reader, choice, state));
      } else {
        for (const reading of readRule(reader, node.rule, state.at)) {
          const { name } = node;
          const merged = unify(state, name === null ? reading
            : { end: reading.end, features: { [name]: reading.features }, spans: { [name]: reading.spans } });
          if (merged !== null) next.push(merged);
        }
      }
    }
    if (next.length === 0) return next;
    states = next;
  }
  return states;
}

/** The state after a reading, or null where the two say different things. Of two spans the first stays. */
function unify(state: State, reading: Reading): State | null {
  let features = state.features;
  let spans = state.spans;
  for (const name in reading.features) {
    const value = reading.features[name] as string | number | Features;
    const before = features[name];
    if (before === undefined) {
      features = { ...features, [name]: value };
      spans = { ...spans, [name]: reading.spans[name] as Spans };
    } else if (typeof before === "object" && typeof value === "object") {
      const inner = unify(
        { at: 0, features: before, spans: spans[name] as Spans },
        { end: 0, features: value, spans: reading.spans[name] as Spans },
      );
      if (inner === null) return null;
      features = { ...features, [name]: inner.features };
      spans = { ...spans, [name]: inner.spans };
    } else if (before !== value) return null;
  }
  return { at: reading.end, features, spans };
}
