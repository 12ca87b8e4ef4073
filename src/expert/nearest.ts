/**
 * The text of a grammar that is nearest to a draft, exactly: Wagner and Fischer's edit distance with the grammar in the
 * place of the second text.
 *
 *   row[j] = the least cost of turning the draft's first j words into the words that the grammar has written so far
 *
 * A word of the grammar turns one row into the next (replace, add, leave out), and where the grammar has a choice, the
 * rows of all alternatives are merged by their minimum. No rule calls itself, so this ends. Equal work is done once:
 * what a row turns into is remembered, so plans with one beginning share it.
 *
 * Costs are ordered: edited words; then tokens gained and lost, so that a word is replaced by one of its own length rather
 * than added to; then how rarely the grammar writes so, which settles "a star" against "one star".
 */
import type { CompiledRule, Features, Grammar, Node } from "../data/grammar.ts";

/** What a text may say. Where a list stands, any one of its members may be said, and only one. */
export interface Sayable {
  readonly [name: string]: string | number | readonly Sayable[];
}

export interface NearestOptions {
  /** Tokens of one word; words of equally many replace each other first. All words have one when left out. */
  readonly tokens?: (word: string) => number;
  /** Words that no text may hold. */
  readonly without?: ReadonlySet<string>;
}

// Whole numbers far apart: sums stay below 2^53, so equal costs are equal to the bit.
const editedWord = 2 ** 36;
const unevenToken = 2 ** 20;
const rarity = 2 ** 6;
const rarest = 16;

/** A row, with what it came from, so that the way back can be found again. */
interface Row {
  readonly id: number;
  readonly cost: Float64Array;
  /** The word that was written after `from[0]`, or null: the minimum of all `from`, each at its price. */
  readonly word: string | null;
  readonly from: readonly Step[];
  /** What this row turns into, by the word or by what a rule says. */
  readonly afterWord: Map<string, Row>;
  readonly afterRule: Map<Sayable, Map<string, Row | null>>;
}

interface Step {
  readonly row: Row;
  readonly price: number;
}

interface OpenAlternative {
  readonly said: Sayable;
  readonly nodes: readonly Node[];
  readonly weight: number;
  readonly usual: boolean;
}

/**
 * The words, nearest to those of the draft, in which `rule` says one of `plans`. Null when it can say none of them.
 * Takes time in proportion to the draft's words times the words of all phrasings.
 */
