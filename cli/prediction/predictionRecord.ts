// predictions.json in the folder of predictions: each case's model, the reason for its choice, and the time
// it took. It is written before the first case is predicted and after each, so that --continue can compare
// how existing predictions were made. It contains no paths and no image data.

import { readdir, readFile, realpath } from "node:fs/promises";
import { join } from "node:path";
import * as v from "valibot";
import { type Dataset, MODALITIES, type Modality } from "../../data/datasets/datasets.ts";
import { CONVENTION_NAMES, type LabelConvention } from "../../data/datasets/labels.ts";
import { type AffineChoice, AFFINES } from "../../data/preparation/grids.ts";
import { DataError } from "../../data/errors.ts";
import { postprocessingText } from "../../model/inference/postprocess.ts";
import type { Candidate } from "./candidates.ts";
import { UsageError } from "../../model/settings/errors.ts";
import { writeAtomically } from "../files/files.ts";
import type { InputChecksums, Inputs } from "./inputChecksums.ts";
import { labelFile, probabilitiesFile } from "./labelFiles.ts";

export const RECORD = "predictions.json";

/** Settings that all cases of a command share. */
export interface Settings {
  labels: LabelConvention;
  affine: AffineChoice;
  step: number;
  mirror: boolean;
}

/** The record of one case. */
export interface CaseRecord extends Settings {
  case: string;
  /** The modalities that the case has and --available allows. */
  modalities: readonly Modality[];
  model: string;
  why: string;
  checkpoints: {
    stage: string;
    epoch: number | null;
    validationDice: number | null;
    window: string;
    checksum: string;
  }[];
  postprocessing: string;
  /** The files that it was predicted from; missing until then, and in records of older versions. */
  inputs?: Inputs;
  /** Null until it is predicted. */
  seconds: number | null;
  windows: number | null;
}

interface Record {
  cases: CaseRecord[];
  /** Cases that could not be predicted. */
  skipped: string[];
}

const amount = v.nullable(v.number());
const text = v.string();
const RecordSchema = v.object({
  cases: v.array(
    v.object({
      case: text,
      modalities: v.array(v.picklist(MODALITIES)),
      model: text,
      why: text,
      labels: v.picklist(CONVENTION_NAMES),
      affine: v.optional(v.picklist(AFFINES), "file"), // older records lack it
      step: v.number(),
      mirror: v.boolean(),
      checkpoints: v.array(
        v.object({ stage: text, epoch: amount, validationDice: amount, window: text, checksum: text }),
      ),
      postprocessing: text,
      inputs: v.exactOptional(v.record(v.picklist(MODALITIES), text)),
      seconds: amount,
      windows: amount,
    }),
  ),
  skipped: v.array(text),
});

/** A case's record before it is predicted. */
export function planned(
  id: string,
  modalities: readonly Modality[],
  { candidate, why }: { candidate: Candidate; why: string },
  settings: Settings,
): CaseRecord {
  const checkpoints = candidate.members.map(({ model: { card }, use, dice, checksum }) => ({
    stage: use.stage,
    epoch: card?.epoch ?? null,
    validationDice: dice,
    window: use.window,
    checksum,
  }));
  const { name, postprocessing } = candidate;
  return {
    case: id,
    modalities,
    model: name,
    why,
    checkpoints,
    ...settings,
    postprocessing: postprocessing ? postprocessingText(postprocessing) : "none",
    seconds: null,
    windows: null,
  };
}

/** The record of a folder, as it grows. It keeps records of other cases, predicted from another input. */
export class PredictionRecord {
  readonly #output: string;
  readonly #record: Record;

