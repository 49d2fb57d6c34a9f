// Reads, checks and prepares the cases of a run, in the main thread or in several others, and records their
// files.

import type { CaseReport } from "../../data/check/checkCase.ts";
import { collectProblems, DataError } from "../../data/errors.ts";
import { caseRecord, type CaseRecord, type FileRecord, recordOf } from "../../data/datasets/manifest.ts";
import { loadCase } from "../../data/check/loadCase.ts";
import type { Case } from "../../data/preparation/preprocess.ts";
import type { CaseFiles } from "../../data/datasets/source.ts";
import { DataWorker, type LoadedCase, type Reading } from "./dataWorkers.ts";
import { folderSource } from "./folderSource.ts";

/** Reads one case with its label. Throws one DataError with all its problems. */
export async function loadRecorded(reading: Reading, files: CaseFiles): Promise<LoadedCase> {
  const read: FileRecord[] = [];
  let report: CaseReport | null = null;
  const dataset = { ...reading.dataset, cases: [files] };
  const prepared = await loadCase(await folderSource(reading.data), dataset, files, reading.modalities, {
    labels: true,
    ...reading.preparation,
    seen: async (path, bytes, volume) => void read.push(await recordOf(path, bytes, volume)),
    checked: (found) => (report = found),
  });
  return { prepared, record: caseRecord(files, read), report: report! };
}

/**
 * Reads `cases` with their labels, in `workers` threads (0: in this one), and returns them in order. Throws
 * one DataError with the problems of all of them; once one has failed, the rest are only checked, not kept.
 */
export async function loadRecordedCases(
  reading: Reading,
  cases: readonly CaseFiles[],
  workers: number,
): Promise<{ cases: Case[]; records: CaseRecord[]; reports: CaseReport[] }> {
  const threads = Array.from({ length: Math.min(workers, cases.length) }, () => new DataWorker());
  const load = threads.length
    ? (files: CaseFiles, lane: number) => threads[lane]!.load(reading, files)
    : (files: CaseFiles) => loadRecorded(reading, files);
  const loaded: (LoadedCase | null)[] = [];
  const problems: string[][] = cases.map(() => []);
  let [next, failed] = [0, false];
  const run = async (lane: number) => {
    for (let i = next++; i < cases.length; i = next++) {
      const ready = await collectProblems(problems[i]!, () => load(cases[i]!, lane));
      failed ||= problems[i]!.length > 0;
      if (ready && !failed) loaded[i] = ready;
    }
  };
  try {
    await Promise.all(Array.from({ length: Math.max(1, threads.length) }, (_, lane) => run(lane)));
  } finally {
    await Promise.all(threads.map((thread) => thread.close()));
  }
  if (failed) throw new DataError(problems.flat());
  return {
    cases: loaded.map((one) => one!.prepared),
    records: loaded.map((one) => one!.record),
    reports: loaded.map((one) => one!.report),
  };
}
