// The report of a run: its stages' tables and curves, and the slices of a few test cases with the label and
// every stage's prediction. It is made from the files of the stages alone, so it can be made again.

import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { type Modality } from "../data/datasets.ts";
import { toClasses } from "../data/labels.ts";
import { readNifti, type Volume } from "../data/nifti.ts";
import type { EpochRecord } from "../model/records.ts";
import type { Summary } from "../model/summary.ts";
import { casesOf, openRunData } from "./cases.ts";
import { stageName, stageTitle, type TrainConfig } from "./config.ts";
import { writeAtomically } from "./files.ts";
import { renderReport } from "./report.ts";
import type { ReportStage } from "./reportCurves.ts";
import type { ReportSlice } from "./reportSlices.ts";
import { chooseSlice } from "./slices.ts";
import { FILES } from "./stageFolder.ts";
import { formatScores, type ScoreRow } from "./table.ts";

const CASES = 3; // of which slices are shown

/** Writes a report of the given stages of one run to `path`. */
export async function writeReport(
  path: string,
  title: string,
  configs: readonly TrainConfig[],
  notes: string[] = [],
) {
  const stages = await Promise.all(configs.map(readStage));
  const last = configs.at(-1)!;
  const { out, data, ...configuration } = last;
  const page = renderReport({
    title,
    subtitle: `${stages.length} ${stages.length === 1 ? "stage" : "stages"}, patch ${last.patch.join("x")}, ${last.filters} filters`,
    stages,
    slices: await slices(configs),
    configuration: { ...configuration, patch: last.patch.join(",") },
    notes,
  });
  await writeAtomically(path, page);
}

/** The stages' mean scores on the test cases, as text. */
export async function scoreTable(configs: readonly TrainConfig[]): Promise<string> {
  const stages = await Promise.all(configs.map(readStage));
  const rows = stages.flatMap(({ title, summary }): ScoreRow[] =>
    summary ? [{ name: title, scores: summary.mean }] : [],
  );
  return rows.length ? formatScores(rows, "on the test cases") : "no test cases: no scores";
}

async function readStage(config: TrainConfig): Promise<ReportStage> {
  const folder = join(config.out, stageName(config));
  const lines = (await readFile(join(folder, FILES.metrics), "utf8")).trim().split("\n").filter(Boolean);
  const summary = await readFile(join(folder, FILES.summary), "utf8").catch(() => null);
  return {
    title: stageTitle(config),
    folder: stageName(config),
    metrics: lines.map((line) => JSON.parse(line) as EpochRecord),
    ...(summary !== null && { summary: JSON.parse(summary) as Summary }),
  };
}

/** Of each of the first test cases: FLAIR (or what there is) with the label, then every stage's prediction. */
async function slices(configs: readonly TrainConfig[]): Promise<ReportSlice[]> {
  const { source, dataset, split, modalities } = await openRunData(configs[0]!);
  const student = configs.find(({ modality }) => modality)?.modality ?? null;
  const shown: ReportSlice[] = [];
  for (const files of casesOf(dataset, split.test.slice(0, CASES))) {
    const read = async (modality: Modality): Promise<{ size: Volume["size"]; grey: Float32Array }> => {
      const { path, channel } = files.images[modality]!;
      const { data, size } = await readNifti(await source.read(path), path);
      const voxels = size[0] * size[1] * size[2];
      return { size, grey: data.subarray(channel * voxels, (channel + 1) * voxels) };
    };
    const base = await read(modalities.includes("flair") ? "flair" : modalities[0]!);
    const own = student && student !== "flair" ? await read(student) : null;
    const label = await readNifti(await source.read(files.label!), files.label!);
    const reference = toClasses(label.data, dataset.convention, files.label!);
    const images: ReportSlice["images"] = [
      { title: modalities.includes("flair") ? "FLAIR" : modalities[0]!, ...base },
      ...(own ? [{ title: `${student} (what the student sees)`, ...own }] : []),
      { title: "label", ...base, labels: reference },
    ];
    for (const config of configs) {
      const path = join(config.out, stageName(config), FILES.predictions, `${files.id}.nii.gz`);
      const bytes = await readFile(path).catch(() => null);
      if (!bytes) continue;
      const { data } = await readNifti(bytes, path);
      images.push({ title: stageTitle(config), ...base, labels: toClasses(data, dataset.convention, path) });
    }
    shown.push({ case: files.id, images, plane: "axial", index: chooseSlice(reference, base.size) });
  }
  return shown;
}
