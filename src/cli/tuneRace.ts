/** A race: candidates are timed in turn, so that whatever disturbs the machine disturbs all, and losers leave early. */

export interface RaceOptions {
  /** Times that each candidate is measured, unless it leaves. */
  readonly rounds: number;
  /** Who is slower than the fastest by this factor leaves after the second round; after the first, by twice as much. */
  readonly leaveAt: number;
  /** Asked before each measurement; true ends the race without a result. */
  readonly stop?: () => boolean;
}

/** Milliseconds of each candidate: the least of its times, because what disturbs a measurement only adds to it. */
export async function race(
  names: readonly string[],
  measure: (name: string) => Promise<number>,
  { rounds, leaveAt, stop = () => false }: RaceOptions,
): Promise<Record<string, number> | undefined> {
  const best: Record<string, number> = {};
  let running = names;
  for (let round = 0; round < rounds && (round < 2 || running.length > 1); round++) {
    for (const name of running) {
      if (stop()) return undefined;
      best[name] = Math.min(best[name] ?? Infinity, await measure(name));
    }
    const limit = leaveAt * (round > 0 ? 1 : 2) * Math.min(...Object.values(best));
    running = running.filter((name) => best[name]! <= limit);
  }
  return best;
}

/** The fastest, or `favourite` when it is as fast but for `margin`: a table should not change with the noise. */
export function winnerOf(ms: Readonly<Record<string, number>>, favourite: string, margin = 0.05): string | undefined {
  const [fastest] = Object.keys(ms).sort((a, b) => ms[a]! - ms[b]!);
  if (fastest === undefined) return undefined;
  return favourite in ms && ms[favourite]! <= (1 + margin) * ms[fastest]! ? favourite : fastest;
}
