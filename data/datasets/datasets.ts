// Finds the cases of a data set and the meaning of its labels. Layout and label convention are detected; if
// two conventions are possible, the error message names the flag that chooses one.

import { looksLikeBrats, surveyBratsFolders } from "./bratsFolders.ts";
import { surveyDatasetJson } from "./datasetJson.ts";
import { DataError } from "../errors.ts";
import type { LabelConvention } from "./labels.ts";
import { type Dataset, MODALITIES, type Modality, type Source, type Survey, visibleFiles } from "./source.ts";

export { MODALITIES } from "./source.ts";
export type { CaseFiles, Dataset, Modality, Source, Survey } from "./source.ts";

/**
 * Finds the cases in `source`: BraTS folders, an nnU-Net raw folder or a Decathlon task. `convention`
 * overrides the detected label convention. Reads no volume. Throws one DataError with all problems.
 */
export async function openDataset(
  source: Source,
  options: { convention?: LabelConvention | undefined } = {},
): Promise<Dataset> {
  const { layout, convention, cases, problems } = await surveyDataset(source, options);
  if (problems.length || !convention) throw new DataError(problems);
  return { layout, convention, cases };
}

/**
 * As `openDataset`, but returns the problems together with the cases that were found in spite of them. Throws
 * DataError if no layout is recognised.
 */
export async function surveyDataset(
  source: Source,
  options: { convention?: LabelConvention | undefined } = {},
): Promise<Survey> {
  const paths = await visibleFiles(source);
  if (paths.includes("dataset.json")) {
    const json = await source.read("dataset.json");
    const survey = await surveyDatasetJson(json, paths, { name: source.name, given: options.convention });
    if (survey.cases.length || survey.problems.length) return survey;
    throw new DataError(`${source.name}: expected images in imagesTr beside dataset.json, got none`);
  }
  if (looksLikeBrats(paths)) return surveyBratsFolders(paths, source.name, options.convention);

  const below = paths.find((path) => path.endsWith("/dataset.json"));
  if (below) {
    const folder = below.slice(0, -"/dataset.json".length);
    throw new DataError(`${source.name}: expected one data set, got several: use ${source.name}/${folder}`);
  }
  const numbered = paths.find((path) => /_\d{4}\.nii(\.gz)?$/.test(path));
  if (numbered) {
    const expected = `expected a dataset.json that names the channels, got ${numbered} without one`;
    const remedy =
      "add it beside a folder imagesTr with the images, or name them <case>_t1ce.nii.gz and so on";
    throw new DataError(`${source.name}: ${expected}: ${remedy}`);
  }
  const got = paths.length ? `${paths.length} files (${paths.slice(0, 3).join(", ")}...)` : "an empty folder";
  const brats = "<case>/<case>_t1.nii.gz (_t2, _t1ce, _flair, _seg)";
  const layouts = `${brats}, or dataset.json with imagesTr and labelsTr (nnU-Net, Decathlon)`;
  throw new DataError(`${source.name}: expected ${layouts}, got ${got}`);
}

/**
 * Throws one DataError that lists every case without one of `modalities`, or without a label if `labels` is
 * set.
 */
export function requireModalities(
  dataset: Dataset,
  modalities: readonly Modality[],
  { labels }: { labels: boolean },
): void {
  const problems: string[] = [];
  for (const { id, images, label } of dataset.cases) {
    const missing: string[] = modalities.filter((modality) => !images[modality]);
    if (labels && label === undefined) missing.push("label");
    if (!missing.length) continue;
    const present: string[] = MODALITIES.filter((modality) => images[modality]);
    if (label !== undefined) present.push("label");
    problems.push(`case ${id}: expected ${missing.join(", ")}, got only ${present.join(", ") || "nothing"}`);
  }
  if (problems.length) throw new DataError(problems);
}
