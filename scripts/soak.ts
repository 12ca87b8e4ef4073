/** `npm run soak`: a long training run of the nano model. Exit code 1 when something grew. */
import { answering, parse, UsageError, wholeNumber } from "../src/cli/usage.ts";
import { openDevice } from "../src/tensor/index.ts";
import { growth, soak } from "../test/support/soak.ts";

const HELP = `npm run soak -- [options]

A long training run of the nano model. Shows after each stretch what is in use and what a step takes, and says what grew.

  --steps N    default 10000; at least three stretches
  --every N    steps of a stretch (default 1000)
  --batch N    flags a step (default 1)`;

const megabytes = (bytes: number): string => (bytes / 2 ** 20).toFixed(1);
const row = (...cells: readonly (string | number)[]): void =>
  console.log(cells.map((cell) => String(cell).padStart(12)).join(""));

async function main(): Promise<void> {
  const { values } = parse(process.argv.slice(2), {
    steps: { type: "string" },
    every: { type: "string" },
    batch: { type: "string" },
    help: { type: "boolean", short: "h" },
  });
  if (values.help) return console.log(HELP);
  const steps = wholeNumber("steps", values.steps, 10_000, { max: 1e9 });
  const every = wholeNumber("every", values.every, 1000, { max: 1e9 });
  const batch = wholeNumber("batch", values.batch, 1, { max: 4096 });
  if (steps < 3 * every)
    throw new UsageError(`--steps must be at least three times --every; they are ${steps} and ${every}.`);

  const device = await openDevice();
  row("step", "live MiB", "held MiB", "bind groups", "RSS MiB", "heap MiB", "ms/step", "core ms");
  const reports = await soak(device, {
    steps,
    every,
    batch,
    onReport: ({ step, liveBytes, heldBytes, bindGroups, rssBytes, heapBytes, ms, cpuMs }) =>
      row(
        step,
        megabytes(liveBytes),
        megabytes(heldBytes),
        bindGroups,
        megabytes(rssBytes),
        megabytes(heapBytes),
        ms.toFixed(1),
        cpuMs.toFixed(1),
      ),
  });
  await device.close();
  const grown = growth(reports, { rssPerStep: 1024, heapPerStep: 128, slowdown: 1.3 });
  for (const line of grown) console.error(line);
  if (grown.length) process.exitCode = 1;
  else console.log(`Nothing grew in ${steps} steps.`);
}

await answering("soak", main);
