/**
 * What a matrix product is, for those who plan it and those who launch it.
 *
 * Layouts name how the operands are stored; c is always (batch, M, N):
 *   NN  a (batch, M, K)   b (batch, K, N)
 *   NT  a (batch, M, K)   b (batch, N, K)
 *   TN  a (batch, K, M)   b (batch, K, N)
 */
import type { MatmulPrecision } from "../device.ts";
import type { Dtype } from "../dtype.ts";
import type { Variant } from "../kernel.ts";

export type MatmulLayout = "NN" | "NT" | "TN";

export interface MatmulSizes {
  readonly layout: MatmulLayout;
  readonly batch: number;
  readonly M: number;
  readonly N: number;
  readonly K: number;
  /** Scalars from one batch to the next. 0 broadcasts the operand. */
  readonly aStride: number;
  readonly bStride: number;
  /** How b is stored. */
  readonly weight: Dtype;
  /** "f16" only where matrix units would round operands, and may. */
  readonly precision: MatmulPrecision;
}

export interface MatmulLaunch extends Variant {
  readonly kernel: string;
  readonly params: Readonly<Record<string, number>>;
  readonly workgroups: readonly [number, number, number];
  /** Of kernels that read b through windows: where each begins in b, in bytes, by binding. */
  readonly offsets?: Readonly<Record<string, number>>;
}