export function nearestWords(
  grammar: Grammar,
  rule: string,
  plans: readonly Sayable[],
  draft: readonly string[],
  { tokens = () => 1, without = new Set() }: NearestOptions = {},
): string[] | null {
  const n = draft.length;
  const inDraft = new Set(draft);
  const lengths = new Map<string, number>();
  const lengthOf = (word: string): number => {
    let length = lengths.get(word);
    if (length === undefined) lengths.set(word, (length = tokens(word)));
    return length;
  };
  const removal = draft.map((word) => editedWord + unevenToken * lengthOf(word));
  const addition = (word: string): number => editedWord + unevenToken * lengthOf(word);
  // Per word of the grammar, once: what it costs in the place of each word of the draft.
  const replacements = new Map<string, Float64Array>();
  const replacement = (word: string): Float64Array => {
    let costs = replacements.get(word);
    if (costs === undefined) {
      const length = lengthOf(word);
      costs = Float64Array.from(draft, (other) =>
        other === word ? 0 : editedWord + unevenToken * Math.abs(length - lengthOf(other)),
      );
      replacements.set(word, costs);
    }
    return costs;
  };

  let rows = 0;
  const newRow = (word: string | null, from: readonly Step[], cost: Float64Array): Row => ({
    id: rows++,
    cost,
    word,
    from,
    afterWord: new Map(),
    afterRule: new Map(),
  });
  const begin = newRow(null, [], new Float64Array(n + 1));
  for (let j = 1; j <= n; j++) begin.cost[j] = begin.cost[j - 1]! + removal[j - 1]!;

  function writeWord(row: Row, word: string): Row {
    const known = row.afterWord.get(word);
    if (known !== undefined) return known;
    const before = row.cost;
    const cost = new Float64Array(n + 1);
    const added = addition(word);
    const replaced = replacement(word);
    cost[0] = before[0]! + added;
    for (let j = 1; j <= n; j++)
      cost[j] = Math.min(before[j - 1]! + replaced[j - 1]!, before[j]! + added, cost[j - 1]! + removal[j - 1]!);
    const next = newRow(word, [{ row, price: 0 }], cost);
    row.afterWord.set(word, next);
    return next;
  }

  const merged = new Map<string, Row>();
  function merge(from: readonly Step[]): Row | null {
    const [first] = from;
    if (first === undefined) return null;
    if (from.length === 1 && first.price === 0) return first.row;
    const key = from.map(({ row, price }) => `${row.id} ${price}`).join();
    const known = merged.get(key);
    if (known !== undefined) return known;
    const cost = new Float64Array(n + 1).fill(Infinity);
    for (const { row, price } of from) for (let j = 0; j <= n; j++) cost[j] = Math.min(cost[j]!, row.cost[j]! + price);
    const row = newRow(null, from, cost);
    merged.set(key, row);
    return row;
  }

  function writeRule(row: Row, name: string, said: Sayable): Row | null {
    let known = row.afterRule.get(said);
    if (known === undefined) row.afterRule.set(said, (known = new Map()));
    let next = known.get(name);
    if (next === undefined) known.set(name, (next = writeAlternatives(row, name, said)));
    return next;
  }

  function writeAlternatives(row: Row, name: string, said: Sayable): Row | null {
    return fork(openAlternatives(name, said), (one) => {
      const end = writeNodes(row, one.nodes, one.said);
      return end === null ? null : { row: end, usual: one.usual };
    });
  }

  const opened = new Map<string, Map<Sayable, readonly OpenAlternative[]>>();
  /** The alternatives of a rule that can say it, each with what is left to say. */
  function openAlternatives(name: string, said: Sayable): readonly OpenAlternative[] {
    let ofRule = opened.get(name);
    if (ofRule === undefined) opened.set(name, (ofRule = new Map()));
    let open = ofRule.get(said);
    if (open === undefined) {
      const { alternatives, uniform } = grammar.rules.get(name) as CompiledRule;
      open = alternatives.flatMap(({ when, nodes, weight }) => {
        const left = narrow(said, when);
        // Who says "gold" once says it again.
        const usual = uniform && nodes.every((node) => "word" in node && inDraft.has(node.word));
        return left === null ? [] : [{ said: left, nodes, weight, usual }];
      });
      ofRule.set(said, open);
    }
    return open;
  }

  /** The minimum over alternatives, those that are rarely written at a price. */
  function fork<T extends { readonly weight: number }>(
    options: readonly T[],
    write: (option: T) => { readonly row: Row; readonly usual?: boolean } | null,
  ): Row | null {
    const total = options.reduce((sum, { weight }) => sum + weight, 0);
    const steps: Step[] = [];
    for (const option of options) {
      const end = write(option);
      if (end !== null) steps.push({ row: end.row, price: end.usual ? 0 : priceOf(option.weight / total) });
    }
    return merge(steps);
  }

  function writeNodes(row: Row, nodes: readonly Node[], said: Sayable): Row | null {
    let here: Row | null = row;
    for (const node of nodes) {
      here = writeNode(here, node, said);
      if (here === null) return null;
    }
    return here;
  }

  function writeNode(row: Row, node: Node, said: Sayable): Row | null {
    if ("word" in node) return without.has(node.word) ? null : writeWord(row, node.word);
    if ("choices" in node) {
      return fork(node.choices, ({ nodes }) => {
        const end = writeNodes(row, nodes, said);
        return end === null ? null : { row: end };
      });
    }
    if (node.name === null) return writeRule(row, node.rule, said);
    const inner = said[node.name];
    return typeof inner === "object" ? anyOf(row, node.rule, inner) : null;
  }

  const anyOf = (row: Row, rule: string, options: readonly Sayable[]): Row | null =>
    merge(
      options.flatMap((said) => {
        const end = writeRule(row, rule, said);
        return end === null ? [] : [{ row: end, price: 0 }];
      }),
    );

  const end = anyOf(begin, rule, plans);
  return end === null ? null : wordsTo(end);

  /** The words on the cheapest way to row[n]; of equally cheap ones the first in the order of the grammar. */
  function wordsTo(end: Row): string[] {
    const words: string[] = [];
    let [row, j] = [end, n];
    while (row !== begin) {
      const cost = row.cost[j]!;
      const [first] = row.from as [Step];
      if (row.word === null) row = row.from.find(({ row, price }) => row.cost[j]! + price === cost)!.row;
      else {
        const replaced = j > 0 && cost === first.row.cost[j - 1]! + replacement(row.word)[j - 1]!;
        if (replaced || cost === first.row.cost[j]! + addition(row.word)) {
          words.push(row.word);
          row = first.row;
          if (replaced) j--;
        } else j--; // The draft's word was left out.
      }
    }
    return words.toReversed();
  }
}

const priceOf = (share: number): number => Math.round(rarity * Math.min(rarest, -Math.log(share)));

/** What may still be said under an alternative that fixes features: the lists without what disagrees. Null: nothing. */
function narrow(said: Sayable, when: Features): Sayable | null {
  let out = said;
  for (const name in when) {
    const wanted = when[name];
    const found = said[name];
    if (typeof wanted === "object") {
      if (typeof found !== "object") return null;
      const left = found.filter((one) => narrow(one, wanted) !== null);
      if (left.length === 0) return null;
      if (left.length < found.length) out = { ...out, [name]: left };
    } else if (wanted !== found) return null;
  }
  return out;
}
