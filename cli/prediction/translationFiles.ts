// translation.json and translation.csv: how near the translations of the test cases are to the true
// contrasts, and how near their sources are as they stand. The first cases' translations are kept beside them
// as NIfTI.

import { join } from "node:path";
import type { Modality } from "../../data/datasets/datasets.ts";
import type { Likeness } from "../../trainer/stages/translation.ts";
import { csv } from "../files/csv.ts";
import { writeAtomically } from "../files/files.ts";
import { readFile } from "../terminal/userFile.ts";

/** The files' names, and the folder of the translations. */
export const TRANSLATIONS = {
  json: "translation.json",
  csv: "translation.csv",
  images: "translations",
} as const;

/** The contrast that is translated, and the one that it is translated into. */
export interface Direction {
  from: Modality;
  into: Modality;
}

/** The likeness of a translation to the true contrast, and that of its source, which is no translation. */
export interface TranslationScore extends Direction {
  translation: Likeness;
  source: Likeness;
}

/** A test case in one direction. */
export type CaseTranslation = { case: string } & TranslationScore;

/** The scores of the test cases, and for each direction their mean over `cases` cases. */
export interface TranslationSummary {
  mean: ({ cases: number } & TranslationScore)[];
  cases: CaseTranslation[];
}

/** The name of a translated case's file. */
export function translationFile(id: string, { from, into }: Direction): string {
  return `${id}_${into}_from_${from}.nii.gz`;
}

/** The scores with their means, by direction in the order of the scores. */
export function translationSummary(cases: readonly CaseTranslation[]): TranslationSummary {
  const name = ({ from, into }: Direction) => `${from} ${into}`;
  const mean = [...new Set(cases.map(name))].map((direction) => {
    const own = cases.filter((one) => name(one) === direction);
    const { from, into } = own[0]!;
    const of = (image: "translation" | "source") => meanLikeness(own.map((one) => one[image]));
    return { from, into, cases: own.length, translation: of("translation"), source: of("source") };
  });
  return { mean, cases: [...cases] };
}

/** Writes translation.json and translation.csv. */
export async function writeTranslations(folder: string, summary: TranslationSummary): Promise<void> {
  const head = ["case", "from", "into"];
  const columns = ["translation", "source"].flatMap((one) => [`${one}_error`, `${one}_correlation`]);
  const rows = summary.cases.map(({ case: id, from, into, translation, source }) => [
    id,
    from,
    into,
    ...[translation, source].flatMap(({ error, correlation }) => [error, correlation]),
  ]);
  await writeAtomically(join(folder, TRANSLATIONS.csv), csv([[...head, ...columns], ...rows]));
  await writeAtomically(join(folder, TRANSLATIONS.json), `${JSON.stringify(summary, null, 2)}\n`);
}

/** The scores in a stage's folder; null where it has none. */
export async function readTranslations(folder: string): Promise<TranslationSummary | null> {
  const text = await readFile(join(folder, TRANSLATIONS.json), "utf8").catch(() => null);
  return text === null ? null : (JSON.parse(text) as TranslationSummary);
}

/** A direction's mean scores in words. */
export function translationText({ from, into, cases, translation, source }: TranslationSummary["mean"][0]) {
  const number = cases === 1 ? "1 test case" : `${cases} test cases`;
  return (
    `${from} into ${into}, ${number}: mean absolute error ${translation.error.toFixed(3)} ` +
    `(${source.error.toFixed(3)} without translation), ` +
    `correlation ${translation.correlation.toFixed(3)} (${source.correlation.toFixed(3)})`
  );
}

function meanLikeness(all: readonly Likeness[]): Likeness {
  const mean = (key: keyof Likeness) => all.reduce((sum, one) => sum + one[key], 0) / all.length;
  return { error: mean("error"), correlation: mean("correlation") };
}
