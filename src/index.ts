/** The package: what a program that uses rediff imports. The engine alone is `rediff/tensor`. */
export { readImage } from "./data/image.ts";
export { type Image, ImageError, toPixels } from "./data/resize.ts";
export { type FlagScore, scoreOnFlags } from "./eval/flags.ts";
export { loadModel, loadModelAs, saveModel } from "./model/checkpoint.ts";
export { encodePicture, type EncodeOptions } from "./model/encodePicture.ts";
export { preset, presets, type RediffConfig } from "./model/config.ts";
export {
  captionPrompt,
  chatPrompt,
  fillConversations,
  IGNORED,
  type Labelled,
  labelledConversation,
  systemSentence,
  type Turn,
} from "./model/prompt.ts";
export { createRediff, disposeRediff, encodeImage, parameterCount, type Rediff } from "./model/rediff.ts";
export { exportModel, type ExportOptions } from "./model/published/export.ts";
export { assembleModel, assembleModelAs, openPublished } from "./model/published/load.ts";
export { CheckpointError } from "./model/safetensors.ts";
export { canvasLogits, IMAGE } from "./model/sequence.ts";
export { loadTokenizer, type Tokenizer, TokenizerError } from "./model/tokenizer.ts";
export { answerPrompt, type Caption, captionImages, type CaptionOptions } from "./sample/caption.ts";
export { Change, type DecodeOptions, type Decoder, type DecodeRequest, type DecodeResult } from "./sample/decoder.ts";
export { maskPredict } from "./sample/maskPredict.ts";
export { type SamplerName, samplers } from "./sample/presets.ts";
export type { ReferenceRules } from "./sample/reference.ts";
export { reference } from "./sample/referenceDecoder.ts";
export { refine, refineWith } from "./sample/refine.ts";
export { createTrainer, defaultTrainOptions, type TrainOptions } from "./train/base.ts";
export type { Trainer } from "./train/trainer.ts";
