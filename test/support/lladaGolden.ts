/** The small random model of test/goldens/llada.py, made again, and its golden numbers. */
import { readFileSync } from "node:fs";
import { type RediffConfig, preset } from "../../src/model/config.ts";
import { parameterSpecs, PROJECTOR, VISION } from "../../src/model/parameterSpecs.ts";
import type { Rediff } from "../../src/model/rediff.ts";
import type { Remasking } from "../../src/sample/reference.ts";
import { type Device, type Tensor, tensor } from "../../src/tensor/index.ts";
import { formulaParameters, lehmer, type LossGolden, type Sketch, type StepsGolden } from "./publishedTraining.ts";

export interface LladaGolden {
  readonly rows: readonly (readonly number[])[];
  readonly forward: Readonly<
    Record<"attended" | "masked", { states: readonly Sketch[]; logits: Sketch; row: readonly number[] }>
  >;
  readonly losses: Readonly<Record<"eq2" | "stage1" | "stage1Phrase" | "stage2", LossGolden>>;
  readonly adamW: StepsGolden;
  readonly runs: readonly Run[];
  /** The seed of what the batches draw. */
  readonly draws: number;
  readonly batches: readonly {
    readonly name: string;
    readonly options: RunOptions;
    readonly rows: readonly RunRow[];
  }[];
}

interface RunOptions {
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
  readonly temperature?: number;
  readonly remasking?: Remasking;
}

interface RunRow {
  readonly prompt: readonly number[];
  /** Seed of the image's embeddings, and their number: 6 where this is absent. */
  readonly image: number;
  readonly tokens?: number;
  /** The canvas before each step, and what came out: up to the end of turn, then the suffix. */
  readonly steps: readonly (readonly number[])[];
  readonly result: readonly number[];
}

export type Run = RunRow & { readonly name: string; readonly options: RunOptions };

export const golden = JSON.parse(
  readFileSync(new URL("../goldens/llada.json", import.meta.url), "utf8"),
) as LladaGolden;

export const lladaIds = { start: 300, end: 301, mask: 302, headerStart: 303, headerEnd: 304, turnEnd: 305 };

export const imageOf = (device: Device, seed: number, P: number, C: number): Tensor =>
  tensor(device, Float32Array.from(lehmer(seed, P * C)), [P, C]);

export function lladaModel(device: Device): Rediff {
  const text = { vocabulary: 320, width: 64, layers: 3, heads: 4, mlp: 128, ropeBase: 500_000, eps: 1e-5, canvas: 24 };
  const config: RediffConfig = { ...preset("nano"), name: "llada golden", text };
  const specs = parameterSpecs(config).filter(({ name }) => !name.startsWith(VISION) && !name.startsWith(PROJECTOR));
  return { device, config, parameters: formulaParameters(device, specs, text.width) };
}
