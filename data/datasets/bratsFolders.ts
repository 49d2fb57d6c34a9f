// BraTS folders: <case>/<case>_t1.nii.gz and so on, at any depth (BraTS 2018 keeps HGG and LGG apart). The
// names of the modalities changed in 2023 together with the labels' numbers, so the names tell the
// convention.

import type { LabelConvention } from "./labels.ts";
import { baseName, type CaseFiles, clashingIds, type Modality, type Survey } from "./source.ts";

/** Suffixes of files, the modality each holds, and the convention of the data sets that use it. */
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

/** Whether any path is named as BraTS names its files. */
export function looksLikeBrats(paths: readonly string[]): boolean {
  return paths.some((path) => FILE.test(baseName(path)));
}

/** The cases among `paths`, and each file or convention that has two readings. */
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
    if (other) problems.push(`case ${id}: expected one file of its ${what}, got ${other} and ${path}`);
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
    layout: `files are named as BraTS names them, like ${example}`,
    convention:
      convention === given
        ? "--labels says so"
        : `names like ${example} are BraTS ${convention === "brats" ? "2018 to 2021" : "2023"}'s`,
  };
  return { layout: "brats", convention, cases: list, why, problems };
}

function undecided(conventions: Map<LabelConvention, string>, name: string): string {
  const [first] = conventions.keys();
  const expected = `${name}: expected file names that tell how labels are numbered`;
  const got = first
    ? `got both BraTS's (${conventions.get("brats")}) and BraTS 2023's (${conventions.get("brats2023")})`
    : "got labels only";
  return `${expected}, ${got}: say --labels brats, --labels brats2023 or --labels msd`;
}
