/** What an operation really runs: its dispatches, seen as they are recorded and before elementwise ones are fused. */
import type { Device } from "../src/tensor/index.ts";

type Arguments = Parameters<Device["recorder"]["dispatch"]>;

/** One recorded dispatch: what `Recorder.dispatch` was given. */
export interface Dispatched {
  readonly kernel: Arguments[0];
  readonly blocks: Arguments[1];
  readonly params: Arguments[2];
  readonly workgroups: Arguments[3];
  readonly label: Arguments[4];
}

/** The dispatches that `work` records, which are recorded all the same. */
export async function dispatchesOf(device: Device, work: () => unknown): Promise<Dispatched[]> {
  const { recorder } = device;
  const original = recorder.dispatch;
  const seen: Dispatched[] = [];
  recorder.dispatch = (...args: Arguments) => {
    const [kernel, blocks, params, workgroups, label] = args;
    seen.push({ kernel, blocks, params, workgroups, label });
    original.apply(recorder, args);
  };
  try {
    await work();
  } finally {
    recorder.dispatch = original;
  }
  return seen;
}
