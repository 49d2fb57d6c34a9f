// The data sets of a study: its phantoms, made where they are missing, and their splits.

import { join } from "node:path";
import { AUTO } from "../../data/datasets/patients.ts";
import { phantomName } from "../../data/phantom/files.ts";
import { isTestCase, VERSIONS } from "../../data/phantom/phantom.ts";
import { sha256 } from "../../data/digest.ts";
import { UsageError } from "../../model/settings/errors.ts";
import type { ArmData } from "../../trainer/experiments/armRecord.ts";
import { type DataSet, type PhantomSet, setName } from "../../trainer/experiments/study.ts";
import { openRunData } from "./cases.ts";
import { writeAtomically } from "./files.ts";
import { makePhantom } from "./phantomFolder.ts";

/** A data set on disk: the flags of train.js that name it, and how records describe it. */
export interface StudyData {
  data: string;
  split: string | null;
  recorded: ArmData;
}

/**
 * Makes a study's phantom under `out`, or opens the folder that --data names. Throws a UsageError for a
 * phantom of another version than this program makes, a DataError for a split that does not fit.
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
  return { data: folder, split: set.split, recorded: { cases: await sha256(text(split)) } };
}

async function makeStudyPhantom(phantom: PhantomSet, data: string): Promise<StudyData> {
  const { version, seed, size, train, val, test } = phantom;
  const made = VERSIONS.find((one) => one === version);
  if (made === undefined)
    throw new UsageError(
      `phantom: expected version ${VERSIONS.join(" or ")}, got ${version}: this program makes no other`,
    );
  const cases = Math.max(3 * test, Math.ceil(1.5 * (train + val)));
  await makePhantom({ out: data, cases, size, seed, version: made });
  const names = Array.from({ length: cases }, (_, index) => index);
  const seen = names.filter((index) => !isTestCase(index)).map(phantomName);
  const tested = names.filter(isTestCase).map(phantomName);
  const split = { train: seen.slice(val, val + train), val: seen.slice(0, val), test: tested.slice(0, test) };
  const path = `${data}-split.json`;
  await writeAtomically(path, `${JSON.stringify(split, null, 2)}\n`);
  return { data, split: path, recorded: { phantom } };
}

function text(value: unknown): Uint8Array {
  return new TextEncoder().encode(JSON.stringify(value));
}
