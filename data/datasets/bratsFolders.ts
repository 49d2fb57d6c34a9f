// BraTS folders: <case>/<case>_t1.nii.gz and so on, at any depth (BraTS 2018 keeps HGG and LGG apart). In
// 2023 the modality names and the label numbers changed together, so the names tell the label convention.

import type { LabelConvention } from "./labels.ts";
import { baseName, type CaseFiles, clashingIds, type Modality, type Survey } from "./source.ts";

/** File name suffixes, the modality of each, and the label convention of the data sets that use it. */
const SUFFIXES: Readonly<Record<string, { modality: Modality; convention: LabelConvention }>> = {
  t1: { modality: "t1", convention: "brats" },
  t2: { modality: "t2", convention: "brats" },
  t1ce: { modality: "t1ce", convention: "brats" },
  flair: { modality: "flair", convention: "brats" },
  t1n: { modality: "t1", convention: "brats2023" },
  t2w: { modality: "t2", convention: "brats2023" },
  t1c: { modality: "t1ce", convention: "brats2023" },
  t2f: { modality: "flair", convention: "brats2023" },
};
const FILE = new RegExp(`^(.+)[_-](${Object.keys(SUFFIXES).join("|")}|seg)\\.nii(\\.gz)?$`, "i");

/** True if any path is named as BraTS names its files. */
export function looksLikeBrats(paths: readonly string[]): boolean {
  return paths.some((path) => FILE.test(baseName(path)));
}

/** Returns the cases among `paths`. Duplicate files and ambiguous label conventions go to `problems`. */
export function surveyBratsFolders(paths: readonly string[], name: string, given?: LabelConvention): Survey {
  const cases = new Map<string, CaseFiles>();
  const conventions = new Map<LabelConvention, string>(); // and an example of each
  const problems: string[] = [];
  for (const path of paths) {
    const [, id, suffix] = FILE.exec(baseName(path)) ?? [];
    if (!id || !suffix) continue;
    const key = path.slice(0, -baseName(path).length) + id;
    const found = cases.get(key) ?? { id, images: {} };
    cases.set(key, found);

    const known = SUFFIXES[suffix.toLowerCase()];
    const other = known ? found.images[known.modality]?.path : found.label;
    const what = known ? known.modality : "label";
    if (other) problems.push(`case ${id}: expected one ${what} file, got ${other} and ${path}: remove one`);
    if (other) continue;
    if (known) {
      found.images[known.modality] = { path, channel: 0 };
      if (!conventions.has(known.convention)) conventions.set(known.convention, path);
    } else {
      found.label = path;
    }
  }
  const list = [...cases.values()].sort((a, b) => (a.id < b.id ? -1 : 1));
  problems.push(...clashingIds(list, name));
  const [named, other] = conventions.keys();
  const convention = given ?? (other ? null : (named ?? null));
  if (!convention) problems.push(undecided(conventions, name));
  const example = [...conventions.values()][0] ?? paths.find((path) => FILE.test(baseName(path)));
  const why = {
    layout: `files are named as in BraTS, for example ${example}`,
    convention:
      convention === given
        ? "set by --labels"
        : `BraTS ${convention === "brats" ? "2018 to 2021" : "2023"} uses names like ${example}`,
  };
  return { layout: "brats", convention, cases: list, why, problems };
}

function undecided(conventions: Map<LabelConvention, string>, name: string): string {
  const [first] = conventions.keys();
  const expected = `${name}: expected image names that show how labels are numbered`;
  const [old, recent] = [conventions.get("brats"), conventions.get("brats2023")];
  const got = first
    ? `got names of BraTS to 2021 (${old}) and of BraTS 2023 (${recent})`
    : "got label files only";
  return `${expected}, ${got}: use --labels brats, --labels brats2023 or --labels msd`;
}
