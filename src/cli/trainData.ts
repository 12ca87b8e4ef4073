/** `--data` of the training commands: what is trained on. */
import { describe, readPictureSet } from "../data/pictureSets.ts";
import { flagSource, mixedSource, pictureSource, type Source } from "../train/source.ts";
import { UsageError } from "./usage.ts";

export const dataHelp = `  --data LIST        what to train on, as PATH=SHARE,… (default flags): flags are procedural ones; a PATH is a folder of name.png
                     and name.txt, or a JSON file in LLaVA's form. flags=1,photos/train.json=3 takes three of four from photos`;

/** An entry of the list. Part of a run's options, so that a run goes on with the same data. */
export interface DataShare {
  readonly path: string;
  readonly share: number;
}

/** The option of a run: nothing for flags alone. */
export function dataOption(text: string | undefined): { readonly data?: readonly DataShare[] } {
  if (text === undefined || text === FLAGS) return {};
  const data = text.split(",").map((entry) => {
    const [path = "", given = "1", ...more] = entry.split("=");
    const share = Number(given);
    if (!path || more.length || !(share > 0 && Number.isFinite(share)))
      throw new UsageError(`--data must be a list of PATH=SHARE with shares above 0; it has "${entry}".`);
    return { path, share };
  });
  return { data };
}

/** The examples of a list. Reads the captions of picture sets, and says how many there are. */
export async function openSource(data: readonly DataShare[] | undefined, seed: number): Promise<Source> {
  const parts = await Promise.all(
    (data ?? [{ path: FLAGS, share: 1 }]).map(async ({ path, share }) => {
      if (path === FLAGS) return { source: flagSource(seed), share };
      const { pictures, skipped } = await readPictureSet(path);
      console.log(`${pictures.length} captioned pictures in ${path}${describe(skipped)}`);
      return { source: pictureSource(seed, pictures), share };
    }),
  );
  return mixedSource(seed, parts);
}

const FLAGS = "flags";
