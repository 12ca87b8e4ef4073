/** Learning rate at a step: linear warm-up, then a half cosine down to `floor` times the peak. Steps count from 0. */
export function learningRate(step: number, { peak, warmup, steps, floor = 0.05 }: { peak: number; warmup: number; steps: number; floor?: number }): number {
  if (step < warmup) return (peak * (step + 1)) / warmup;
  const progress = Math.min(1, (step - warmup) / Math.max(1, steps - warmup));
  return peak * (floor + (1 - floor) * 0.5 * (1 + Math.cos(Math.PI * progress)));
}
