// BraTS folders: <case>/<case>_t1.nii.gz and so on, at any depth (BraTS 2018 keeps HGG and LGG apart), also
// with the names of other collections and of BIDS. In 2023 the modality names and the label numbers of BraTS
// changed together, so its names tell the label convention; other names tell none.

import { CONVENTION_NAMES, type LabelConvention } from "./labels.ts";
import { type Reading, readingsOf, readNames } from "./names.ts";
import { baseName, type CaseFiles, clashingIds, type Survey } from "./source.ts";

/** True if any path is named as BraTS names its files. */
export function looksLikeBrats(paths: readonly string[]): boolean {
  return paths.some((path) => readingsOf(path).length > 0);
}

/** Returns the cases among `paths`. Duplicate files and ambiguous label conventions go to `problems`. */
export function surveyBratsFolders(paths: readonly string[], name: string, given?: LabelConvention): Survey {
  const cases = new Map<string, CaseFiles>();
  const problems: string[] = [];
  const readings = readNames(paths);
  for (const [path, { id, role }] of readings) {
    const key = path.slice(0, -baseName(path).length) + id;
    const found = cases.get(key) ?? { id, images: {} };
    cases.set(key, found);
    const other = role === "label" ? found.label : found.images[role]?.path;
    if (other !== undefined)
      problems.push(`case ${id}: expected one ${role} file, got ${other} and ${path}: remove one`);
    else if (role === "label") found.label = path;
    else found.images[role] = { path, channel: 0 };
  }
  const list = [...cases.values()].sort((a, b) => (a.id < b.id ? -1 : 1));
  problems.push(...clashingIds(list, name));
  const { convention, why, problem } = conventionByNames(readings, name, given);
  if (problem !== null) problems.push(problem);
  const example = [...readings].find(([, { role }]) => role !== "label") ?? [...readings][0];
  const layout = `files are named as in BraTS, for example ${example?.[0] ?? paths[0]}`;
  const labels = new Map(list.flatMap(({ id, label }) => (label === undefined ? [] : [[id, label]])));
  return {
    layout: "brats",
    convention,
    cases: list,
    newCases: [],
    labels,
    why: { layout, convention: why },
    problems,
    warnings: [],
  };
}

/** Returns the convention that the names of images tell, unless one is given, and how it was found. */
export function conventionByNames(
  readings: ReadonlyMap<string, Reading>,
  name: string,
  given?: LabelConvention,
): { convention: LabelConvention | null; why: string; problem: string | null } {
  if (given) return { convention: given, why: "set by --labels", problem: null };
  const examples = new Map<LabelConvention | null, string>();
  for (const [path, { role, convention }] of readings)
    if (role !== "label" && !examples.has(convention)) examples.set(convention, path);
  const [convention = null] = examples.keys();
  if (convention !== null && examples.size === 1) {
    const years = convention === "brats" ? "2018 to 2021" : "2023";
    const why = `BraTS ${years} uses names like ${examples.get(convention)}`;
    return { convention, why, problem: null };
  }
  return { convention: null, why: "", problem: undecided(examples, name) };
}

function undecided(examples: Map<LabelConvention | null, string>, name: string): string {
  const expected = `${name}: expected image names that show how labels are numbered`;
  const [old, recent, other] = [examples.get("brats"), examples.get("brats2023"), examples.get(null)];
  const got = other
    ? `got names that BraTS does not use (${other})`
    : old
      ? `got names of BraTS to 2021 (${old}) and of BraTS 2023 (${recent})`
      : "got label files only";
  const flags = CONVENTION_NAMES.map((one) => `--labels ${one}`);
  return `${expected}, ${got}: use ${flags.slice(0, -1).join(", ")} or ${flags.at(-1)}`;
}
