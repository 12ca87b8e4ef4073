/** Writes what test/goldens/exported.py reads: npx tsx test/goldens/exported.ts FOLDER */
import { openDevice } from "../../src/tensor/index.ts";
import { writeExports } from "../support/exported.ts";

const device = await openDevice();
await writeExports(device, process.argv[2]!);
await device.close();
