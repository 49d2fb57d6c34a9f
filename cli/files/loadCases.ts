// Reads, checks and prepares the cases of a run, in the main thread or in several others, and records their
// files. A case stays in memory where there is room for it; any other is read again whenever it is needed,
// from the cache on disk or from its files, to the same bits.

import type { CaseReport } from "../../data/check/checkCase.ts";
import { loadCase } from "../../data/check/loadCase.ts";
import { inGrid } from "../../data/check/run.ts";
import { collectProblems, DataError } from "../../data/errors.ts";
import { caseRecord, compareFiles, type FileRecord, recordOf } from "../../data/datasets/manifest.ts";
import type { CommonGrid } from "../../data/preparation/input.ts";
import type { Case } from "../../data/preparation/preprocess.ts";
import type { SuppliedCase } from "../../data/preparation/supply.ts";
import type { CaseFiles } from "../../data/datasets/source.ts";
import { caseBytes, caseFileName, readCaseFile, writeCaseFile } from "./caseFile.ts";
import {
  type Cache,
  DataWorker,
  type FirstRead,
  type KeptCase,
  type LoadedCase,
  type Reading,
  type RecordedCase,
  shared,
} from "./dataWorkers.ts";
import { folderSource } from "./folderSource.ts";

/** Reads one case with its label, unless labels are not read. Throws one DataError with all its problems. */
export async function loadRecorded(reading: Reading, files: CaseFiles): Promise<LoadedCase> {
  const read: FileRecord[] = [];
  let report: CaseReport | null = null;
  const dataset = { ...reading.dataset, cases: [files] };
  const prepared = await loadCase(await folderSource(reading.data), dataset, files, reading.modalities, {
    labels: reading.labels ?? true,
    millimetres: true,
    required: reading.required,
    ...reading.preparation,
    seen: async (path, bytes, volume) => void read.push(await recordOf(path, bytes, volume)),
    checked: (found) => (report = found),
  });
  return { prepared, record: caseRecord(files, read), report: report! };
}

/** Reads a case for the first time, and keeps it in memory, else on disk, where the cache has room. */
export async function firstRead(reading: Reading, files: CaseFiles, cache: Cache): Promise<FirstRead> {
  const { prepared, ...found } = await loadRecorded(reading, files);
  const { id, channels, absent, size } = prepared;
  const bytes = caseBytes(prepared);
  const about = { ...found, bytes, voxels: size[0] * size[1] * size[2], unwritten: null };
  if (cache.room.take(bytes + cache.more)) return { ...about, case: shared(prepared) };
  const { folder } = cache;
  const { record, report } = found;
  const own = { grid: report.grid };
  const recorded = {
    id,
    channels,
    ...(absent && { absent }),
    reading,
    files,
    record,
    folder,
    own,
    run: null,
  };
  const unwritten = folder && (await writeCaseFile(folder, caseFileName(reading, found.record), prepared));
  return { ...about, case: recorded, unwritten };
}

/**
 * Reads a case again: from the cache on disk, or from its files if that has no sound copy. Throws a DataError
 * if its files have changed or cannot be read any more.
 */
export async function readAgain(recorded: RecordedCase): Promise<Case> {
  const { own, run } = recorded;
  const prepared = await preparedAgain(recorded);
  return run ? inGrid(prepared, own, run) : prepared;
}

/** The same, in the case's own orientation. */
async function preparedAgain({ id, reading, files, record, folder }: RecordedCase): Promise<Case> {
  const name = caseFileName(reading, record);
  const stored = folder && (await readCaseFile(folder, name));
  if (stored) return { ...stored, id };
  const remedy = "restore the data as they were when the run began, and continue with --resume";
  const problems: string[] = [];
  const loaded = await collectProblems(problems, () => loadRecorded(reading, files));
  if (!loaded) throw new DataError(problems.map((problem) => `${problem}: ${remedy}`));
  const {
    changed: [changed],
  } = compareFiles([record], [loaded.record]);
  if (changed !== undefined)
    throw new DataError(
      `case ${id}: ${changed}: is another scan or label than when the run began: ${remedy}`,
    );
  if (folder) await writeCaseFile(folder, name, loaded.prepared, { replace: true });
  return loaded.prepared;
}

/** Returns a case in the orientation of the run's grid. One in memory stays in the same memory. */
export function inRun({ case: kept, report }: FirstRead, run: CommonGrid): KeptCase {
  if ("reading" in kept) return { ...kept, run };
  const { images, label } = kept;
  const turned = inGrid(kept, report, run);
  if (turned === kept) return kept;
  images.set(turned.images);
  label?.set(turned.label!);
  return { ...turned, images, ...(label && { label }) };
}

/** A kept case as it is, and any other to be read in this thread, or by `worker`. */
export function suppliedCase(kept: KeptCase, worker?: () => DataWorker): SuppliedCase {
  if (!("reading" in kept)) return kept;
  const { id, channels, absent } = kept;
  const read = () => (worker ? worker().read(kept) : readAgain(kept));
  return { id, channels, ...(absent && { absent }), read };
}

/** Cases of a run that are read together, and where they may be kept. */
export interface CaseGroup {
  files: readonly CaseFiles[];
  cache: Cache;
}

/** The first case that was read, for a decision on the others. */
export type FirstCase = Pick<FirstRead, "bytes" | "voxels" | "record">;

/**
 * Reads the cases of `groups` with their labels, one group after another, and returns them in order. First
 * reads one case alone; `threads` returns from it how many threads read the others (0: this one). Throws one
 * DataError with the problems of all cases; once one has failed, the rest are only checked.
 */
export async function loadRecordedCases(
  reading: Reading,
  groups: readonly CaseGroup[],
  threads: (first: FirstCase | null) => number,
): Promise<FirstRead[]> {
  const all = groups.flatMap(({ files, cache }) => files.map((one) => ({ files: one, cache })));
  const loaded: FirstRead[] = [];
  const problems: string[][] = all.map(() => []);
  const workers: DataWorker[] = [];
  let failed = false;
  const load = async (i: number, lane: number) => {
    const { files, cache } = all[i]!;
    const found = await collectProblems(problems[i]!, () =>
      workers.length ? workers[lane]!.load(reading, files, cache) : firstRead(reading, files, cache),
    );
    failed ||= problems[i]!.length > 0;
    if (found && !failed) loaded[i] = found;
  };
  const inLanes = async (from: number, end: number) => {
    let next = from;
    const run = async (lane: number) => {
      for (let i = next++; i < end; i = next++) await load(i, lane);
    };
    await Promise.all(Array.from({ length: Math.max(1, workers.length) }, (_, lane) => run(lane)));
  };
  try {
    if (threads(null) > 0) workers.push(new DataWorker());
    await inLanes(0, Math.min(1, all.length));
    const wanted = Math.min(threads(loaded[0] ?? null), all.length - 1);
    while (workers.length && workers.length < wanted) workers.push(new DataWorker());
    let end = 0;
    for (const { files } of groups) {
      const begin = Math.max(1, end);
      end += files.length;
      await inLanes(begin, end);
    }
  } finally {
    await Promise.all(workers.map((worker) => worker.close()));
  }
  if (failed) throw new DataError(problems.flat());
  return loaded;
}
