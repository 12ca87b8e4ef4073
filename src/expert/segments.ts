/**
 * The segments in which a corrected text differs from a draft: an alignment of words with the fewest changed words, among
 * those with the fewest segments, among those that change the fewest word counts.
 *
 * A word is compared together with the space before it, so the segments turn one text into the other to the letter. Words
 * that are only added or left out would leave one side empty: such a segment takes in the word before.
 */
import { splitWords } from "../data/captionGrammar.ts";
import type { Segment } from "./expert.ts";

interface Piece {
  /** The word with the characters since the word before; the last piece also holds what follows it. */
  readonly text: string;
  readonly start: number;
}

function pieces(text: string): Piece[] {
  const words = splitWords(text);
  return words.map(({ end }, i) => {
    const start = words[i - 1]?.end ?? 0;
    return { text: text.slice(start, i === words.length - 1 ? text.length : end), start };
  });
}

// One changed word weighs more than any number of segments, and one segment more than any number of uneven words.
const changedWord = 2 ** 24;
const openedSegment = 2 ** 12;
const unevenWord = 1;

const moves = ["keep", "replace", "remove", "add"] as const;
type Move = (typeof moves)[number];

/** The segments that turn `draft` into `corrected`, in the order of the draft. */
export function segmentsBetween(draft: string, corrected: string): Segment[] {
  const [a, b] = [pieces(draft), pieces(corrected)];
  if (a.length === 0)
    return draft === corrected ? [] : [{ wrong: draft, right: corrected, start: 0, end: draft.length }];
  const runs = changedRuns(a, b);
  return runs.map(({ from, to, rightFrom, rightTo }) => {
    const slice = (text: string, list: readonly Piece[], i: number, j: number): string =>
      text.slice(list[i]?.start ?? text.length, list[j]?.start ?? text.length);
    const wrong = slice(draft, a, from, to);
    const right = slice(corrected, b, rightFrom, rightTo);
    const start = (a[from] as Piece).start;
    const lead = /^\s*/.exec(wrong)![0];
    const skip = right.startsWith(lead) && wrong.length > lead.length && right.length > lead.length ? lead.length : 0;
    return { wrong: wrong.slice(skip), right: right.slice(skip), start: start + skip, end: start + wrong.length };
  });
}

/** Words [from, to) of the draft and the words of the corrected text that stand for them. */
interface Run {
  from: number;
  to: number;
  rightFrom: number;
  rightTo: number;
}

function changedRuns(a: readonly Piece[], b: readonly Piece[]): Run[] {
  const runs: Run[] = [];
  let [i, j] = [0, 0];
  let open: Run | null = null;
  for (const move of alignment(a, b)) {
    if (move === "keep") open = null;
    else if (open === null) runs.push((open = { from: i, to: i, rightFrom: j, rightTo: j }));
    if (move !== "add") i++;
    if (move !== "remove") j++;
    if (open !== null) [open.to, open.rightTo] = [i, j];
  }
  const out: Run[] = [];
  for (const run of runs) {
    const filled = run.to > run.from && run.rightTo > run.rightFrom ? run : withNeighbour(run, a.length, b.length);
    const before = out.at(-1);
    // The word between two segments can be taken in by both.
    if (before !== undefined && filled.from < before.to) [before.to, before.rightTo] = [filled.to, filled.rightTo];
    else out.push({ ...filled });
  }
  return out;
}

/** A run of words that are only added or left out with the word before, or at the beginning of the text the word after. */
function withNeighbour({ from, to, rightFrom, rightTo }: Run, n: number, m: number): Run {
  if (from > 0 && rightFrom > 0) return { from: from - 1, to, rightFrom: rightFrom - 1, rightTo };
  return { from, to: Math.min(n, to + 1), rightFrom, rightTo: Math.min(m, rightTo + 1) };
}

/** The cheapest moves from a to b. best[(i·(m+1)+j)·2+changing]: the least cost of the words from (i, j) on. */
function alignment(a: readonly Piece[], b: readonly Piece[]): Move[] {
  const [n, m] = [a.length, b.length];
  const at = (i: number, j: number, changing: number): number => (i * (m + 1) + j) * 2 + changing;
  const best = new Float64Array((n + 1) * (m + 1) * 2).fill(Infinity);
  const cost = (move: Move, i: number, j: number, changing: number): number => {
    if ((move !== "add" && i >= n) || (move !== "remove" && j >= m)) return Infinity;
    if (move === "keep") return a[i]!.text === b[j]!.text ? best[at(i + 1, j + 1, 0)]! : Infinity;
    const price = changedWord + (changing ? 0 : openedSegment) + (move === "replace" ? 0 : unevenWord);
    return price + best[at(i + (move === "add" ? 0 : 1), j + (move === "remove" ? 0 : 1), 1)]!;
  };
  for (let i = n; i >= 0; i--) {
    for (let j = m; j >= 0; j--) {
      for (let changing = 0; changing < 2; changing++)
        best[at(i, j, changing)] =
          i === n && j === m ? 0 : Math.min(...moves.map((move) => cost(move, i, j, changing)));
    }
  }
  const out: Move[] = [];
  let [i, j, changing] = [0, 0, 0];
  while (i < n || j < m) {
    const move = moves.find((move) => cost(move, i, j, changing) === best[at(i, j, changing)]) as Move;
    out.push(move);
    if (move !== "add") i++;
    if (move !== "remove") j++;
    changing = Number(move !== "keep");
  }
  return out;
}
