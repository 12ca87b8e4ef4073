/**
 * Where the paper and its released code disagree about decoding, as one set of switches with three names.
 *
 * - paper: section 3.4 as it is printed. Everything goes by confidence, the ends of a caption too.
 * - reference: what the released code does; see reference.ts.
 * - fixed: what we think is right. The ends of a caption are committed last, and visible tokens can be kept by a gate.
 */
import { type SpecialToken, specialTokens } from "../model/tokenizer.ts";
import type { Decoder } from "./decoder.ts";
import { maskPredict } from "./maskPredict.ts";
import { refineWith } from "./refine.ts";
import { reference } from "./referenceDecoder.ts";

export interface Sampler {
  /** When the ends of a caption may be committed: see `CaptionOptions`. */
  readonly ends: "any" | "last";
  /** Special tokens that are never chosen, where the tokenizer has them. */
  readonly banned: readonly SpecialToken[];
  /** Mask prediction, or refining with a gate. */
  readonly decoder: (kind: "mask" | "refine", gate: number) => Decoder;
}

const { start, end, headerStart, headerEnd, image } = specialTokens;
const structure = [start, headerStart, headerEnd, image];
const gated = (kind: "mask" | "refine", gate: number): Decoder => (kind === "mask" ? maskPredict : refineWith(gate));

export const samplers = {
  paper: { ends: "any", banned: structure, decoder: gated },
  reference: { ends: "any", banned: [...structure, end], decoder: (kind) => reference({ refine: kind === "refine" }) },
  fixed: { ends: "last", banned: structure, decoder: gated },
} as const satisfies Record<string, Sampler>;

export type SamplerName = keyof typeof samplers;
export const samplerNames = Object.keys(samplers) as readonly SamplerName[];
