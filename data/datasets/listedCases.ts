// Lists of images in a dataset.json: MONAI's "training": [{"image": [four paths], "label": path}], and
// nnU-Net's "dataset": {case: {"images": [paths], "label": path}}.

import type { Channels, Folder } from "./imageFolders.ts";
import { normal, type Reading, readNames } from "./names.ts";
import { baseName, type CaseFiles, someOf } from "./source.ts";

/** One case of a list. */
export interface Entry {
  /** Default: by the names of its files. */
  id?: string;
  images: readonly string[];
  label: string | undefined;
}

/**
 * Returns the cases of a list. An image has the modality of its name, or of its place if dataset.json
 * names as many `channels` as an entry has images. Problems go to the folder, one for each kind.
 */
export async function listedCases(
  entries: readonly Entry[],
  channels: Channels | undefined,
  folder: Folder,
): Promise<{ cases: CaseFiles[]; readings: Map<string, Reading> }> {
  const files = await folder.listed(
    entries.flatMap(({ images, label }) => (label === undefined ? images : [...images, label])),
  );
  let next = 0;
  const readings = readNames(entries.flatMap(({ images }) => images));
  const unclear: string[] = [];
  const contrary: string[] = [];
  const cases: CaseFiles[] = [];
  for (const { id: given, images, label } of entries) {
    const named = images.map((path) => readings.get(path));
    const id = given ?? named.find((one) => one)?.id ?? stemOf(label ?? images[0] ?? "");
    const found: CaseFiles = { id: normal(id), images: {} };
    for (const [i, path] of images.entries()) {
      const file = files[next++];
      const byName = named[i]?.role === "label" ? undefined : named[i]?.role;
      const byPlace = channels?.get(i);
      const modality = byPlace ?? byName;
      if (byName && byPlace && byName !== byPlace) contrary.push(`${path} (${byPlace} by its place)`);
      if (!modality && !channels) unclear.push(path);
      const other = modality && found.images[modality];
      if (other)
        folder.problems.push(`case ${id}: expected one ${modality} file, got ${other.path} and ${path}`);
      else if (modality && file !== undefined) found.images[modality] = { path: file, channel: 0 };
    }
    const labelled = label === undefined ? undefined : files[next++];
    if (labelled !== undefined) found.label = labelled;
    if (Object.keys(found.images).length) cases.push(found);
  }
  const { where, problems } = folder;
  const names = "image names that end in _t1, _t1ce, _t2 or _flair, or a name of each place in";
  if (unclear.length) problems.push(`${where}: expected ${names} "modality", got ${someOf(unclear)}`);
  if (contrary.length)
    problems.push(`${where}: expected images in the order of the named channels, got ${someOf(contrary)}`);
  return { cases, readings };
}

function stemOf(path: string): string {
  return baseName(path).replace(/\.nii(\.gz)?$/i, "");
}
