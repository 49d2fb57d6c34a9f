// BraTS folders: <case>/<case>_t1.nii.gz and so on, at any depth (BraTS 2018 keeps HGG and LGG apart), also
// with the names of other collections and of BIDS. In 2023 the modality names and the label numbers of BraTS
// changed together, so its names tell the label convention; 2024 renumbered two parts of the challenge under
// the same names. Other names tell no convention.

import { append } from "../../engine/values.ts";
import { CONVENTION_NAMES, type LabelConvention, labelFlags } from "./labels.ts";
import { type Reading, readingsOf, readNames } from "./names.ts";
import { baseName, type CaseFiles, clashingIds, type Survey } from "./source.ts";
import { put } from "../groups.ts";

/**
 * Ids that say more than the suffix. GLI's time points from 100 on are after treatment, which began in 2024
 * and added a label. PED's ids stayed while its numbers changed, unless the folder is one of the challenge's.
 */
const IDS: readonly { path: RegExp; conventions: readonly LabelConvention[] }[] = [
  { path: /BraTS-GLI-\d+-1\d\d[^/]*$/i, conventions: ["brats2024-gli"] },
  { path: /BraTS2023-PED.*BraTS-PED-\d+[^/]*$/i, conventions: ["brats2023"] },
  { path: /BraTS-PEDs2024.*BraTS-PED-\d+[^/]*$/i, conventions: ["brats2024-ped"] },
  { path: /BraTS-PED-\d+[^/]*$/i, conventions: ["brats2023", "brats2024-ped"] },
  { path: /BraTS-(GLI|MET|SSA|MEN|GoAT)-\d+[^/]*$/i, conventions: ["brats2023"] },
];
const NAMES: Readonly<Partial<Record<LabelConvention, string>>> = {
  brats: "BraTS to 2021",
  brats2023: "BraTS 2023",
  "brats2024-gli": "BraTS-GLI 2024",
  "brats2024-ped": "BraTS-PED 2024",
};

/** True if any path is named as BraTS names its files. */
export function looksLikeBrats(paths: readonly string[]): boolean {
  return paths.some((path) => readingsOf(path).length > 0);
}

/** Returns the cases among `paths`. Duplicate files and ambiguous label conventions go to `problems`. */
export function surveyBratsFolders(paths: readonly string[], name: string, given?: LabelConvention): Survey {
  const cases = new Map<string, CaseFiles>();
  const labels = new Map<string, string[]>();
  const problems: string[] = [];
  const readings = readNames(paths);
  for (const [path, { id, role }] of readings) {
    const key = path.slice(0, -baseName(path).length) + id;
    const found = cases.get(key) ?? { id, images: {} };
    cases.set(key, found);
    if (role === "label") put(labels, id, path);
    const other = role === "label" ? found.label : found.images[role]?.path;
    if (other !== undefined)
      problems.push(`case ${id}: expected one ${role} file, got ${other} and ${path}: remove one`);
    else if (role === "label") found.label = path;
    else found.images[role] = { path, channel: 0 };
  }
  const list = [...cases.values()].sort((a, b) => (a.id < b.id ? -1 : 1));
  append(problems, clashingIds(list, name));
  const { convention, why, problem } = conventionByNames(readings, name, given);
  if (problem !== null) problems.push(problem);
  const example = [...readings].find(([, { role }]) => role !== "label") ?? [...readings][0];
  const layout = `files are named as in BraTS, for example ${example?.[0] ?? paths[0]}`;
  return {
    layout: "brats",
    convention,
    cases: list,
    newCases: [],
    labels,
    byNames: !given,
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
  for (const [path, { role, convention }] of readings) {
    if (role === "label") continue;
    const named = IDS.find((rule) => rule.path.test(`${name}/${path}`))?.conventions;
    for (const one of named ?? [convention]) if (!examples.has(one)) examples.set(one, path);
  }
  // Both number alike; only the later year has a label 4.
  if (examples.has("brats2024-gli")) examples.delete("brats2023");
  const [convention = null] = examples.keys();
  if (convention !== null && examples.size === 1) {
    const why = `${NAMES[convention]} uses names like ${examples.get(convention)}`;
    return { convention, why, problem: null };
  }
  return { convention: null, why: "", problem: undecided(examples, name) };
}

function undecided(examples: Map<LabelConvention | null, string>, name: string): string {
  const expected = `${name}: expected image names that show how labels are numbered`;
  const known = [...examples].flatMap(([one, path]) => (one === null ? [] : [{ one, path }]));
  const other = examples.get(null);
  if (other !== undefined || !known.length) {
    const got = other === undefined ? "label files only" : `names that BraTS does not use (${other})`;
    return `${expected}, got ${got}: ${labelFlags(CONVENTION_NAMES)}`;
  }
  const got = known.map(({ one, path }) => `names of ${NAMES[one]} (${path})`).join(" and ");
  return `${expected}, got ${got}: ${labelFlags(known.map(({ one }) => one))}`;
}
