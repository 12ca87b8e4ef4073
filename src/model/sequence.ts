/**
 * Sequences of text, images and a canvas, spliced in embedding space, for a batch whose rows may differ in everything.
 *
 * A row is a list of ids in which `IMAGE` stands for the tokens of the next image. All embeddings of a batch lie in one
 * table (text, then images, then the canvas), and an index says which of them stands where: so any number of images
 * at any place, rows of different length, and their gradients are one `gather`.
 */
import { linear } from "../nn/linear.ts";
import { section } from "../nn/parameters.ts";
import { lookUp } from "../nn/weight.ts";
import { concat, type Device, gather, reshape, ShapeError, type Tensor, tensor, zeros } from "../tensor/index.ts";
import { diffusionTransformer, type Places, type TransformerOptions } from "./diffusionTransformer.ts";
import type { LanguageModel } from "./rediff.ts";

/** Stands in a row of ids where an image comes in: LLaVA's IMAGE_TOKEN_INDEX, which no embedding table has. */
export const IMAGE = -200;

export interface SequenceRows {
  /** Ids of each row, with `IMAGE` for each image, in the order of the images of the batch. */
  readonly rows: readonly (readonly number[])[];
  /** Tokens T of a canvas that follows each row. Its ids are given later, on the device. Default: 0. */
  readonly canvas?: number;
  /** The places of each row, as indices into its ids, whose logits are wanted. Default: the canvas. */
  readonly wanted?: readonly (readonly number[])[];
  /**
   * Rows that are shorter than the longest end in zeros. Are these attended? LLaDA-V does so in training (it gives no
   * attention mask), where the answer of a row then depends on its neighbours in the batch. Default: no.
   */
  readonly attendPads?: boolean;
}

/** Where everything stands, by index. Pure: it knows counts only. */
export interface SequenceLayout {
  /** Text ids of all rows, one after the other. */
  readonly text: readonly number[];
  /** (B·L) rows of the table [text | images | a row of zeros where rows are ragged | canvas]. */
  readonly index: Uint32Array;
  /** (M) wanted rows of the (B·L) that come out. */
  readonly wanted: Uint32Array;
  /** Where the wanted places of each row begin, if they follow each other and are as many in each. */
  readonly starts: readonly number[] | undefined;
  /** Tokens of each row with its images, without its canvas; and with it. */
  readonly promptLengths: readonly number[];
  readonly lengths: Uint32Array;
  readonly L: number;
}

/** Lays out a batch. `imageTokens` are the token counts P of its images, in order. Throws where images and places differ in number. */
export function layoutSequences(
  { rows, canvas: T = 0, wanted }: SequenceRows,
  imageTokens: readonly number[],
): SequenceLayout {
  const imagePlaces = rows.reduce((count, row) => count + row.filter((id) => id === IMAGE).length, 0);
  if (imagePlaces !== imageTokens.length)
    throw new ShapeError(
      `The ids have ${imagePlaces} places for images, and there are ${imageTokens.length} images. Give one for each place, in order.`,
      { places: imagePlaces, images: imageTokens.length },
    );
  if (!T && !wanted?.some((of) => of.length))
    throw new ShapeError(
      "Nothing is wanted of these sequences. Give them a canvas, or the places whose logits you need.",
    );
  const text = rows.flatMap((row) => row.filter((id) => id !== IMAGE));
  const promptLengths: number[] = [];
  const starts: number[][] = [];
  let image = 0;
  for (const row of rows) {
    let length = 0;
    starts.push(
      row.map((id) => {
        const at = length;
        length += id === IMAGE ? imageTokens[image++]! : 1;
        return at;
      }),
    );
    promptLengths.push(length);
  }
  const lengths = Uint32Array.from(promptLengths, (length) => length + T);
  const L = Math.max(...lengths);
  const ragged = lengths.some((length) => length < L);

  const imageRows = imageTokens.reduce((sum, P) => sum + P, 0);
  const zeroRow = text.length + imageRows;
  const index = new Uint32Array(rows.length * L).fill(zeroRow);
  let nextText = 0;
  let nextImage = text.length;
  let nextCanvas = zeroRow + Number(ragged);
  image = 0;
  rows.forEach((row, b) => {
    let at = b * L;
    for (const id of row) {
      const count = id === IMAGE ? imageTokens[image++]! : 1;
      for (let i = 0; i < count; i++) index[at++] = id === IMAGE ? nextImage++ : nextText++;
    }
    for (let i = 0; i < T; i++) index[at++] = nextCanvas++;
  });
  const places = wanted
    ? wanted.map((of, b) => of.map((i) => starts[b]![i]!))
    : promptLengths.map((length) => Array.from({ length: T }, (_, i) => length + i));
  return {
    text,
    index,
    wanted: Uint32Array.from(places.flatMap((of, b) => of.map((at) => b * L + at))),
    starts: startsOf(places),
    promptLengths,
    lengths,
    L,
  };
}

