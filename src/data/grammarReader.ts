/**
 * Reading with a grammar: every way to derive a span of words, found top down and remembered per rule and word.
 */
import type { Branch, CompiledRule, Features, Grammar, Node } from "./grammar.ts";

/** Where each feature was said, as token indices [from, to). Nested like the features. */
export interface Spans {
  readonly [name: string]: readonly [number, number] | Spans;
}
export interface Reading {
  readonly end: number;
  readonly features: Features;
  readonly spans: Spans;
}

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

/** A text of which nothing has been read yet. */
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
      const inner = common(
        { end: 0, features: x, spans: a.spans[name] as Spans },
        { end: 0, features: y, spans: b.spans[name] as Spans },
      );
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
        const merged = unify(
          state,
          name === null
            ? reading
            : { end: reading.end, features: { [name]: reading.features }, spans: { [name]: reading.spans } },
        );
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
