/** The small random model of test/goldens/llada.py, made again, and its golden numbers. */
import { readFileSync } from "node:fs";
import { type RediffConfig, preset } from "../../src/model/config.ts";
import { parameterSpecs, PROJECTOR, VISION } from "../../src/model/parameterSpecs.ts";
import type { Rediff } from "../../src/model/rediff.ts";
import { createParameters } from "../../src/nn/parameters.ts";
import { type Device, sizeOf, type Tensor, tensor } from "../../src/tensor/index.ts";

/** Norm, and projection on random numbers. */
export type Sketch = readonly [number, number];

interface LossRow {
  readonly shown: readonly number[];
  readonly labels: readonly number[];
  readonly kinds: readonly ("none" | "mask" | "random" | "span" | "phrase" | "clean")[];
  readonly t: number;
  /** What decided about masks and random tokens: uniform numbers of each text position. Of stage1Phrase only. */
  readonly hits?: readonly [masked: readonly number[], random: readonly number[]];
}

export interface LladaGolden {
  readonly rows: readonly (readonly number[])[];
  readonly forward: Readonly<
    Record<"attended" | "masked", { states: readonly Sketch[]; logits: Sketch; row: readonly number[] }>
  >;
  readonly losses: Readonly<
    Record<
      "eq2" | "stage1" | "stage1Phrase" | "stage2",
      { rows: readonly LossRow[]; loss: number; gradients: Readonly<Record<string, Sketch>> }
    >
  >;
  readonly adamW: { readonly losses: readonly number[]; readonly moved: Readonly<Record<string, Sketch>> };
  readonly runs: readonly {
    readonly name: string;
    readonly options: {
      readonly steps: number;
      readonly gen_length: number;
      readonly block_length: number;
      readonly stopping_criteria?: readonly string[];
      /** Their ids; one of the end of turn where this is absent. */
      readonly stops?: readonly (readonly number[])[];
      readonly generation_suffix?: string;
      readonly cfg_scale?: number;
      readonly revise?: boolean;
      readonly revise_topk?: number;
      readonly revise_start?: number;
      readonly fake_ans?: readonly number[];
    };
    readonly prompt: readonly number[];
    /** Seed of the image's six embeddings. */
    readonly image: number;
    /** The canvas before each step, and what came out: up to the end of turn, then the suffix. */
    readonly steps: readonly (readonly number[])[];
    readonly result: readonly number[];
  }[];
}

export const golden = JSON.parse(
  readFileSync(new URL("../goldens/llada.json", import.meta.url), "utf8"),
) as LladaGolden;

export const lladaIds = { start: 300, end: 301, mask: 302, headerStart: 303, headerEnd: 304, turnEnd: 305 };

/** Numbers in (-1, 1): the script's formula. */
export function lehmer(seed: number, count: number): Float64Array {
  let x = (seed % 2147483646) + 1;
  return Float64Array.from({ length: count }, () => (x = (x * 48271) % 2147483647) / 1073741823.5 - 1);
}

export function sketch(values: ArrayLike<number>): Sketch {
  const direction = lehmer(99, values.length);
  const own = Float64Array.from(values);
  return [Math.hypot(...own), own.reduce((sum, value, i) => sum + value * direction[i]!, 0)];
}

export const imageOf = (device: Device, seed: number, P: number, C: number): Tensor =>
  tensor(device, Float32Array.from(lehmer(seed, P * C)), [P, C]);

export function lladaModel(device: Device): Rediff {
  const text = { vocabulary: 320, width: 64, layers: 3, heads: 4, mlp: 128, ropeBase: 500_000, eps: 1e-5, canvas: 24 };
  const config: RediffConfig = { ...preset("nano"), name: "llada golden", text };
  const specs = parameterSpecs(config).filter(({ name }) => !name.startsWith(VISION) && !name.startsWith(PROJECTOR));
  const gains: Readonly<Record<string, number>> = { "lm_head.weight": 5, "model.embed_tokens.weight": 8 };
  const parameters = createParameters(device, specs, ({ name, shape }) => {
    const codes = Array.from({ length: name.length }, (_, i) => (i + 1) * name.charCodeAt(i));
    const seed = codes.reduce((sum, code) => sum + code, 0) * 7919;
    const values = lehmer(seed, sizeOf(shape));
    const scale = (gains[name] ?? 1.7) / Math.sqrt(shape[1] ?? 1);
    return Float32Array.from(values, (value) => (shape.length === 1 ? 1 + 0.2 * value : scale * value));
  });
  return { device, config, parameters };
}
