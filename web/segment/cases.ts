// From the user's files to cases: recognised by their names, corrected by the user, read as volumes.

import { openDataset, type CaseFiles, type Dataset, type Source } from "../../data/datasets/datasets.ts";
import { modalityNamed, speaksOfContrast } from "../../data/datasets/names.ts";
import { collectProblems, DataError } from "../../data/errors.ts";
import { MODALITIES, visibleFiles } from "../../data/datasets/source.ts";
import type { LabelConvention } from "../../data/datasets/labels.ts";
import type { NamedFile, Recognised, Role, Row } from "../worker/protocol.ts";

const VOLUME = /\.nii(\.gz)?$/i;

/** The user's files as a source of data. */
export function fileSource(name: string, files: readonly NamedFile[]): Source {
  const byPath = new Map(files.map(({ path, file }) => [path, file]));
  return {
    name,
    list: () => Promise.resolve([...byPath.keys()]),
    async read(path) {
      const file = byPath.get(path);
      if (!file) throw new DataError(`${path}: expected one of the chosen files, got none`);
      try {
        return new Uint8Array(await file.arrayBuffer());
      } catch (error) {
        const why = error instanceof Error ? error.message : String(error);
        throw new DataError(`${path}: could not be read (${why}): if it was moved, choose it again`);
      }
    },
  };
}

/** Recognises cases by the names of files. Throws a DataError if none of them is a volume. */
export async function recognise(source: Source): Promise<Recognised> {
  const { paths } = await visibleFiles(source);
  const volumes = paths.filter((path) => VOLUME.test(path));
  if (!volumes.length) {
    const all = await source.list();
    const got = all.length ? `${all.slice(0, 3).join(", ")}${all.length > 3 ? " …" : ""}` : "nothing";
    throw new DataError(`expected NIfTI files (.nii or .nii.gz), got ${got}`);
  }
  const named = await collectProblems([], () => openDataset(source));
  // Without labels their convention may be the only problem.
  const found = named ?? (await collectProblems([], () => openDataset(source, { convention: "brats" })));
  if (found) {
    const { cases, newCases, warnings } = found;
    const rows = [...cases, ...newCases].flatMap(rowsOf);
    const { convention, notes } = meaning(rows, named?.convention ?? null);
    return { convention, note: [...notes, ...warnings].join(" ") || null, rows };
  }
  const rows = volumes.map(guess);
  const open = rows.filter(({ role }) => role === "unused");
  const which = rows.length === 1 ? "this file" : `${open.length} of ${rows.length} files`;
  const note = open.length
    ? `The content of ${which} is unclear from the name: choose it below.`
    : "Recognised by parts of the names: please check.";
  const { convention, notes } = meaning(rows, null);
  return { convention, rows, note: [note, ...notes].join(" ") };
}

/** The convention that the names tell; without labels any will do for the predictions. */
function meaning(
  rows: readonly Row[],
  convention: LabelConvention | null,
): { convention: LabelConvention | null; notes: string[] } {
  if (convention || !rows.some(({ role }) => role === "label"))
    return { convention: convention ?? "brats", notes: [] };
  return {
    convention,
    notes: ["The names do not show how labels are numbered: choose their meaning below."],
  };
}

/** The data set that the rows describe. Throws a DataError if two rows are the same volume of one case. */
export function datasetOf(rows: readonly Row[], convention: LabelConvention): Dataset {
  const cases = new Map<string, CaseFiles>();
  const problems: string[] = [];
  for (const { path, channel, case: id, role } of rows) {
    if (role === "unused") continue;
    const found = cases.get(id) ?? { id, images: {} };
    cases.set(id, found);
    const other = role === "label" ? found.label : found.images[role]?.path;
    if (other !== undefined) problems.push(`case ${id}: expected one ${role}, got ${other} and ${path}`);
    if (role === "label") found.label = path;
    else found.images[role] = { path, channel };
  }
  if (problems.length) throw new DataError(problems);
  return { layout: "brats", convention, cases: [...cases.values()] };
}

/** Path, channel and role of every volume of a case. */
function rowsOf({ id, images, label }: CaseFiles): Row[] {
  const rows = MODALITIES.flatMap((role): Row[] => {
    const image = images[role];
    return image ? [{ ...image, case: id, role }] : [];
  });
  return label === undefined ? rows : [...rows, { path: label, channel: 0, case: id, role: "label" }];
}

/** Guesses a file's role by the last words of its name that are a modality; the others name the case. */
function guess(path: string): Row {
  const folder = path.split("/").slice(0, -1).at(-1);
  const words = path
    .slice(path.lastIndexOf("/") + 1)
    .replace(VOLUME, "")
    .normalize("NFC")
    .split(/[^a-z0-9]+/i);
  for (let length = Math.min(2, words.length); length > 0; length--) {
    for (let at = words.length - length; at >= 0; at--) {
      const part = words.slice(at, at + length).join("");
      const role: Role | undefined = /^(seg|label|mask|gt)$/i.test(part) ? "label" : modalityNamed(part);
      if (role) {
        const rest = [...words.slice(0, at), ...words.slice(at + length)].filter(Boolean).join("_");
        const unclear = role === "t1" && words.some(speaksOfContrast); // the user decides
        return { path, channel: 0, case: rest || folder || "case", role: unclear ? "unused" : role };
      }
    }
  }
  return { path, channel: 0, case: folder ?? "case", role: "unused" };
}
