/** Many drafts through one expert, a few at a time. */
import { ExpertError, ExpertUnavailableError } from "./errors.ts";
import type { Draft, Expert, Revision } from "./expert.ts";

export interface ReviseAllOptions {
  /** Drafts under way at once. */
  readonly concurrency: number;
  /** After so many drafts in a row without an answer, the rest is not tried. */
  readonly patience?: number;
  /** Called for each revision as it comes, in any order. */
  readonly onRevision: (draft: Draft, revision: Revision) => void;
}

export interface Outcome {
  readonly revised: number;
  /** Drafts that the expert did not answer; another run may try them again. */
  readonly failed: readonly { readonly id: string; readonly why: string }[];
  /** Why the rest was not tried: the budget, a refusal, or too many failures in a row. */
  readonly stopped?: ExpertError;
}

/** Revises drafts until they are through or the expert has to stop. Errors that are not the expert's are thrown. */
export async function reviseAll(
  expert: Expert,
  drafts: Iterable<Draft>,
  { concurrency, patience = 5, onRevision }: ReviseAllOptions,
): Promise<Outcome> {
  const failed: { id: string; why: string }[] = [];
  let revised = 0;
  let inARow = 0;
  let stopped: ExpertError | undefined;
  let broken: { readonly error: unknown } | undefined;
  const queue = drafts[Symbol.iterator]();

  const worker = async (): Promise<void> => {
    while (!stopped && !broken) {
      try {
        const next = queue.next();
        if (next.done) return;
        const draft = next.value;
        try {
          onRevision(draft, await expert.revise(draft));
          revised++;
          inARow = 0;
        } catch (error) {
          if (!(error instanceof ExpertError)) throw error;
          if (!(error instanceof ExpertUnavailableError)) stopped ??= error;
          else {
            failed.push({ id: draft.id, why: error.message });
            if (++inARow >= patience) stopped ??= error;
          }
        }
      } catch (error) {
        broken ??= { error };
      }
    }
  };
  await Promise.all(Array.from({ length: concurrency }, worker));
  if (broken) throw broken.error;
  return { revised, failed, ...(stopped ? { stopped } : {}) };
}
