// Reads the pictures of a report from the files of a run: scans, labels and predictions of a few test cases.

import { join } from "node:path";
import { type CaseFiles, type Modality, MODALITIES, MODALITY_TITLES } from "../../data/datasets/datasets.ts";
import { toClasses } from "../../data/datasets/labels.ts";
import { readNifti } from "../../data/nifti/nifti.ts";
import { chooseSlice } from "../../data/preparation/slices.ts";
import type { Vec3 } from "../../model/scoring/regions.ts";
import { casesOf, openRunData, type RunData } from "../files/cases.ts";
import { stageName, type TrainConfig } from "../../trainer/settings/config.ts";
import type { ReportImage, ReportSlice } from "./reportSlices.ts";
import { differences, worstSlice } from "./slices.ts";
import { FILES } from "../files/stageFolder.ts";
import { readFile } from "../terminal/userFile.ts";

/** A stage whose predictions are shown, and their caption. */
export interface Shown {
  config: TrainConfig;
  title: string;
}

/** A row of pictures: a scan that the student sees (null: of all contrasts) and predictions. */
export interface Row {
  about: string;
  sees: readonly Modality[] | null;
  stages: readonly Shown[];
}

/** One case and readers of its files; label and predictions [D,H,W] are the network's classes. */
export interface OpenCase {
  id: string;
  size: Vec3;
  label: Uint8Array;
  /** The axial slice with the largest tumour area. */
  index: number;
  scan: (modality: Modality) => Promise<Float32Array>;
  prediction: (config: TrainConfig) => Promise<Uint8Array | null>;
}

/**
 * The pictures of the first `cases` test cases of the run. For each case: a row of the slice with the largest
 * tumour area (scan, label and every prediction of `rows`), then for each of `rows` the slice where its
 * predictions differ most from the label.
 */
export async function readSlices(
  config: TrainConfig,
  rows: readonly Row[],
  cases: number,
): Promise<ReportSlice[]> {
  const data = await openRunData(config, join(config.out, stageName(config)));
  const shown: ReportSlice[] = [];
  for (const files of casesOf(data.dataset, data.split.test.slice(0, cases))) {
    const open = await openCase(files, data);
    const there = MODALITIES.filter((modality) => files.images[modality]);
    const seen = rows.filter(({ sees }) => sees?.every((modality) => there.includes(modality)) ?? true);
    shown.push(await largest(open, seen, there));
    for (const row of seen) {
      const differing = await mostDifferent(open, row, there);
      if (differing) shown.push(differing);
    }
  }
  return shown;
}

/** Opens a case of a run's data, which has a label. */
export async function openCase(files: CaseFiles, { source, dataset }: RunData): Promise<OpenCase> {
  const { convention } = dataset;
  const { data, size, step } = await readNifti(await source.read(files.label!), files.label!);
  const label = toClasses(data, convention, files.label!, { step });
  return {
    id: files.id,
    size,
    label,
    index: chooseSlice(label, size),
    async scan(modality) {
      const { path, channel } = files.images[modality]!;
      const image = await readNifti(await source.read(path), path);
      const voxels = size[0] * size[1] * size[2];
      return image.data.subarray(channel * voxels, (channel + 1) * voxels);
    },
    async prediction(config) {
      const path = join(config.out, stageName(config), FILES.predictions, `${files.id}.nii.gz`);
      const bytes = await readFile(path).catch(() => null);
      return bytes && toClasses((await readNifti(bytes, path)).data, convention, path);
    },
  };
}

/** Scans without and with the label, then every stage's prediction once. */
async function largest(
  { id, size, label, index, scan, prediction }: OpenCase,
  rows: readonly Row[],
  modalities: readonly Modality[],
): Promise<ReportSlice> {
  const base = backdrop(modalities);
  const grey = await scan(base);
  const images: ReportImage[] = [{ title: MODALITY_TITLES[base], size, grey }];
  for (const modality of new Set(rows.flatMap((row) => row.sees ?? []))) {
    if (modality !== base)
      images.push({
        title: `${MODALITY_TITLES[modality]} (a student's input)`,
        size,
        grey: await scan(modality),
      });
  }
  images.push({ title: "label", size, grey, labels: label });
  const known = new Set<string>();
  for (const { config, title } of rows.flatMap(({ stages }) => stages)) {
    const labels = await prediction(config);
    if (labels && !known.has(title)) images.push({ title, size, grey, labels });
    known.add(title);
  }
  return {
    case: id,
    about: "the largest area of tumour",
    images,
    plane: "axial",
    index,
  };
}

/** The label and each prediction with its differences, on the student's input; null without differences. */
async function mostDifferent(
  { id, size, label, scan, prediction }: OpenCase,
  { about, sees, stages }: Row,
  modalities: readonly Modality[],
): Promise<ReportSlice | null> {
  const seen = backdrop(sees ?? modalities);
  const grey = await scan(seen);
  const images: ReportImage[] = [{ title: `label on ${MODALITY_TITLES[seen]}`, size, grey, labels: label }];
  const maps: Uint8Array[] = [];
  for (const { config, title } of stages) {
    const labels = await prediction(config);
    if (!labels) continue;
    const map = differences(label, labels);
    maps.push(map);
    images.push(
      { title, size, grey, labels },
      { title: `${title}: differences`, size, grey, differences: map },
    );
  }
  const index = worstSlice(maps, size);
  return index === null ? null : { case: id, about, images, plane: "axial", index };
}

/** The contrast that shows a whole tumour best, or the first there is. */
export function backdrop(modalities: readonly Modality[]): Modality {
  return modalities.includes("flair") ? "flair" : modalities[0]!;
}
