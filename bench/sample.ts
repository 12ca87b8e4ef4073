/** Timing: candidates by turns, quantiles, and the GPU time of what is recorded. */
import { type Device, scope } from "../src/tensor/index.ts";
import { awaitWithNaps } from "../src/tensor/node.ts";

/** Milliseconds. Two candidates differ where their bands from p10 to p90 do not overlap. */
export interface Times {
  readonly p10: number;
  readonly p50: number;
  readonly p90: number;
  readonly samples: number;
}

/** Value below which a share `q` of the samples lies, between the two nearest of them. */
export function quantile(samples: readonly number[], q: number): number {
  const sorted = [...samples].sort((a, b) => a - b);
  const at = q * (sorted.length - 1);
  const [low, high] = [sorted[Math.floor(at)]!, sorted[Math.ceil(at)]!];
  return low + (high - low) * (at % 1);
}

export const timesOf = (samples: readonly number[]): Times => ({
  p10: quantile(samples, 0.1),
  p50: quantile(samples, 0.5),
  p90: quantile(samples, 0.9),
  samples: samples.length,
});

/**
 * Calls every candidate once a round, so that a machine that slows down slows all of them; rounds go on for `seconds` for each
 * candidate, and at least five. A candidate returns the milliseconds that it took.
 */
export async function interleave(
  candidates: readonly (() => Promise<number>)[],
  seconds: number,
): Promise<readonly Times[]> {
  const samples = candidates.map((): number[] => []);
  const end = performance.now() + 1000 * seconds * candidates.length;
  for (let round = 0; round < 5 || performance.now() < end; round++)
    for (const [i, candidate] of candidates.entries()) samples[i]!.push(await candidate());
  return samples.map(timesOf);
}

export async function sample(measure: () => Promise<number>, seconds: number): Promise<Times> {
  return (await interleave([measure], seconds))[0]!;
}

/** Milliseconds on the device of all that `work` records, by its timestamps. What it makes is freed. */
export async function gpuMilliseconds(device: Device, work: () => void): Promise<number> {
  device.recorder.startProfile();
  scope(device, work);
  await settled(device);
  return [...device.recorder.stopProfile().values()].reduce((sum, { ns }) => sum + ns, 0) / 1e6;
}

/** Waits for the device. */
export const settled = (device: Device): Promise<void> => awaitQuietly(device, device.flush());

/** Timestamps come back by a mapping, for which Dawn polls, and a software adapter needs that core. */
export const awaitQuietly = <T>(device: Device, work: Promise<T>): Promise<T> =>
  device.isSoftware ? awaitWithNaps(work) : work;
