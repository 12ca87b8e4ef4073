/**
 * The exact expert: knows the flag, and turns a draft into the nearest caption that is grammatical and true. What the
 * draft states rightly stays; what it does not mention is added only when it is asked for.
 */
import { captionGrammar, joinWords, splitWords } from "../data/captionGrammar.ts";
import { scoreCaption } from "../data/captionParser.ts";
import { ExpertError } from "./errors.ts";
import { type Expert, type Lengths, reviseBy } from "./expert.ts";
import { nearestWords } from "./nearest.ts";
import { segmentsBetween } from "./segments.ts";
import { denials, truePlans } from "./truths.ts";

export type Omissions = "keep" | "mend";

export interface FactsOptions {
  /** Which corrections are kept; `any` when left out. */
  readonly lengths?: Lengths;
  /** What a draft leaves out: stays out (`keep`, when left out, as in the paper), or is added (`mend`). */
  readonly omissions?: Omissions;
  /** Tokens of a word in running text: of equally near captions, the one whose words have as many as the draft's is taken. */
  readonly tokensOfWord?: (word: string) => number;
}

/** An expert that needs `spec`. Offline, and a pure function of the draft. */
export function factsExpert({
  lengths = { lengths: "any" },
  omissions = "keep",
  tokensOfWord,
}: FactsOptions = {}): Expert {
  return {
    name: "facts",
    async revise({ id, text, spec }) {
      if (spec === undefined)
        throw new ExpertError(`The expert "facts" needs the flag behind a draft, but draft ${id} has none.`, { id });
      const { grammatical, hallucinated, missing } = scoreCaption(text, spec);
      const draft = splitWords(text).map(({ word }) => word);
      // "With no emblem" states no fact that a score could count, but of a flag with emblems it is false.
      const without = spec.charges.length > 0 ? denials : new Set<string>();
      const complete = omissions === "keep" || missing.length === 0;
      if (grammatical && hallucinated.length === 0 && complete && !draft.some((word) => without.has(word)))
        return reviseBy(text, [], lengths);
      const optional = omissions === "keep" ? missing : [];
      const words = nearestWords(captionGrammar, "caption", truePlans(spec, optional), draft, {
        without,
        ...(tokensOfWord === undefined ? {} : { tokens: tokensOfWord }),
      });
      if (words === null) throw new ExpertError(`The grammar has no words for the flag of draft ${id}.`, { id });
      return reviseBy(text, segmentsBetween(text, joinWords(words).text), lengths);
    },
  };
}
