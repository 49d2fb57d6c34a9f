// Phantom cases as the files of a BraTS folder, on disk or in memory.

import { writeNifti, type Vec3 } from "../nifti/nifti.ts";
import { type CaseOptions, isTestCase, phantomCase } from "./phantom.ts";
import type { Source } from "../datasets/source.ts";

/** Returns the id of case `index`, counted from 0. */
export function phantomName(index: number): string {
  return `PHANTOM_${String(index + 1).padStart(3, "0")}`;
}

/**
 * Returns the split of a phantom of version 2, by case ids: every third case is for testing, and of the
 * others those numbered 1, 13, 25 and so on are for validation. Null for fewer than three cases.
 */
export function phantomSplit(cases: number): Record<"train" | "val" | "test", string[]> | null {
  if (cases < 3) return null;
  const split = { train: [] as string[], val: [] as string[], test: [] as string[] };
  for (let index = 0; index < cases; index++) {
    const part = isTestCase(index) ? "test" : index % 12 === 0 ? "val" : "train";
    split[part].push(phantomName(index));
  }
  return split;
}

/**
 * Makes the files of one case, by path: `PHANTOM_001/PHANTOM_001_t1.nii.gz` and so on, labels in BraTS's
 * convention.
 */
export async function phantomFiles(options: CaseOptions): Promise<Map<string, Uint8Array>> {
  const { images, label, size, affine } = phantomCase(options);
  const name = phantomName(options.index);
  const files = Object.entries({ ...images, seg: label }).map(async ([suffix, data]) => {
    const bytes = await writeNifti({ data, size, affine });
    return [`${name}/${name}_${suffix}.nii.gz`, bytes] as const;
  });
  return new Map(await Promise.all(files));
}

/**
 * Returns a source of `cases` phantoms of version 1 in memory. Each is made when one of its files is first
 * read.
 */
export function phantomSource(options: { seed: number; cases: number; size: Vec3; first?: number }): Source {
  const { seed, cases, size, first = 0 } = options;
  const made = new Map<number, Promise<Map<string, Uint8Array>>>();
  const paths = new Map<string, number>();
  for (let index = first; index < first + cases; index++) {
    const name = phantomName(index);
    for (const suffix of ["t1", "t2", "t1ce", "flair", "seg"])
      paths.set(`${name}/${name}_${suffix}.nii.gz`, index);
  }
  return {
    name: "phantom",
    list: () => Promise.resolve([...paths.keys()]),
    async read(path) {
      const index = paths.get(path);
      if (index === undefined) throw new Error(`phantomSource: expected a listed path, got ${path}`);
      const files = made.get(index) ?? phantomFiles({ seed, index, size });
      made.set(index, files);
      return (await files).get(path)!;
    },
  };
}
