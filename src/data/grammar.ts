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

export type Node =
  | { readonly word: string }
  | { readonly rule: string; readonly name: string | null }
  | { readonly choices: readonly { readonly nodes: readonly Node[]; readonly weight: number }[] };

export interface CompiledRule {
  readonly uniform: boolean;
  readonly alternatives: readonly {
    readonly when: Features;
    readonly nodes: readonly Node[];
    readonly weight: number;
  }[];
  readonly branch: Branch;
}

/** Alternatives with one beginning: what those that end here fix, how the others go on, and what all of them fix alike. */
export interface Branch {
  readonly ends: readonly Features[];
  readonly steps: readonly { readonly node: Node; readonly next: Branch }[];
  readonly shared: Features;
}

/** Compiles the table. Throws on a template that names an unknown rule or does not close a bracket. */
export function compileGrammar(table: { readonly [name: string]: Rule }): Grammar {
  const rules = new Map<string, CompiledRule>();
  const words = new Set<string>();
  for (const [name, rule] of Object.entries(table)) {
    const alternatives = rule.alternatives.map(({ when, text, weight }) => ({
      when: when ?? {},
      nodes: compileTemplate(text, name),
      weight: weight ?? 1,
    }));
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
function branchOf(
  alternatives: readonly { readonly when: Features; readonly nodes: readonly Node[] }[],
  depth = 0,
): Branch {
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

function writeNodes(
  grammar: Grammar,
  nodes: readonly Node[],
  features: Features,
  seed: number,
  path: number,
): string[] | null {
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
