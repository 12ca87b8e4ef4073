/** What can keep an expert from judging. The messages never hold a key. */
import { RediffError } from "../tensor/errors.ts";

/** This expert cannot judge: a wrong key, a wrong address, a draft without what the expert needs. Asking again is no use. */
export class ExpertError extends RediffError {}
/** The expert did not answer this time, after all retries. Another draft, or a later run, may go through. */
export class ExpertUnavailableError extends ExpertError {}
/** The budget is spent. What was answered is kept, and a later run goes on from there. */
export class BudgetError extends ExpertError {}
