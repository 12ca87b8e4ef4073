/** What `rediff tune` measures of matmul: one product for each bucket, checked against f64 at some elements. */
import {
  type Device,
  matmul,
  type MatmulPrecision,
  noGrad,
  randomStream,
  scope,
  tensor,
  transpose,
} from "../tensor/index.ts";
import { type MatmulLayout, matmulChoice, type MatmulSizes } from "../tensor/ops/matmulPlan.ts";
import { type TuningState, variantFor, withTuning } from "../tensor/tuning.ts";

/** One bucket of one operation, to be measured with each of `candidates`. */
export interface Trial {
  readonly op: string;
  readonly bucket: string;
  readonly sizes: string;
  readonly candidates: readonly string[];
  /** What runs without a table of the user's own. */
  readonly shipped: string;
  /** Runs `body` with the operands on the device, and frees them. */
  open<R>(device: Device, body: (work: Work) => Promise<R>): Promise<R>;
}

export interface Work {
  /** Records the operation once, as this variant does it. */
  run(variant: string): void;
  /** Runs a variant; says what is wrong with its answer, or nothing. */
  check(variant: string): Promise<string | undefined>;
}

/** M, N, K of the buckets, by the size of c: what decoding and training of `small` have, then larger models. */
const forward: readonly (readonly number[])[] = [
  [4, 512, 512],
  [112, 128, 128],
  [1792, 384, 128],
  [2048, 1024, 512],
];
/** Gradients of weights: c has the weight's size, and K counts tokens. */
const ofWeights: readonly (readonly number[])[] = [
  [4, 512, 512],
  [128, 384, 1792],
  [512, 1024, 1024],
  [2048, 1024, 512],
];

/** A product of each bucket, in whole vectors and ragged, with the variants that this adapter can run. */
export function matmulTrials({ traits }: TuningState): Trial[] {
  const state = { traits, tables: [] };
  // Rounding is a choice only where matrix units ask for it.
  const precisions = traits.matrix.f16 ? (["f32", "f16"] as const) : (["f32"] as const);
  const trial = (precision: MatmulPrecision, layout: MatmulLayout, sizes: readonly number[]): Trial => {
    const [M, N, K] = sizes as [number, number, number];
    const call: MatmulSizes = { layout, batch: 1, M, N, K, aStride: M * K, bStride: K * N, weight: "f32", precision };
    return {
      op: matmulChoice.op,
      bucket: matmulChoice.bucketOf(call),
      sizes: `${M}×${K} by ${K}×${N}`,
      candidates: Object.entries(matmulChoice.variants).flatMap(([name, { fits }]) =>
        fits(call, traits) ? [name] : [],
      ),
      shipped: variantFor(matmulChoice, call, state),
      open: (device, body) => openProduct(device, call, body),
    };
  };
  return precisions.flatMap((precision) =>
    (["NN", "NT", "TN"] as const).flatMap((layout) =>
      [0, 1].flatMap((less) =>
        (layout === "TN" ? ofWeights : forward).map((sizes) =>
          trial(
            precision,
            layout,
            sizes.map((n) => n - less),
          ),
        ),
      ),
    ),
  );
}

/** Most that an answer may be off, of the sum of magnitudes: rounding of f32 sums, or of both operands to 11 bits. */
const TOLERANCE = { f32: 2e-6, f16: 1e-3 } as const;

function openProduct<R>(device: Device, call: MatmulSizes, body: (work: Work) => Promise<R>): Promise<R> {
  const { layout, M, N, K, precision } = call;
  const bucket = matmulChoice.bucketOf(call);
  const random = randomStream(1, 0);
  const values = (count: number) => Float32Array.from({ length: count }, () => random.normal());
  const [left, right] = [values(M * K), values(K * N)];
  const [turnA, turnB] = [layout === "TN", layout === "NT"];
  const product = (variant: string, a: Parameters<typeof matmul>[0], b: Parameters<typeof matmul>[0]) =>
    withTuning(device, { [matmulChoice.op]: { [bucket]: variant } }, () => {
      const before = device.matmulPrecision;
      device.matmulPrecision = precision;
      try {
        return matmul(turnA ? transpose(a) : a, turnB ? transpose(b) : b);
      } finally {
        device.matmulPrecision = before;
      }
    });
  return noGrad(device, () =>
    scope(device, async () => {
      const a = tensor(device, left, turnA ? [K, M] : [M, K]);
      const b = tensor(device, right, turnB ? [N, K] : [K, N]);
      return body({
        run: (variant) => scope(device, () => void product(variant, a, b)),
        check: (variant) =>
          scope(device, async () => {
            const got = await product(variant, a, b).read();
            for (let i = 0; i < 256; i++) {
              // The corners, where tiles are cut off, and elements anywhere.
              const m = i < 4 ? (i & 1) * (M - 1) : random.int(M);
              const n = i < 4 ? (i >> 1) * (N - 1) : random.int(N);
              let [want, size] = [0, 0];
              for (let k = 0; k < K; k++) {
                const term = left[turnA ? k * M + m : m * K + k]! * right[turnB ? n * K + k : k * N + n]!;
                want += term;
                size += Math.abs(term);
              }
              const value = got[m * N + n]!;
              // Rounding acts on the sum of magnitudes.
              if (!(Math.abs(value - want) <= TOLERANCE[precision] * size))
                return `c[${m}, ${n}] is ${value}, not ${want}`;
            }
            return undefined;
          }),
      });
    }),
  );
}
