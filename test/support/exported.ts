/** Exports of test/goldens/llavaFolder, for Python (test/goldens/exported.ts) and for the test that knows what Python found in them. */
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { run } from "../../src/cli/export.ts";
import { loadModel } from "../../src/model/checkpoint.ts";
import { exportModel } from "../../src/model/published/export.ts";
import { disposeRediff } from "../../src/model/rediff.ts";
import type { Device } from "../../src/tensor/index.ts";

const checkpoint = fileURLToPath(new URL("../goldens/llavaFolder", import.meta.url));

/** `command`: as `rediff export --logits` writes it, in LLaDA's layout and bf16. `shards`: LLaDA-V's layout, f32, in shards. */
export async function writeExports(device: Device, folder: string): Promise<void> {
  await run([
    "--checkpoint",
    checkpoint,
    "--out",
    join(folder, "command"),
    "--layout",
    "llada",
    "--dtype",
    "bf16",
    "--logits",
  ]);
  const model = loadModel(device, checkpoint);
  await exportModel(model, join(folder, "shards"), { maxShardBytes: 70_000 });
  disposeRediff(model);
}