  constructor(
    output: string,
    { record }: Predicted,
    cases: readonly CaseRecord[],
    skipped: readonly string[],
  ) {
    this.#output = output;
    const now = new Set([...cases.map((one) => one.case), ...skipped]);
    this.#record = {
      cases: [...(record?.cases.filter((one) => !now.has(one.case)) ?? []), ...cases],
      skipped: [...(record?.skipped.filter((id) => !now.has(id)) ?? []), ...skipped],
    };
  }

  /** Notes that a case is predicted, and writes the file. */
  async done(
    id: string,
    inputs: Inputs,
    { seconds, windows }: { seconds: number; windows: number },
  ): Promise<void> {
    const one = this.#record.cases.find((record) => record.case === id)!;
    one.inputs = inputs;
    one.seconds = Number(seconds.toFixed(3));
    one.windows = windows;
    await this.write();
  }

  async write(): Promise<void> {
    await writeAtomically(join(this.#output, RECORD), `${JSON.stringify(this.#record, null, 2)}\n`);
  }
}

/**
 * Reads a folder's record; null without one. Throws a DataError for a file that is not such a record, or
 * cannot be read.
 */
export async function readRecord(folder: string): Promise<Record | null> {
  const path = join(folder, RECORD);
  const content = await readFile(path, "utf8").catch((error: NodeJS.ErrnoException) => {
    if (error.code === "ENOENT" || error.code === "ENOTDIR") return null;
    throw new DataError(`${path}: expected a file that can be read, got ${error.code ?? error.message}`);
  });
  const record = content === null ? null : parsed(content);
  if (content === null || record) return record;
  throw new DataError(
    `${path}: expected the record that predict writes, got other content: move it away to score all files`,
  );
}

/** The predictions that a folder holds already. */
export interface Predicted {
  /** The cases to keep, whose files are all there: each was written whole, the label last. */
  finished: Set<string>;
  /** The folder's record; null if it has none that can be read. */
  record: Record | null;
}

/**
 * Finds the predictions of a data set that a folder holds already, to `keep` or to `overwrite` them. Throws a
 * UsageError if a prediction would replace a file of the input, or, without either flag, another prediction.
 */
export async function findPredicted(
  { cases }: Dataset,
  options: { input: string; output: string; probabilities: boolean; overwrite: boolean; keep: boolean },
): Promise<Predicted> {
  const { input, output, probabilities, overwrite, keep } = options;
  const held = new Set(
    await readdir(output).catch((error: NodeJS.ErrnoException) => {
      if (error.code === "ENOENT") return [];
      throw new UsageError(`--output ${output}: expected a folder or a new path, got ${error.code}`);
    }),
  );
  const names = (id: string) => (probabilities ? [labelFile(id), probabilitiesFile(id)] : [labelFile(id)]);
  const present = cases.flatMap(({ id }) => names(id)).filter((name) => held.has(name));
  const inputs = cases.flatMap(({ images, label }) => [
    ...Object.values(images).map(({ path }) => path),
    ...(label === undefined ? [] : [label]),
  ]);
  const real = (path: string) => realpath(path).catch(() => path);
  const sources = present.length
    ? new Set(await Promise.all(inputs.map((path) => real(join(input, path)))))
    : new Set<string>();
  for (const name of present) {
    if (!sources.has(await real(join(output, name)))) continue;
    throw new UsageError(`--output ${output}: ${name} in it belongs to the input: choose another folder`);
  }
  if (present.length && !overwrite && !keep) {
    throw new UsageError(
      `--output ${output}: holds ${present.join(", ")} already: keep them with --continue, choose another folder, ` +
        "or replace them with --overwrite",
    );
  }
  const complete = cases.map(({ id }) => id).filter((id) => names(id).every((name) => held.has(name)));
  const content = await readFile(join(output, RECORD), "utf8").catch(() => "");
  return { finished: new Set(keep ? complete : []), record: parsed(content) };
}

/** The records of the cases that are kept, by name, and lines for the user. */
export interface Kept {
  records: Map<string, CaseRecord>;
  notes: string[];
}

/**
 * Finds the cases to keep among the finished ones: those whose input is the same as then. A case of an older
 * version's record, which has no checksums, is kept with a note. Throws a UsageError if a case with the same
 * input was predicted with other settings than it would be now.
 */
export async function finishedRecords(
  { finished, record }: Predicted,
  wanted: readonly CaseRecord[],
  output: string,
  checksums: InputChecksums,
): Promise<Kept> {
  const refuse: (what: string) => never = (what) => {
    const remedy = "choose another folder, or replace all predictions with --overwrite";
    throw new UsageError(`--continue: ${what}, or ${remedy} (--output ${output})`);
  };
  const before = new Map(record?.cases.map((one) => [one.case, one]));
  const records = new Map<string, CaseRecord>();
  const [stale, unknown]: [string[], string[]] = [[], []];
  for (const now of wanted) {
    if (!finished.has(now.case)) continue;
    const then = before.get(now.case);
    if (!then) return refuse(`${RECORD} does not record how ${labelFile(now.case)} was made: restore it`);
    if (then.seconds === null) continue; // the label is from before that record
    const changed = await checksums.changed(now.case, then.inputs ?? {});
    if (changed.length) {
      stale.push(`${now.case} (${changed.join(", ")})`);
      continue;
    }
    const differing = differences(then, now);
    if (differing.length)
      refuse(`${labelFile(now.case)} was made differently: ${differing.join(", ")}: use the same again`);
    records.set(now.case, then);
    if (!then.inputs) unknown.push(now.case);
  }
  return { records, notes: notesOn(stale, unknown) };
}

/** Names with commas between; long lists are cut. */
function listed(names: readonly string[]): string {
  return names.slice(0, 20).join(", ") + (names.length > 20 ? ` and ${names.length - 20} more` : "");
}

function notesOn(stale: readonly string[], unknown: readonly string[]): string[] {
  const notes = stale.length ? [`predicted again, because their input changed since: ${listed(stale)}`] : [];
  if (unknown.length) {
    notes.push(
      `kept, although an older version predicted them and did not record whether their input is the same: ` +
        `${listed(unknown)}: to be sure, predict them in another folder, or all again with --overwrite`,
    );
  }
  return notes;
}

/** The differences of two ways of predicting a case: `model teacher, now student_t1`. */
function differences(then: CaseRecord, now: CaseRecord): string[] {
  const networks = ({ checkpoints }: CaseRecord) =>
    JSON.stringify(checkpoints.map(({ checksum, window }) => [checksum, window]));
  const same = networks(then) === networks(now); // folders may have been renamed
  const settings = (["labels", "affine", "step", "mirror", "model", "postprocessing"] as const).flatMap(
    (key) =>
      then[key] === now[key] || (key === "model" && same)
        ? []
        : [`${key} ${String(then[key])}, now ${String(now[key])}`],
  );
  if (settings.length || same) return settings;
  const windows = ({ checkpoints }: CaseRecord) => checkpoints.map(({ window }) => window).join(", ");
  return windows(then) === windows(now)
    ? ["another checkpoint"]
    : [`window ${windows(then)}, now ${windows(now)}`];
}

function parsed(content: string): Record | null {
  try {
    return v.parse(RecordSchema, JSON.parse(content));
  } catch {
    return null;
  }
}
