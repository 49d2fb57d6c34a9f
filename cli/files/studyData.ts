// The data sets of a study: its phantoms, made where they are missing, and their splits.

import { join } from "node:path";
import { openDataset } from "../../data/datasets/datasets.ts";
import { AUTO } from "../../data/datasets/patients.ts";
import { phantomName } from "../../data/phantom/files.ts";
import { isTestCase, VERSIONS } from "../../data/phantom/phantom.ts";
import { sha256 } from "../../data/digest.ts";
import { collectProblems, DataError } from "../../data/errors.ts";
import { UsageError } from "../../model/settings/errors.ts";
import type { ArmData } from "../../trainer/experiments/armRecord.ts";
import { type DataSet, type PhantomSet, setName } from "../../trainer/experiments/study.ts";
import { openRunData } from "./cases.ts";
import { copyScans } from "./copyScans.ts";
import { writeAtomically } from "./files.ts";
import { folderSource } from "./folderSource.ts";
import { makePhantom } from "./phantomFolder.ts";

/** A data set on disk: the flags of train.js that name it, and how records describe it. */
export interface StudyData {
  data: string;
  split: string | null;
  /** The folder of scans without labels; null for none. */
  unlabelled: string | null;
  recorded: ArmData;
}

/**
 * Makes a study's phantom under `out`, or opens the folder that --data names. Throws a UsageError for a
 * phantom of another version than this program makes, a DataError for a split that does not fit, or a folder
 * that holds no scans.
 */
export async function openStudyData(set: DataSet, out: string, folder: string | null): Promise<StudyData> {
  if ("phantom" in set) return makeStudyPhantom(set.phantom, join(out, "data", setName(set, [set])));
  if (folder === null)
    throw new UsageError("--data: the study's data sets are splits of a folder: name it with --data");
  const chosen = {
    data: folder,
    split: set.split,
    labels: null,
    splitMissing: "refuse",
    fold: null,
  } as const;
  const seen = { modality: null, teacherModality: null, patients: AUTO };
  const { split } = await openRunData({ ...chosen, ...seen }, null, () => undefined);
  if (!split.test.length)
    throw new UsageError(`--data ${folder}: the split has no test cases to compare methods on`);
  const { unlabelled = null } = set;
  const scans = unlabelled === null ? null : await scansIn(unlabelled);
  const recorded = {
    cases: await sha256(text(split)),
    ...(scans && { unlabelled: await sha256(text(scans)) }),
  };
  return { data: folder, split: set.split, unlabelled, recorded };
}

/** The ids of the scans in a folder, sorted. Throws a DataError for another folder. */
async function scansIn(folder: string): Promise<string[]> {
  const problems: string[] = [];
  const found = await collectProblems(problems, async () => openDataset(await folderSource(folder)));
  if (!found) throw new DataError(problems.map((problem) => `sets: unlabelled: ${problem}`));
  return [...found.cases, ...found.newCases].map(({ id }) => id).sort();
}

async function makeStudyPhantom(phantom: PhantomSet, data: string): Promise<StudyData> {
  const { unlabelled = 0, ...labelled } = phantom;
  const { version, seed, size, train, val, test } = labelled;
  const its = VERSIONS.find((one) => one === version);
  if (its === undefined)
    throw new UsageError(
      `phantom: expected version ${VERSIONS.join(" or ")}, got ${version}: this program makes no other`,
    );
  const known = val + train;
  const cases = Math.max(3 * test, Math.ceil(1.5 * (known + unlabelled)));
  await makePhantom({ out: data, cases, size, seed, version: its });
  const names = Array.from({ length: cases }, (_, index) => index);
  const seen = names.filter((index) => !isTestCase(index)).map(phantomName);
  const tested = names.filter(isTestCase).map(phantomName);
  const split = { train: seen.slice(val, known), val: seen.slice(0, val), test: tested.slice(0, test) };
  const path = `${data}-split.json`;
  await writeAtomically(path, `${JSON.stringify(split, null, 2)}\n`);
  const made = { data, split: path };
  if (unlabelled === 0) return { ...made, unlabelled: null, recorded: { phantom: labelled } };
  const scans = `${data}-scans`;
  await copyScans({ from: data, to: scans, ids: seen.slice(known, known + unlabelled) });
  return { ...made, unlabelled: scans, recorded: { phantom } };
}

function text(value: unknown): Uint8Array {
  return new TextEncoder().encode(JSON.stringify(value));
}
