/** When an answer counts as right. */

/** |got − expected| <= TOLERANCE · (1 + |expected|), element by element; the same for every library, ours too. */
export const TOLERANCE = 1e-4;

/** The first element that is off by more than the tolerance, in words; undefined when the answer is right. */
export function wrongness(got: ArrayLike<number>, expected: ArrayLike<number>): string | undefined {
  if (got.length !== expected.length) return `${got.length} numbers instead of ${expected.length}`;
  for (let i = 0; i < expected.length; i++)
    if (!(Math.abs(got[i]! - expected[i]!) <= TOLERANCE * (1 + Math.abs(expected[i]!))))
      return `wrong answer, [${i}] is ${got[i]} instead of ${expected[i]}`;
  return undefined;
}
