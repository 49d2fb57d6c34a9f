// The scans of --unlabelled: which they are, reading them, and whether they are cases that the stage is
// validated or tested on.

import { compareRun } from "../../data/check/run.ts";
import { openDataset } from "../../data/datasets/datasets.ts";
import { gapsOf, listOf } from "../../data/datasets/gaps.ts";
import type { CaseRecord } from "../../data/datasets/manifest.ts";
import { listed, patientsBy } from "../../data/datasets/patients.ts";
import { type CaseFiles, type Modality, MODALITIES } from "../../data/datasets/source.ts";
import type { Split } from "../../data/datasets/splits.ts";
import { collectProblems, DataError } from "../../data/errors.ts";
import type { CommonGrid } from "../../data/preparation/input.ts";
import type { TrainConfig } from "../../trainer/settings/settings.ts";
import { unlabelledFolder } from "../../trainer/settings/unlabelled.ts";
import type { Cache, FirstRead, KeptCase, Reading } from "../files/dataWorkers.ts";
import { folderSource } from "../files/folderSource.ts";
import { inRun, loadRecordedCases } from "../files/loadCases.ts";

/** The scans without labels of a stage, not read yet. */
export interface UnlabelledScans {
  files: readonly CaseFiles[];
  reading: Omit<Reading, "modalities" | "preparation">;
}

/** Scans without labels that were read. */
export interface UnlabelledCases {
  read: readonly FirstRead[];
  cases: readonly KeptCase[];
  records: readonly CaseRecord[];
  warnings: readonly string[];
}

/**
 * Finds the scans of --unlabelled, whose labels are not read where there are some; null for a stage without
 * any. Reads no volume. Throws a DataError for another folder, or scans that lack a contrast of the stage's
 * networks, which see `seen`.
 */
export async function openUnlabelled(
  config: TrainConfig,
  seen: readonly Modality[],
): Promise<UnlabelledScans | null> {
  const folder = unlabelledFolder(config);
  if (folder === null) return null;
  const problems: string[] = [];
  const found = await collectProblems(problems, async () =>
    openDataset(await folderSource(folder), { convention: config.labels ?? undefined }),
  );
  if (!found) throw new DataError(problems.map((problem) => `--unlabelled: ${problem}`));
  const { layout, convention, cases, newCases } = found;
  const files = [...cases, ...newCases].map(({ label: _, ...images }) => images);
  const needed = MODALITIES.filter((one) => seen.includes(one));
  const gaps = gapsOf(files, needed);
  if (gaps)
    throw new DataError(
      `--unlabelled ${folder}: expected scans with ${listOf(needed)}, which the student and its teacher see: ${gaps}: ` +
        "remove these from the folder",
    );
  const dataset = { layout, convention };
  return { files, reading: { data: folder, dataset, required: needed, labels: false } };
}

/** Where scans without labels are kept, and the run beside which they are read. */
interface Beside {
  cache: Cache;
  threads: number;
  grid: CommonGrid;
  config: TrainConfig;
  labelled: readonly CaseRecord[];
  split: Split;
}

/** Reads scans without labels, if there are any, and turns them to the run's grid. Throws a DataError. */
export async function readUnlabelled(
  scans: UnlabelledScans | null,
  how: Pick<Reading, "modalities" | "preparation">,
  { cache, threads, grid, config, labelled, split }: Beside,
): Promise<UnlabelledCases> {
  if (!scans) return { read: [], cases: [], records: [], warnings: [] };
  const { files, reading } = scans;
  const read = await loadRecordedCases({ ...reading, ...how }, [{ files, cache }], () => threads);
  const { convention } = reading.dataset;
  const { warnings } = compareRun(
    read.map(({ report }) => report),
    { trained: read.length, convention, patch: config.patch, known: grid },
  );
  const records = read.map(({ record }) => ({ ...record, unlabelled: true as const }));
  const overlap = overlapWarning(config, { scans: records, labelled, split });
  return { read, cases: read.map((one) => inRun(one, grid)), records, warnings: [...warnings, ...overlap] };
}

/** A warning where scans without labels are cases to validate or test on, or of the same patients. */
function overlapWarning(
  { unlabelled, patients: way }: TrainConfig,
  { scans, labelled, split }: { scans: readonly CaseRecord[]; labelled: readonly CaseRecord[]; split: Split },
): string[] {
  const patientOf = patientsBy(way);
  const held = new Set([...split.val, ...split.test]);
  const patients = new Set([...held].map(patientOf));
  const voxelsOf = ({ images }: CaseRecord) => Object.values(images).map(({ voxels }) => voxels);
  const voxels = new Set(labelled.filter(({ id }) => held.has(id)).flatMap(voxelsOf));
  const shared = scans.filter(
    (scan) => patients.has(patientOf(scan.id)) || voxelsOf(scan).some((one) => voxels.has(one)),
  );
  if (!shared.length) return [];
  return [
    `--unlabelled ${unlabelled}: ${shared.length} of ${scans.length} scans are cases that this stage is validated or tested ` +
      `on, or have the ids of their patients (${listed(shared.map(({ id }) => id))}): its scores will be too good; ` +
      "remove them from the folder",
  ];
}
