/** `npm run soak`: a long training run of the nano model. Exit code 1 when something grew. */
import { parseArgs } from "node:util";
import { openDevice } from "../src/tensor/index.ts";
import { growth, soak } from "../test/support/soak.ts";

const HELP = `npm run soak -- [options]

A long training run of the nano model. Shows after each stretch what is in use and what a step takes, and says what grew.

  --steps N    default 10000; at least three stretches
  --every N    steps of a stretch (default 1000)
  --batch N    flags a step (default 1)`;

const { values } = parseArgs({
  options: {
    steps: { type: "string", default: "10000" },
    every: { type: "string", default: "1000" },
    batch: { type: "string", default: "1" },
    help: { type: "boolean", short: "h" },
  },
});
if (values.help) {
  console.log(HELP);
  process.exit();
}
const [steps, every, batch] = [values.steps, values.every, values.batch].map(Number) as [number, number, number];
if (![steps, every, batch].every((n) => Number.isSafeInteger(n) && n > 0) || steps < 3 * every)
  throw new Error(
    "--steps, --every and --batch are whole numbers of at least 1, and --steps is at least three times --every.",
  );

const megabytes = (bytes: number): string => (bytes / 2 ** 20).toFixed(1);
const row = (...cells: readonly (string | number)[]): void =>
  console.log(cells.map((cell) => String(cell).padStart(12)).join(""));

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
