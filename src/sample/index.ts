/** What other rooms see of decoding: captions of pictures, and the decoders to make them with. */
export { type Caption, captionImages, captionLength, type CaptionOptions, captionText } from "./caption.ts";
export type { Decoder } from "./decoder.ts";
export { maskPredict } from "./maskPredict.ts";
export { type SamplerName, samplers } from "./presets.ts";
export { refine, refineWith } from "./refine.ts";
