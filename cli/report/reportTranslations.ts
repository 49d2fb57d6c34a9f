// The report's section of translations: a table of their errors beside those of their sources, and slices of
// a few test cases beside the true contrast.

import { join } from "node:path";
import { append } from "../../engine/values.ts";
import { type CaseFiles, type Modality, MODALITY_TITLES } from "../../data/datasets/datasets.ts";
import { readNifti } from "../../data/nifti/nifti.ts";
import { stageName, stageTitle, type TrainConfig } from "../../trainer/settings/config.ts";
import { casesOf, openRunData } from "../files/cases.ts";
import { ifSound } from "../files/ownFiles.ts";
import {
  readTranslations,
  translationFile,
  TRANSLATIONS,
  type TranslationScore,
  type TranslationSummary,
} from "../prediction/translationFiles.ts";
import { escape } from "./reportPage.ts";
import { pictureRows, type ReportImage, type ReportSlice } from "./reportSlices.ts";
import { openCase, type OpenCase } from "./runSlices.ts";
import { readFile } from "../terminal/userFile.ts";

/** A stage's translations of its test cases. */
export interface ReportTranslations {
  title: string;
  mean: TranslationSummary["mean"];
  slices: ReportSlice[];
}

/** The translations of the stages that have some, with pictures of the cases whose translations are kept. */
export async function translationsOf(configs: readonly TrainConfig[]): Promise<ReportTranslations[]> {
  const all: ReportTranslations[] = [];
  for (const config of configs) {
    const folder = join(config.out, stageName(config));
    const found = await ifSound(() => readTranslations(folder));
    if (!found) continue;
    const data = await openRunData(config, folder);
    const slices: ReportSlice[] = [];
    for (const files of casesOf(data.dataset, data.split.test)) {
      const own = found.cases.filter((one) => one.case === files.id);
      const images = await translatedIn(folder, files, own);
      if (images.length) append(slices, await rowsOf(await openCase(files, data), images));
    }
    all.push({ title: stageTitle(config), mean: found.mean, slices });
  }
  return all;
}

type Translated = TranslationScore & { image: Float32Array };

/** The translations of a case that are kept. */
async function translatedIn(
  folder: string,
  { id }: CaseFiles,
  scores: readonly TranslationScore[],
): Promise<Translated[]> {
  const kept: Translated[] = [];
  for (const score of scores) {
    const path = join(folder, TRANSLATIONS.images, translationFile(id, score));
    const bytes = await readFile(path).catch(() => null);
    if (bytes) kept.push({ ...score, image: (await readNifti(bytes, path)).data });
  }
  return kept;
}

/** For each contrast of a case: its slice, and each translation of it with the true contrast beside it. */
async function rowsOf(
  { id, size, index, scan }: OpenCase,
  all: readonly Translated[],
): Promise<ReportSlice[]> {
  const rows: ReportSlice[] = [];
  for (const from of new Set(all.map((one) => one.from))) {
    const images: ReportImage[] = [
      { title: `${MODALITY_TITLES[from]}, as scanned`, size, grey: await scan(from) },
    ];
    for (const { into, image, ...score } of all.filter((one) => one.from === from))
      images.push(
        { title: caption({ into, ...score }), size, grey: image },
        { title: `${MODALITY_TITLES[into]}, as scanned`, size, grey: await scan(into) },
      );
    rows.push({ case: id, about: `${MODALITY_TITLES[from]} translated`, images, plane: "axial", index });
  }
  return rows;
}

function caption({ from, into, translation, source }: TranslationScore): string {
  const name = (contrast: Modality) => MODALITY_TITLES[contrast];
  return (
    `${name(into)}, translated from ${name(from)}: error ${translation.error.toFixed(3)}, ` +
    `without translation ${source.error.toFixed(3)}`
  );
}

/** The section of translations; empty without any. */
export function translations(all: readonly ReportTranslations[]): string {
  const parts = all.map(({ title, mean, slices }) => {
    const heading = all.length > 1 ? `<h3>${escape(title)}</h3>` : "";
    return `${heading}${table(mean)}${pictureRows(slices)}`;
  });
  if (!parts.length) return "";
  return `<section><h2>Translations of the test cases</h2>
<p>Error is the mean absolute difference from the true contrast within the brain, where each contrast has mean 0
and standard deviation 1; less is better. Correlation is Pearson's, voxel by voxel. The columns "untranslated" compare the
source as it stands with the true contrast.</p>
${parts.join("\n")}</section>`;
}

function table(mean: TranslationSummary["mean"]): string {
  const rows = mean.map(({ from, into, cases, translation, source }) => {
    const numbers = [translation.error, source.error, translation.correlation, source.correlation];
    const cells = [String(cases), ...numbers.map((value) => value.toFixed(3))];
    const name = `${MODALITY_TITLES[from]} into ${MODALITY_TITLES[into]}`;
    return `<tr><th scope="row">${escape(name)}</th>${cells.map((cell) => `<td>${cell}</td>`).join("")}</tr>`;
  });
  const heads = ["cases", "error", "untranslated", "correlation", "untranslated"];
  return `<div class="scroll"><table>
<thead><tr><th scope="col">translation</th>${heads.map((head) => `<th scope="col">${head}</th>`).join("")}</tr></thead>
<tbody>${rows.join("\n")}</tbody></table></div>`;
}
