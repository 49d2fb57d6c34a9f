// A small data set whose cases have the given ids, in BraTS layout: phantoms under other names.

import { readdirSync, renameSync, rmSync } from "node:fs";
import { join } from "node:path";
import { makePhantom } from "../../cli/files/phantomFolder.ts";

/** Makes the folder, with one phantom of 16 voxels a side for each id, and returns it. */
export async function makeTimePoints(folder: string, ids: readonly string[]): Promise<string> {
  await makePhantom({ out: folder, cases: ids.length, size: 16, seed: 5 });
  rmSync(join(folder, "phantom.json"));
  const made = readdirSync(folder).sort();
  for (const [i, id] of ids.entries()) {
    const before = made[i]!;
    renameSync(join(folder, before), join(folder, id));
    for (const name of readdirSync(join(folder, id)))
      renameSync(join(folder, id, name), join(folder, id, name.replace(before, id)));
  }
  return folder;
}
