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
 *   [x|y|]       any of these, freely: it says nothing. One that stands twice is chosen twice as often; one may be empty
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
  | { readonly choices: readonly { readonly nodes: readonly Node[]; readonly weight: number }[] };

interface CompiledRule {
  readonly uniform: boolean;
  readonly alternatives: readonly { readonly when: Features; readonly nodes: readonly Node[]; readonly weight: number }[];
  readonly branch: Branch;
}

/** Alternatives with one beginning: what those that end here fix, how the others go on, and what all of them fix alike. */
interface Branch {
  readonly ends: readonly Features[];
  readonly steps: readonly { readonly node: Node; readonly next: Branch }[];
  readonly shared: Features;
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
    const alternatives = rule.alternatives.map(({ when, text, weight }) =>
      ({ when: when ?? {}, nodes: compileTemplate(text, name), weight: weight ?? 1 }));
    rules.set(name, { uniform: rule.uniform ?? false, alternatives, branch: branchOf(alternatives) });
  }
  const visit = (nodes: readonly Node[], from: string): void => {
    for (const node of nodes) {
      if ("word" in node) words.add(node.word);
      else if ("choices" in node) for (const { nodes: choice } of node.choices) visit(choice, from);
      else if (!rules.has(node.rule)) throw new Error(`grammar: rule ${from} names ${node.rule}, which does not exist`);
    }
  };
  for (const [name, rule] of rules) for (const { nodes } of rule.alternatives) visit(nodes, name);
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
    const choices = new Map<string, { nodes: Node[]; weight: number }>();
    do {
      at++;
      const nodes = sequence(true);
      const key = JSON.stringify(nodes);
      choices.set(key, { nodes, weight: (choices.get(key)?.weight ?? 0) + 1 });
    } while (tokens[at] === "|");
    return { choices: [...choices.values()] };
  };
  return sequence(false);
}

/** What the features have in common. */
function shared(a: Features, b: Features): Features {
  const out: Record<string, string | number | Features> = {};
  for (const name in a) {
    const x = a[name] as string | number | Features;
    const y = b[name];
    if (typeof x === "object" && typeof y === "object") out[name] = shared(x, y);
    else if (x === y) out[name] = x;
  }
  return out;
}

/** Joins the beginnings that alternatives share, so that reading walks each of them once. */
function branchOf(alternatives: readonly { readonly when: Features; readonly nodes: readonly Node[] }[], depth = 0): Branch {
  const groups = new Map<string, { node: Node; members: { when: Features; nodes: readonly Node[] }[] }>();
  const ends: Features[] = [];
  for (const alternative of alternatives) {
    const node = alternative.nodes[depth];
    if (node === undefined) {
      ends.push(alternative.when);
      continue;
    }
    const key = JSON.stringify(node);
    const group = groups.get(key);
    if (group === undefined) groups.set(key, { node, members: [alternative] });
    else group.members.push(alternative);
  }
  return {
    ends,
    steps: [...groups.values()].map(({ node, members }) => ({ node, next: branchOf(members, depth + 1) })),
    shared: alternatives.map(({ when }) => when).reduce(shared),
  };
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
function preferred<T>(options: readonly T[], weightOf: (option: T) => number, seed: number, path: number): T[] {
  if (options.length === 1) return options.slice();
  const scored: { option: T; time: number }[] = [];
  for (const [i, option] of options.entries()) {
    const weight = weightOf(option);
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
      for (const choice of preferred(node.choices, ({ weight }) => weight, seed, here)) {
        words = writeNodes(grammar, choice.nodes, features, seed, here);
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
  const out: Reading[] = [];
  const follow = (branch: Branch, states: readonly State[]): void => {
    for (const when of branch.ends) {
      for (const state of states) {
        const reading = fixed(state, when, at);
        if (reading !== null) out.push(reading);
      }
    }
    for (const { node, next } of branch.steps) {
      const reached = readNode(reader, node, states);
      if (reached.length > 0) follow(next, reached);
    }
  };
  follow((reader.grammar.rules.get(name) as CompiledRule).branch, [{ at, features: {}, spans: {} }]);
  reader.memo.set(key, out);
  return out;
}

/**
 * What the text says as far as it follows the rule from a word on, complete or broken off between two parts of a template.
 * A complete reading wins over a broken one of the same length. Of several that break off at the same word, what they
 * have in common is said. Null when not even one word fits.
 */
export function readPrefix(reader: Reader, name: string, at: number): Reading | null {
  let end = at;
  let complete: Reading | null = null;
  let broken: Reading[] = [];
  const keep = (reading: Reading | null, whole: boolean): void => {
    if (reading === null || reading.end === at || reading.end < end) return;
    if (reading.end > end) {
      end = reading.end;
      complete = null;
      broken = [];
    }
    if (whole) complete ??= reading;
    else broken.push(reading);
  };
  const follow = (branch: Branch, states: readonly State[]): void => {
    for (const state of states) {
      for (const when of branch.ends) keep(fixed(state, when, at), true);
      if (branch.steps.length > 0) keep(fixed(state, branch.shared, at), false);
    }
    for (const { node, next } of branch.steps) {
      const reached = readNode(reader, node, states);
      if (reached.length > 0) follow(next, reached);
    }
  };
  follow((reader.grammar.rules.get(name) as CompiledRule).branch, [{ at, features: {}, spans: {} }]);
  return complete ?? (broken.length === 0 ? null : broken.reduce(common));
}

function common(a: Reading, b: Reading): Reading {
  const features: Record<string, string | number | Features> = {};
  const spans: Record<string, readonly [number, number] | Spans> = {};
  for (const name in a.features) {
    const x = a.features[name] as string | number | Features;
    const y = b.features[name];
    if (typeof x === "object" && typeof y === "object") {
      const inner = common({ end: 0, features: x, spans: a.spans[name] as Spans }, { end: 0, features: y, spans: b.spans[name] as Spans });
      if (Object.keys(inner.features).length === 0) continue;
      features[name] = inner.features;
      spans[name] = inner.spans;
    } else if (x === y) {
      features[name] = x;
      spans[name] = a.spans[name] as Spans;
    }
  }
  return { end: a.end, features, spans };
}

/** The state's reading with the features that an alternative fixes; all of its words said them. */
function fixed(state: State, when: Features, from: number): Reading | null {
  const merged = unify(state, { end: state.at, features: when, spans: spansOf(when, [from, state.at]) });
  return merged === null ? null : { end: merged.at, features: merged.features, spans: merged.spans };
}

function spansOf(features: Features, span: readonly [number, number]): Spans {
  const out: Record<string, readonly [number, number] | Spans> = {};
  for (const name in features) {
    const value = features[name];
    out[name] = typeof value === "object" ? spansOf(value, span) : span;
  }
  return out;
}

function readNode(reader: Reader, node: Node, states: readonly State[]): State[] {
  const next: State[] = [];
  for (const state of states) {
    if ("word" in node) {
      if (reader.words[state.at] !== node.word) continue;
      next.push({ ...state, at: state.at + 1 });
      if (state.at + 1 > reader.furthest) reader.furthest = state.at + 1;
    } else if ("choices" in node) {
      for (const { nodes } of node.choices) {
        let inside: State[] = [state];
        for (const part of nodes) inside = readNode(reader, part, inside);
        next.push(...inside);
      }
    } else {
      const { name } = node;
      for (const reading of readRule(reader, node.rule, state.at)) {
        const merged = unify(state, name === null ? reading
          : { end: reading.end, features: { [name]: reading.features }, spans: { [name]: reading.spans } });
        if (merged !== null) next.push(merged);
      }
    }
  }
  return next;
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
