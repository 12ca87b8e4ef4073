/**
 * Appendix A: does the model mend a caption that somebody has spoiled? A right caption with one phrase made wrong is given
 * as a wholly visible canvas and refined; and so is the right one, in which nothing should change.
 */
import { captionSeed } from "../data/flagCaption.ts";
import { type ErrorKind, plantError } from "../data/captionErrors.ts";
import type { Rediff } from "../model/rediff.ts";
import { answerIds, specialTokens, type Tokenizer } from "../model/tokenizer.ts";
import { captionImages } from "../sample/caption.ts";
import { refine } from "../sample/refine.ts";
import { holdOutFlag, holdOutPicture, HOLD_OUT_SEED } from "./flags.ts";

export interface RepairTask {
  readonly index: number;
  readonly kind: ErrorKind;
  readonly right: string;
  readonly wrong: string;
  /** Canvases (T). */
  readonly rightIds: Uint32Array;
  readonly wrongIds: Uint32Array;
  /** Token positions [start, end) of the right phrase. Both texts are alike before it. */
  readonly start: number;
  readonly end: number;
}

/** What became of one task. Shares are taken over many. */
export interface RepairOutcome {
  readonly index: number;
  readonly kind: ErrorKind;
  /** The text after refining the spoiled caption. */
  readonly mended: string;
  /** 1: the right phrase stands where it should; and the whole text is the right one. */
  readonly span: number;
  readonly whole: number;
  /** Of the clean caption: tokens, and how many of them refining changed. */
  readonly tokens: number;
  readonly falseEdits: number;
}

/** The first `count` hold-out flags that can be spoiled and whose captions fit the canvas. A pure function. */
export function repairTasks(count: number, canvas: number, tokenizer: Tokenizer): RepairTask[] {
  const tasks: RepairTask[] = [];
  for (let index = 0; tasks.length < count && index < 20 * count; index++) {
    const error = plantError(holdOutFlag(index), captionSeed(HOLD_OUT_SEED, index, 1), index);
    if (!error) continue;
    const { right, wrong, kind } = error;
    const [rightIds, wrongIds] = [answerIds(right, tokenizer, canvas), answerIds(wrong, tokenizer, canvas)];
    if (!rightIds || !wrongIds) continue;
    const start = rightIds.findIndex((id, i) => id !== wrongIds[i]);
    const tail = tokenizer.encode(right.slice(error.rightEnd)).length;
    const end = Math.max(start + 1, tokenizer.encode(right).length - tail);
    tasks.push({ index, kind, right, wrong, rightIds, wrongIds, start, end });
  }
  return tasks;
}

/** Refines the spoiled and the clean captions of a batch of tasks, `steps` times each. */
export async function repair(
  model: Rediff,
  tokenizer: Tokenizer,
  tasks: readonly RepairTask[],
  steps: number,
): Promise<RepairOutcome[]> {
  const { vision, text } = model.config;
  const T = text.canvas;
  const pictures = tasks.map(({ index }) => holdOutPicture(index, vision.imageSize));
  const refined = async (canvases: readonly Uint32Array[]) => {
    const draft = new Uint32Array(T * canvases.length);
    canvases.forEach((canvas, i) => draft.set(canvas, i * T));
    return captionImages(model, tokenizer, pictures, refine, { tokensPerStep: Math.ceil(T / steps), draft });
  };
  const spoiled = await refined(tasks.map(({ wrongIds }) => wrongIds));
  const clean = await refined(tasks.map(({ rightIds }) => rightIds));
  return tasks.map(({ index, kind, right, rightIds, start, end }, i) => {
    const { text: mended, ids } = spoiled[i]!;
    const tokens = rightIds.indexOf(tokenizer.idOf(specialTokens.turnEnd));
    const same = (id: number, at: number) => id === rightIds[at];
    return {
      index,
      kind,
      mended,
      span: Number(ids.slice(start, end).every((id, k) => same(id, start + k))),
      whole: Number(mended === right),
      tokens,
      falseEdits: clean[i]!.ids.subarray(0, tokens).filter((id, k) => !same(id, k)).length,
    };
  });
}
