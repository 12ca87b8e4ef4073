import { type Decoder, decodeCanvas } from "./decoder.ts";

/**
 * Refining: as mask prediction, and every token that was visible before the step is replaced by the new prediction.
 * Source: section 3.4. The released code does not gate the replacement; `gate` above 0 asks for a confidence.
 */
export const refineWith =
  (gate: number): Decoder =>
  (model, request, options) =>
    decodeCanvas(model, request, options, { replace: true, gate });

export const refine: Decoder = refineWith(0);
