/**
 * Where the paper and its released code disagree about training, as one set of switches with three names.
 *
 * - paper: sections 3.2, 3.3 and 4.1 as they are printed.
 * - reference: what the released code does (its joint variant).
 * - fixed: what we think is right. Pairs of unequal length are learned, and eq. 3's 1/p is bounded.
 */
import { type Losses, lossPresets } from "./revisionLoss.ts";

export interface Recipe {
  /** Probability of a random token at a visible position; "dynamic" is Table 5's rule. */
  readonly replacement: number | "dynamic";
  /** A false phrase is put in before the masks, which then spare it, or after them, where they left it visible. */
  readonly phrase: "guarded" | "afterMasks";
  /** Pairs and revisions whose two sides differ in token count are dropped ("equal") or shift what follows ("any"). */
  readonly lengths: "equal" | "any";
  readonly losses: Losses;
}

export const recipes = {
  paper: { replacement: 0.1, phrase: "afterMasks", lengths: "equal", losses: lossPresets.paper },
  reference: { replacement: 0.05, phrase: "guarded", lengths: "equal", losses: lossPresets.reference },
  fixed: { replacement: 0.1, phrase: "guarded", lengths: "any", losses: lossPresets.fixed },
} as const satisfies Record<string, Recipe>;

export type RecipeName = keyof typeof recipes;
export const recipeNames = Object.keys(recipes) as readonly RecipeName[];
