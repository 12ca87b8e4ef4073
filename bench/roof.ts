/** The roof: what this device can do at best, measured as `rediff doctor` measures it. */
import { measureRoof } from "../src/cli/doctor.ts";
import type { Device } from "../src/tensor/index.ts";
import { awaitQuietly } from "./sample.ts";

export interface Roof {
  /** Multiply-adds in registers, f32, GFLOP/s. */
  readonly fmaGflops: number;
  /** A buffer copy of 64 MiB, bytes read and written, GB/s. */
  readonly copyGBs: number;
}

export async function roofOf(device: Device): Promise<Roof> {
  const [fma, copy] = await awaitQuietly(device, measureRoof(device.gpu));
  return { fmaGflops: fma!.value, copyGBs: copy!.value };
}

/** GFLOP/s that the roof allows at an intensity of flops a byte. */
export const attainable = ({ fmaGflops, copyGBs }: Roof, intensity: number): number =>
  Math.min(fmaGflops, intensity * copyGBs);
