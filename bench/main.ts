/**
 * `npm run bench`: checks answers, then times what gave them. This file reads the command line; each command has a file.
 *
 * Kernel times are GPU timestamps, summed over the dispatches of one call; steps are wall time.
 */
import { answering, decimal, parse, UsageError } from "../src/cli/usage.ts";
import { type Device, openDevice, RediffError } from "../src/tensor/index.ts";
import { benchLadder, laddersOf } from "./ladder.ts";
import { benchOps, caseFiles } from "./ops.ts";
import { printComparison, resultPath, titleOf, writeResult } from "./result.ts";
import { type Roof, roofOf } from "./roof.ts";
import { drawRoofline, printRoofline, rooflineOfFile } from "./roofline.ts";
import { benchSteps } from "./steps.ts";

const HELP = `npm run bench -- [command] [options]

  (none)             every op and the steps
  matmul softmax …   these ops: files of test/cases
  steps              a training step and decoding steps of \`small\`, and where their time goes
  ladder [op …]      matmul, softmax and attention rung by rung (kernels/ladder), with a plot
  roofline [op …]    ops against the measured copy bandwidth and multiply-add peak, with a plot
  peers …            other libraries on the same work
  --compare A B      rows of two result files whose bands from p10 to p90 do not overlap

  --seconds s        time for each row; default 0.5
  --out file         result file; default bench/results/<date>-<adapter>.local.json; plots get its name
  --no-steps         with no command: ops only
  --from file        with roofline: draw an earlier result instead of measuring`;

const argv = process.argv.slice(2);
await answering("bench", () => (argv[0] === "peers" ? peers(argv.slice(1)) : main(argv)));

async function peers(args: readonly string[]): Promise<void> {
  const { benchPeers } = await import("./peers/main.ts");
  await benchPeers(args);
}

async function main(args: string[]): Promise<void> {
  const { values, positionals } = parse(
    args,
    {
      seconds: { type: "string" },
      out: { type: "string" },
      from: { type: "string" },
      "no-steps": { type: "boolean" },
      compare: { type: "boolean" },
      help: { type: "boolean", short: "h" },
    },
    true,
  );
  if (values.help) return console.log(HELP);
  const seconds = decimal("seconds", values.seconds, 0.5);
  if (values.compare) {
    const [before, after, more] = positionals;
    if (!before || !after || more) throw new UsageError("--compare takes two result files.");
    return printComparison(before, after);
  }
  const [command, ...rest] = positionals;
  if (values.from !== undefined) {
    if (command !== "roofline" || rest.length) throw new UsageError("--from goes with `roofline` alone.");
    return rooflineOfFile(values.from, values.out);
  }
  await measure(command, rest, positionals, seconds, values.out, !values["no-steps"]);
}

/** Measures what was asked for. Names are checked before the device is opened. */
async function measure(
  command: string | undefined,
  rest: readonly string[],
  positionals: readonly string[],
  seconds: number,
  out: string | undefined,
  withSteps: boolean,
): Promise<void> {
  if (command === "ladder") {
    const chosen = laddersOf(rest);
    // Before the driver is loaded: what its disk cache knows compiles in no time, and the ladder shows that time.
    process.env["MESA_SHADER_CACHE_DISABLE"] = "true";
    return withRoof((device, roof) =>
      benchLadder(device, roof, chosen, seconds, out ?? resultPath(device, "-ladder.local.json")),
    );
  }
  if (command === "roofline") {
    const files = await caseFiles(rest);
    return withRoof(async (device, roof) => {
      const file = out ?? resultPath(device, "-roofline.local.json");
      const rows = await benchOps(device, roof, files, seconds);
      await writeResult(file, device, roof, rows);
      printRoofline(roof, rows);
      await drawRoofline(titleOf(device), roof, rows, file);
    });
  }
  const names = positionals.filter((name) => name !== "steps");
  const files = names.length || !positionals.length ? await caseFiles(names) : [];
  return withRoof(async (device, roof) => {
    const rows = files.length ? await benchOps(device, roof, files, seconds) : [];
    if (positionals.length ? positionals.includes("steps") : withSteps)
      rows.push(...(await benchSteps(device, seconds)));
    await writeResult(out ?? resultPath(device, ".local.json"), device, roof, rows);
  });
}

/** Opens the device, measures its roof and says what it is. Throws RediffError when kernels cannot be timed. */
async function withRoof(body: (device: Device, roof: Roof) => Promise<void>): Promise<void> {
  const device = await openDevice();
  try {
    if (!device.gpu.features.has("timestamp-query"))
      throw new RediffError("This adapter has no timestamps, so kernels cannot be timed.");
    const roof = await roofOf(device);
    console.log(
      `${titleOf(device)}: copy ${roof.copyGBs.toFixed(1)} GB/s, multiply-adds ${roof.fmaGflops.toFixed(0)} GFLOP/s\n`,
    );
    await body(device, roof);
  } finally {
    await device.close();
  }
}
