import { add, concat, type Device, gather, mul, scatterRows, type Tensor, tensor } from "../tensor/index.ts";

/** How tokens are made of rows of features: token m is Σ weight · features[row] over terms[m]. */
export interface Packing {
  readonly terms: readonly (readonly { readonly row: number; readonly weight: number }[])[];
  /** The row that stands for a newline. */
  readonly newline: number;
}

/** What some rows of features give to the tokens: (m, C), and which token each row belongs to. */
export interface TokenShare {
  readonly values: Tensor;
  readonly tokens: readonly number[];
}

/**
 * The share of rows `first` to `first` + N − 1, given as features (N, C); undefined if no token is made of them. Much
 * smaller than the features where the map is scaled down, so that no picture needs the features of all its tiles at once.
 *
 * A sum over k of weight_k ⊙ gather(features, row_k), where k counts the terms of a token that lie in these rows.
 */
export function tokenShare(features: Tensor, first: number, { terms }: Packing): TokenShare | undefined {
  const [N] = features.shape as [number, number];
  const inside = terms.map((all) => all.filter(({ row }) => row >= first && row < first + N));
  const tokens = inside.flatMap((some, m) => (some.length ? [m] : []));
  if (!tokens.length) return undefined;
  const { device } = features;
  const most = tokens.reduce((k, m) => Math.max(k, inside[m]!.length), 1);
  const parts = Array.from({ length: most }, (_, k) => {
    // A token with fewer terms than the others has its first one again, with weight 0.
    const term = tokens.map((m) => inside[m]![k] ?? { row: inside[m]![0]!.row, weight: 0 });
    const rows = Uint32Array.from(term, ({ row }) => row - first);
    const values = gather(features, tensor(device, rows, [tokens.length], "u32", "packing.rows"));
    if (term.every(({ weight }) => weight === 1)) return values;
    const weights = Float32Array.from(term, ({ weight }) => weight);
    return mul(values, tensor(device, weights, [tokens.length, 1], "f32", "packing.weights"));
  });
  return { values: parts.reduce((sum, part) => add(sum, part)), tokens };
}

/** All shares together: the tokens (P, C). */
export function sumShares(device: Device, shares: readonly TokenShare[], { terms }: Packing): Tensor {
  const tokens = Uint32Array.from(shares.flatMap((share) => share.tokens));
  const values = concat(
    shares.map((share) => share.values),
    0,
  );
  return scatterRows(values, tensor(device, tokens, [tokens.length], "u32", "packing.tokens"), terms.length);
}
