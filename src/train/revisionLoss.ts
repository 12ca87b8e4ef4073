/**
 * The losses of refining, eq. 3 to 5. A loss is a weight for the cross-entropy of each position, by its category:
 *
 *   L_type = w(p) · (1/N_type) · Σ_{i of type} −log p_θ(r_0[i] | v, p_0, r_t)      total = Σ_type L_type, mean over the batch
 *
 * N_type counts the positions of one answer; a category that an answer lacks adds nothing. What w and N are is a preset.
 */
import { RediffError } from "../tensor/index.ts";
import { type Canvas, categoryIds, type TokenCategory, tokenCategories } from "./corruption.ts";

/** One term of the total. */
export interface Loss<C extends TokenCategory> {
  /** w(p). */
  readonly weight: (p: number) => number;
  /** The categories that N counts, C among them. */
  readonly counted: readonly [C, ...TokenCategory[]];
}

export type Losses = { readonly [C in TokenCategory]: Loss<C> };

const inverse = (p: number): number => 1 / p;
const one = (): number => 1;

/** A nearly unmasked answer would otherwise be all copying: N is large and 1/p reaches 1000. */
const MAX_WEIGHT = 20;
const bounded = (p: number): number => Math.min(1 / p, MAX_WEIGHT);

/**
 * - paper: eq. 3 and 5 to the letter.
 * - reference: as the released code does. Syntax and hallucination are one term, and mistakes are divided by p too.
 * - fixed: four terms with 1/p of at most 20, mistakes without 1/p.
 */
export const lossPresets = {
  paper: {
    mask: { weight: inverse, counted: ["mask"] },
    syntax: { weight: inverse, counted: ["syntax"] },
    hallucination: { weight: inverse, counted: ["hallucination"] },
    clean: { weight: inverse, counted: ["clean"] },
    mistake: { weight: one, counted: ["mistake"] },
  },
  reference: {
    mask: { weight: inverse, counted: ["mask"] },
    syntax: { weight: inverse, counted: ["syntax", "hallucination"] },
    hallucination: { weight: inverse, counted: ["hallucination", "syntax"] },
    clean: { weight: inverse, counted: ["clean"] },
    mistake: { weight: inverse, counted: ["mistake"] },
  },
  fixed: {
    mask: { weight: bounded, counted: ["mask"] },
    syntax: { weight: bounded, counted: ["syntax"] },
    hallucination: { weight: bounded, counted: ["hallucination"] },
    clean: { weight: bounded, counted: ["clean"] },
    mistake: { weight: one, counted: ["mistake"] },
  },
} as const satisfies Record<string, Losses>;

const nothing = <C extends TokenCategory>(name: C): Loss<C> => ({ weight: () => 0, counted: [name] });

/** Eq. 2 with 1/p of at most `maxWeight`: masked positions only, over the length of the answer. */
export const maskLosses = (maxWeight: number): Losses => ({
  mask: { weight: (p) => Math.min(1 / p, maxWeight), counted: tokenCategories },
  syntax: nothing("syntax"),
  hallucination: nothing("hallucination"),
  clean: nothing("clean"),
  mistake: nothing("mistake"),
});

/** Weights (T) for the cross-entropy of a canvas made at noise level p. Throws RediffError unless 0 < p <= 1. */
export function lossWeights({ category }: Canvas, p: number, losses: Losses): Float32Array {
  if (!(p > 0 && p <= 1)) throw new RediffError(`A noise level is above 0 and at most 1; it is ${p}.`, { p });
  const counts = new Uint32Array(tokenCategories.length + 1);
  for (const id of category) counts[id]!++;
  const weights = tokenCategories.map((name) => {
    const { weight, counted } = losses[name];
    const N = counted.reduce((sum, other) => sum + counts[categoryIds[other]]!, 0);
    return N ? weight(p) / N : 0;
  });
  return Float32Array.from(category, (id) => weights[id] ?? 0);
}
