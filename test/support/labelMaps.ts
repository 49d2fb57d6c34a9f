// Small label maps and predictions.json, as evaluate finds them in folders.

import { mkdirSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import type { LabelConvention } from "../../data/datasets/labels.ts";
import { writeNifti } from "../../data/nifti/nifti.ts";

const size = [2, 3, 4] as const;
const affine = [
  [1, 0, 0, 0],
  [0, 1, 0, 0],
  [0, 0, 1, 0],
  [0, 0, 0, 1],
];
export const truth = [0, 0, 1, 2, 4, 0];
export const wrong = [0, 1, 2, 4, 0, 0];

/** Writes a label map of these values, again and again. */
export async function writeMap(path: string, values: readonly number[] = truth): Promise<void> {
  mkdirSync(dirname(path), { recursive: true });
  const data = Uint8Array.from({ length: 24 }, (_, i) => values[i % values.length]!);
  writeFileSync(path, await writeNifti({ data, size: [...size], affine }));
}

/** Writes predictions.json: the seconds of each case, null for one that is not finished. */
export function writeRecord(
  folder: string,
  cases: Record<string, { seconds?: number | null; labels?: LabelConvention }>,
  skipped: string[] = [],
): void {
  const common = { modalities: ["t1"], model: "teacher", why: "it sees t1", step: 0.5, mirror: false };
  const rest = { checkpoints: [], postprocessing: "none", windows: 1 };
  const records = Object.entries(cases).map(([id, { seconds = 1, labels = "brats" }]) => ({
    case: id,
    ...common,
    ...rest,
    labels,
    seconds,
  }));
  mkdirSync(folder, { recursive: true });
  writeFileSync(join(folder, "predictions.json"), JSON.stringify({ cases: records, skipped }));
}
