// From files that the user chose to cases: what the names say, what the user corrected, and the volumes.

import { openDataset, type CaseFiles, type Dataset, type Source } from "../../data/datasets/datasets.ts";
import { modalityNamed } from "../../data/datasets/datasetJson.ts";
import { DataError } from "../../data/errors.ts";
import { MODALITIES, visibleFiles } from "../../data/datasets/source.ts";
import type { LabelConvention } from "../../data/datasets/labels.ts";
import type { NamedFile, Recognised, Role, Row } from "../worker/protocol.ts";

const VOLUME = /\.nii(\.gz)?$/i;

/** Files of the user's as a source of data. */
export function fileSource(name: string, files: readonly NamedFile[]): Source {
  const byPath = new Map(files.map(({ path, file }) => [path, file]));
  return {
    name,
    list: () => Promise.resolve([...byPath.keys()]),
    async read(path) {
      const file = byPath.get(path);
      if (!file) throw new DataError(`${path}: expected one of the files chosen, got none`);
      try {
        return new Uint8Array(await file.arrayBuffer());
      } catch (error) {
        const why = error instanceof Error ? error.message : String(error);
        throw new DataError(`${path}: could not be read (${why}): has it been moved? Choose it again`);
      }
    },
  };
}

/** What the files are, by their names. Throws a DataError where there is no volume among them. */
export async function recognise(source: Source): Promise<Recognised> {
  const volumes = (await visibleFiles(source)).filter((path) => VOLUME.test(path));
  if (!volumes.length) {
    const all = await source.list();
    const got = all.length ? `${all.slice(0, 3).join(", ")}${all.length > 3 ? " …" : ""}` : "nothing";
    throw new DataError(`expected NIfTI files (.nii or .nii.gz), got ${got}`);
  }
  try {
    const { convention, cases } = await openDataset(source);
    return { convention, note: null, rows: cases.flatMap(rowsOf) };
  } catch (error) {
    if (!(error instanceof DataError)) throw error;
    const rows = volumes.map(guess);
    const open = rows.filter(({ role }) => role === "unused");
    const all = rows.length === 1 ? "the file" : `${open.length} of ${rows.length} files`;
    const note = open.length
      ? `The names do not say what ${all} hold${rows.length === 1 ? "s" : ""}: choose below.`
      : "Recognised by parts of the names: please check.";
    return { convention: "brats", rows, note };
  }
}

/** The data set that the rows describe. Throws a DataError where two rows claim the same place. */
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

/** The last words of a file's name that are a modality's; the case is what comes before, or the folder. */
function guess(path: string): Row {
  const folder = path.split("/").slice(0, -1).at(-1);
  const words = path
    .slice(path.lastIndexOf("/") + 1)
    .replace(VOLUME, "")
    .split(/[^a-z0-9]+/i);
  for (let length = Math.min(2, words.length); length > 0; length--) {
    for (let at = words.length - length; at >= 0; at--) {
      const part = words.slice(at, at + length).join("");
      const role: Role | undefined = /^(seg|label|mask|gt)$/i.test(part) ? "label" : modalityNamed(part);
      if (role) {
        const rest = [...words.slice(0, at), ...words.slice(at + length)].filter(Boolean).join("_");
        return { path, channel: 0, case: rest || folder || "case", role };
      }
    }
  }
  return { path, channel: 0, case: folder ?? "case", role: "unused" };
}
