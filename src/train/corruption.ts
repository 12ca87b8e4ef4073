/**
 * How an answer becomes what the model is shown. A corruption is a function from canvas to canvas; `inOrder` chains them.
 * Each position has one category, so that each kind of damage has a loss of its own (eq. 3 and 5):
 *
 *   mask           the mask stands there                                        eq. 1
 *   syntax         another token of the vocabulary, drawn uniformly             section 3.2
 *   hallucination  part of a caption that contradicts the picture               section 3.2
 *   clean          the right token
 *   mistake        a token of the model's own draft that the expert changed     section 3.3
 */
import { type RandomStream, RediffError } from "../tensor/index.ts";

export const tokenCategories = ["mask", "syntax", "hallucination", "clean", "mistake"] as const;
export type TokenCategory = (typeof tokenCategories)[number];

/** The number that stands for a category in `Canvas.category`. */
export const categoryIds = Object.fromEntries(tokenCategories.map((name, id) => [name, id])) as {
  readonly [C in TokenCategory]: number;
};

/** In `Canvas.category`: a position without a loss, such as the part of a draft that the expert left alone. */
export const UNJUDGED: number = tokenCategories.length;

/** An answer of T tokens on its way to the model. */
export interface Canvas {
  /** r_t: what the model is shown. */
  readonly shown: Uint32Array;
  /** r_0: what it is to say. */
  readonly target: Uint32Array;
  readonly category: Uint32Array;
  /** Positions [start, end) that `maskTokens` leaves visible. */
  readonly guarded?: { readonly start: number; readonly end: number };
}

export interface Noise {
  /** The probability of the mask, from `noiseLevels`. */
  readonly p: number;
  readonly random: RandomStream;
  readonly maskId: number;
  /** Random tokens are drawn from ids below this: the vocabulary without the special tokens. */
  readonly ordinary: number;
}

export type Corruption = (canvas: Canvas, noise: Noise) => Canvas;

/** Corruptions, one after the other. */
export const inOrder =
  (...corruptions: readonly Corruption[]): Corruption =>
  (canvas, noise) =>
    corruptions.reduce((damaged, corrupt) => corrupt(damaged, noise), canvas);

/** The canvas before anything happens to it: all clean. */
export const cleanCanvas = (answer: Uint32Array): Canvas => ({
  shown: answer,
  target: answer,
  category: new Uint32Array(answer.length).fill(categoryIds.clean),
});

/** Absorbing mask, eq. 1: every position by itself with probability p, except guarded ones. */
export const maskTokens: Corruption = (canvas, { p, random, maskId }) =>
  damage(canvas, "mask", (i) => {
    const hit = random.uniform() < p;
    const guarded = canvas.guarded !== undefined && i >= canvas.guarded.start && i < canvas.guarded.end;
    return hit && !guarded ? maskId : undefined;
  });

/**
 * Random replacement: every clean position by itself becomes another ordinary token, with a fixed probability (section
 * 4.1: 0.1) or one that depends on p.
 */
export const replaceTokens =
  (rate: number | ((p: number) => number)): Corruption =>
  (canvas, { p, random, ordinary }) => {
    const probability = typeof rate === "number" ? rate : rate(p);
    return damage(canvas, "syntax", (i) => {
      const hit = random.uniform() < probability;
      if (canvas.category[i] !== categoryIds.clean || !hit) return undefined;
      // One of the ordinary ids that are not the right one.
      const right = canvas.target[i]!;
      const drawn = random.int(right < ordinary ? ordinary - 1 : ordinary);
      return right < ordinary && drawn >= right ? drawn + 1 : drawn;
    });
  };

/** Table 5, "dynamic revise ratio": the noise level itself while it is at most 0.1, above that nothing is replaced. */
export const dynamicRate = (p: number): number => (p <= 0.1 ? p : 0);

/**
 * Shows another caption than the right one wherever the two differ and the position is clean. `wrong` is the answer with
 * a false phrase, as long as the canvas. Of unequal length, the phrase shifts all that follows, and that counts as
 * hallucination too; only the phrase itself is guarded from masks that come later.
 */
export const plantPhrase =
  (wrong: Uint32Array): Corruption =>
  (canvas) => {
    const span = differingSpan(wrong, canvas.target);
    if (!span) return canvas;
    const planted = damage(canvas, "hallucination", (i) =>
      canvas.category[i] === categoryIds.clean && wrong[i] !== canvas.target[i] ? wrong[i] : undefined,
    );
    return { ...planted, guarded: { start: span.start, end: span.wrongEnd } };
  };

/**
 * The model's own draft as it is (section 3.3). Where it differs from what the expert made of it is a mistake; the rest has
 * no loss, because the expert may have missed something there.
 */
export const draftCanvas = (draft: Uint32Array, revised: Uint32Array): Canvas => ({
  shown: draft,
  target: revised,
  category: draft.map((id, i) => (id === revised[i] ? UNJUDGED : categoryIds.mistake)),
});

/**
 * The one stretch outside of which two canvases are alike: [start, wrongEnd) of `wrong` stands for [start, rightEnd) of
 * `right`, and what follows is the same but for a shift. Undefined when they are equal. Fill at the end does not count, so
 * a shift is seen as a shift. Throws RediffError when the lengths differ.
 */
export function differingSpan(
  wrong: Uint32Array,
  right: Uint32Array,
): { start: number; wrongEnd: number; rightEnd: number } | undefined {
  if (wrong.length !== right.length)
    throw new RediffError(`Two canvases must have one length; these have ${wrong.length} and ${right.length} tokens.`);
  const T = right.length;
  let start = 0;
  while (start < T && wrong[start] === right[start]) start++;
  if (start === T) return undefined;
  let [wrongEnd, rightEnd] = [withoutFill(wrong), withoutFill(right)];
  while (wrongEnd > start && rightEnd > start && wrong[wrongEnd - 1] === right[rightEnd - 1]) {
    wrongEnd--;
    rightEnd--;
  }
  return { start, wrongEnd, rightEnd };
}

/** Length of a canvas up to where its last token begins to repeat. */
function withoutFill(ids: Uint32Array): number {
  let end = ids.length;
  while (end > 1 && ids[end - 2] === ids.at(-1)) end--;
  return end;
}

/** Positions for which `replacement` names a token get it and the category. */
function damage(canvas: Canvas, name: TokenCategory, replacement: (i: number) => number | undefined): Canvas {
  const shown = canvas.shown.slice();
  const category = canvas.category.slice();
  for (let i = 0; i < shown.length; i++) {
    const id = replacement(i);
    if (id === undefined) continue;
    shown[i] = id;
    category[i] = categoryIds[name];
  }
  return { ...canvas, shown, category };
}
