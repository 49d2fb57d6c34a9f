// Finds the cases of a data set and the meaning of its labels. Layout and label convention are detected; if
// two conventions are possible, the error message names the flag that chooses one.

import { looksLikeBrats, surveyBratsFolders } from "./bratsFolders.ts";
import { surveyDatasetJson, surveyNumbered } from "./datasetJson.ts";
import { DataError } from "../errors.ts";
import { channelCount } from "./imageFolders.ts";
import type { LabelConvention } from "./labels.ts";
import { type Dataset, type Modality, type Source, type Survey, visibleFiles } from "./source.ts";
import { unclaimedFiles, unreadFiles } from "./unclaimed.ts";

export { MODALITIES, MODALITY_TITLES } from "./source.ts";
export type { CaseFiles, Dataset, Modality, Source, Survey } from "./source.ts";

/** Choices that file names may leave open. */
export interface SurveyOptions {
  /** The label convention, in place of the detected one. */
  convention?: LabelConvention | undefined;
  /** Orders of channels that images named CASE_0000.nii.gz may have where no dataset.json names them. */
  orders?: readonly (readonly Modality[])[];
}

/** A data set without problems, the new cases beside it, and the oddities of its file names. */
export type Opened = Dataset & Pick<Survey, "newCases" | "warnings">;

/**
 * Finds the cases in `source`: BraTS folders, an nnU-Net raw folder or its imagesTs, a Decathlon task, or a
 * list of images. Reads no volume. Throws one DataError with all problems.
 */
export async function openDataset(source: Source, options: SurveyOptions = {}): Promise<Opened> {
  const { layout, convention, cases, newCases, problems, warnings } = await surveyDataset(source, options);
  if (problems.length || !convention) throw new DataError(problems);
  return { layout, convention, cases, newCases, warnings };
}

/**
 * As `openDataset`, but returns the problems together with the cases that were found in spite of them. Throws
 * DataError if no layout is recognised.
 */
export async function surveyDataset(source: Source, options: SurveyOptions = {}): Promise<Survey> {
  const { paths, unread } = await visibleFiles(source);
  const survey = await surveyLayout(source, paths, options);
  if (!survey) throw new DataError([unknownLayout(source.name, paths), ...unreadFiles(unread)]);
  return { ...survey, warnings: [...survey.warnings, ...unclaimedFiles(paths, unread, survey)] };
}

async function surveyLayout(
  source: Source,
  paths: readonly string[],
  { convention: given, orders = [] }: SurveyOptions,
): Promise<Survey | null> {
  const { name } = source;
  if (paths.includes("dataset.json")) {
    const survey = await surveyDatasetJson(await source.read("dataset.json"), paths, { name, given });
    if (survey.cases.length || survey.newCases.length || survey.problems.length) return survey;
    return { ...survey, problems: [`${name}: expected images in imagesTr beside dataset.json, got none`] };
  }
  const channels = channelCount(paths);
  if (channels !== null) {
    const json = await source.readAbove?.("dataset.json");
    if (json) return surveyNumbered(paths, { name, given, json });
    const [order, other] = new Map(
      orders.filter(({ length }) => length === channels).map((one) => [one.join(), one]),
    ).values();
    if (order && !other) return surveyNumbered(paths, { name, given, order });
  }
  return looksLikeBrats(paths) ? surveyBratsFolders(paths, name, given) : null;
}

/** The message for files in no known layout. */
function unknownLayout(name: string, paths: readonly string[]): string {
  const below = paths.find((path) => path.endsWith("/dataset.json"));
  if (below) {
    const folder = below.slice(0, -"/dataset.json".length);
    return `${name}: expected one data set, got several: use ${name}/${folder}`;
  }
  const numbered = paths.find((path) => /_\d{4}\.nii(\.gz)?$/.test(path));
  if (numbered) {
    const expected = `expected a dataset.json that names the channels, got ${numbered} without one`;
    const remedy =
      "add it beside a folder imagesTr with the images, or name them <case>_t1ce.nii.gz and so on";
    return `${name}: ${expected}: ${remedy}`;
  }
  const got = paths.length ? `${paths.length} files (${paths.slice(0, 3).join(", ")}...)` : "an empty folder";
  const brats = "<case>/<case>_t1.nii.gz (_t2, _t1ce, _flair, _seg)";
  const layouts = `${brats}, or dataset.json with imagesTr and labelsTr (nnU-Net, Decathlon)`;
  return `${name}: expected ${layouts}, got ${got}`;
}