function startsOf(places: readonly (readonly number[])[]): number[] | undefined {
  const W = places[0]!.length;
  const even = places.every((of) => of.length === W && of.every((at, i) => at === of[0]! + i));
  return even ? places.map(([first]) => first!) : undefined;
}

/** A batch on the device, ready for any number of canvases. Everything is differentiable. */
export interface Sequences {
  readonly layout: SequenceLayout;
  /** Embeddings (N, C) of all that is no canvas. */
  readonly fixed: Tensor;
  readonly index: Tensor;
  /** `layout.wanted`, and `layout.starts` where there are. */
  readonly wanted: Pick<Places, "index"> & Partial<Places>;
  /** (B), where padding is to be left out of attention. */
  readonly lengths: Tensor | undefined;
}

/**
 * Embeds the text of a batch and puts it beside its images. Each tensor of `images` holds one image, (P, C), or n of
 * equal size, (n, P, C).
 */
export function embedSequences(model: LanguageModel, images: readonly Tensor[], rows: SequenceRows): Sequences {
  const { device, config, parameters } = model;
  const C = config.text.width;
  const counts = images.flatMap(({ shape }) => {
    const [n, P] = shape.length === 2 ? [1, shape[0]!] : [shape[0]!, shape[1]!];
    return Array.from({ length: n }, () => P);
  });
  const layout = layoutSequences(rows, counts);
  const ids = (values: ArrayLike<number>, label: string) => upload(device, values, label);
  const parts = images.map((image) => reshape(image, [image.size / C, C]));
  if (layout.text.length)
    parts.unshift(lookUp(section(parameters, "model.").matrix("embed_tokens.weight"), ids(layout.text, "prompt")));
  const ragged = layout.lengths.some((length) => length < layout.L);
  if (ragged) parts.push(zeros(device, [1, C]));
  return {
    layout,
    fixed: parts.length === 1 ? parts[0]! : concat(parts, 0),
    index: ids(layout.index, "sequence"),
    wanted: { index: ids(layout.wanted, "wanted"), ...(layout.starts && { starts: layout.starts }) },
    lengths: ragged && !rows.attendPads ? ids(layout.lengths, "lengths") : undefined,
  };
}

const upload = (device: Device, values: ArrayLike<number>, label: string): Tensor =>
  tensor(device, values, [values.length], "u32", label);

/** Hidden states (M, C), after the final norm, of the wanted places; `canvas` is u32 (B, T). */
export function sequenceStates(
  { parameters, config, recompute = false }: LanguageModel,
  { layout, fixed, index, wanted, lengths }: Sequences,
  canvas?: Tensor,
  onKeys?: TransformerOptions["onKeys"],
): Tensor {
  const C = config.text.width;
  const table = canvas
    ? concat(
        [fixed, reshape(lookUp(section(parameters, "model.").matrix("embed_tokens.weight"), canvas), [canvas.size, C])],
        0,
      )
    : fixed;
  const B = layout.lengths.length;
  const hidden = reshape(gather(table, index), [B, layout.L, C]);
  const { starts, index: places } = wanted;
  const mixed = diffusionTransformer(parameters, hidden, config.text, {
    recompute,
    lengths,
    wanted: starts && { starts, index: places },
    ...(onKeys ? { onKeys } : {}),
  });
  const states = reshape(mixed, [mixed.size / C, C]);
  return starts ? states : gather(states, places);
}

/** Logits (M, V) of the wanted places. */
export const sequenceLogits = (model: LanguageModel, sequences: Sequences, canvas?: Tensor): Tensor =>
  linear(sequenceStates(model, sequences, canvas), section(model.parameters, "lm_head.").matrix("weight"));

/**
 * Logits (B, T, V) for a canvas (B, T) that follows the prompts, one for each row: ids, with `IMAGE` for each image. The images
 * of the batch come in order, as `encodeImage` returns them, (n, P, C), or one by one, (P, C).
 */
export function canvasLogits(
  model: LanguageModel,
  images: readonly Tensor[],
  prompts: readonly (readonly number[])[],
  canvas: Tensor,
): Tensor {
  const [B, T] = canvas.shape as [number, number];
  if (prompts.length !== B)
    throw new ShapeError(`canvasLogits: one prompt for each canvas; there are ${prompts.length} and ${B}.`);
  const logits = sequenceLogits(model, embedSequences(model, images, { rows: prompts, canvas: T }), canvas);
  return reshape(logits, [B, T, model.config.text.vocabulary]);
}
