import { type Decoder, decodeCanvas } from "./decoder.ts";

/**
 * Mask prediction: at each step the n most confident masked tokens are committed; a visible token never changes.
 * Source: LLaDA's generate with low-confidence remasking; section 3.1.
 */
export const maskPredict: Decoder = (model, request, options) =>
  decodeCanvas(model, request, options, { replace: false });
