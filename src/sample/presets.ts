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
import type { Remasking } from "./reference.ts";
import { refineWith } from "./refine.ts";
import { reference } from "./referenceDecoder.ts";
import { selfCorrect } from "./selfCorrect.ts";

export interface Sampler {
  /** When the ends of a caption may be committed: see `CaptionOptions`. */
  readonly ends: "any" | "last";
  /** Special tokens that are never chosen, where the tokenizer has them. */
  readonly banned: readonly SpecialToken[];
  readonly decoder: (kind: DecoderKind, options?: SamplerOptions) => Decoder;
}

/** Mask prediction, refining, or ProSeCo's self-correction, which all presets do alike. */
export const decoderKinds = ["mask", "refine", "correct"] as const;
export type DecoderKind = (typeof decoderKinds)[number];

export interface SamplerOptions {
  /** Of refining, except by `reference`: see refine.ts. Default: 0. */
  readonly gate?: number;
  /** By `reference`, and of self-correction: steps of the whole canvas. Default: from the tokens per step. */
  readonly steps?: number;
  /** By `reference`: see reference.ts. */
  readonly remasking?: Remasking;
  /** Of self-correction: see selfCorrect.ts. */
  readonly every?: number;
  readonly passes?: number;
}

const { start, end, headerStart, headerEnd, image } = specialTokens;
const structure = [start, headerStart, headerEnd, image];
const gated: Sampler["decoder"] = (kind, options = {}) => {
  if (kind === "correct") return selfCorrect(options);
  return kind === "mask" ? maskPredict : refineWith(options.gate ?? 0);
};
const released: Sampler["decoder"] = (kind, options = {}) =>
  kind === "correct" ? selfCorrect(options) : reference({ ...options, refine: kind === "refine" });

export const samplers = {
  paper: { ends: "any", banned: structure, decoder: gated },
  reference: { ends: "any", banned: [...structure, end], decoder: released },
  fixed: { ends: "last", banned: structure, decoder: gated },
} as const satisfies Record<string, Sampler>;

export type SamplerName = keyof typeof samplers;
export const samplerNames = Object.keys(samplers) as readonly SamplerName[];
