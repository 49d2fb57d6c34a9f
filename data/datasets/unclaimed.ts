// Files that a data set holds and no case uses: each kind is one warning.

import { type Dataset, MODALITIES, someOf, type Survey, type Unread } from "./source.ts";
import { put } from "../groups.ts";

/**
 * Returns a warning for the volumes that belong to no case, whose names may be misspelt, and one for each
 * reason why files are not read. A file that a case needs is that case's problem when it is read.
 */
export function unclaimedFiles(
  paths: readonly string[],
  unread: readonly Unread[],
  { cases, newCases, layout }: Pick<Survey, "cases" | "newCases" | "layout">,
): string[] {
  const used = new Set(
    [...cases, ...newCases].flatMap(({ images, label = "" }) => [
      ...MODALITIES.flatMap((modality) => images[modality]?.path ?? []),
      label,
    ]),
  );
  const warnings = unreadFiles(unread.filter(({ path }) => !used.has(path)));
  const known = new Set(unread.map(({ path }) => path));
  const unused = paths.filter((path) => VOLUME.test(path) && !used.has(path) && !known.has(path));
  const verbs = unused.length > 1 ? "belong to no case and are" : "belongs to no case and is";
  if (unused.length) warnings.unshift(`${someOf(unused)}: ${verbs} ignored: ${HINT[layout]}`);
  return warnings;
}

/** Returns a line for each reason why files are not read. */
export function unreadFiles(unread: readonly Unread[]): string[] {
  const byReason = new Map<string, string[]>();
  for (const { path, why } of unread) put(byReason, why, path);
  return [...byReason].map(([why, paths]) =>
    paths.length > 1 ? `${someOf(paths)}: each ${why}` : `${paths[0]}: ${why}`,
  );
}

const VOLUME = /\.(nii|nii\.?gz|nii\.\w+|hdr|img|mgz|mgh|nrrd|nhdr|mha|mhd|dcm|npy|npz)(\.gz)?$/i;
const HINT: Readonly<Record<Dataset["layout"], string>> = {
  brats:
    "names end in _t1, _t1ce, _t2, _flair, _seg (2023: -t1n, -t1c, -t2w, -t2f, -seg) and .nii or .nii.gz",
  nnunet: "images are imagesTr/CASE_0000.nii.gz with a channel of dataset.json, labels labelsTr/CASE.nii.gz",
  msd: "dataset.json lists the images and labels",
  list: "dataset.json lists the images and labels",
};
