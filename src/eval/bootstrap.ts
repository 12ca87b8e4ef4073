/** Intervals of differences by the bootstrap: what would come out with other flags and other seeds. */
import { type RandomStream, randomStream, RediffError } from "../tensor/index.ts";

export interface Interval {
  readonly value: number;
  /** The percentiles 2.5 and 97.5 of the replicates. */
  readonly low: number;
  readonly high: number;
}

/** Which flags and which seeds a statistic is taken over, each as often as it stands in the list. */
export interface Draw {
  readonly flags: ArrayLike<number>;
  /** Numbers of seeds from 0. A run with fewer seeds counts its own round: seed % seeds. */
  readonly seeds: readonly number[];
}

/**
 * The interval of a statistic under drawing flags and seeds anew with replacement. Both are drawn once a replicate, so what is
 * compared within the statistic is compared on the same flags. Replicates without a value (NaN) are left out. With one seed
 * the interval knows nothing of seeds; with three it knows little.
 */
export function bootstrap(
  statistic: (draw: Draw) => number,
  { flags, seeds, replicates = 2000, seed = 1 }: { flags: number; seeds: number; replicates?: number; seed?: number },
): Interval {
  if (!(flags > 0 && seeds > 0)) throw new RediffError(`A bootstrap needs flags and seeds; it has ${flags}, ${seeds}.`);
  const random = randomStream(seed, 0x626f6f74);
  const whole = (n: number) => Array.from({ length: n }, (_, i) => i);
  const values: number[] = [];
  for (let i = 0; i < replicates; i++) {
    const value = statistic({ flags: drawn(random, flags), seeds: drawn(random, seeds) });
    if (Number.isFinite(value)) values.push(value);
  }
  values.sort((a, b) => a - b);
  const at = (share: number) => values[Math.min(values.length - 1, Math.floor(share * values.length))] ?? Number.NaN;
  return { value: statistic({ flags: whole(flags), seeds: whole(seeds) }), low: at(0.025), high: at(0.975) };
}

const drawn = (random: RandomStream, n: number): number[] => Array.from({ length: n }, () => random.int(n));
