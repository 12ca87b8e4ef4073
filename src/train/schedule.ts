/**
 * Learning rate at a step, counted from 0: linear warm-up, constant, then a linear fall to `floor` times the peak over the
 * last `cooldown` of all steps (the warmup-stable-decay schedule of MiniCPM). A run can be made longer before it cools down.
 */
export function learningRate(
  step: number,
  {
    peak,
    warmup,
    steps,
    cooldown = 0.4,
    floor = 0.02,
  }: { peak: number; warmup: number; steps: number; cooldown?: number; floor?: number },
): number {
  if (step < warmup) return (peak * (step + 1)) / warmup;
  const left = Math.max(0, steps - step) / Math.max(1, cooldown * steps);
  return peak * Math.max(floor, Math.min(1, left));
}
