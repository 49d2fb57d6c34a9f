// predictions.json in the folder of predictions: each case's model, the reason for its choice, and the time
// it took. It is written before the first case is predicted and after each, so that --continue can compare
// how existing predictions were made. It contains no paths and no image data.

import { join } from "node:path";
import * as v from "valibot";
import { MODALITIES, type Modality } from "../../data/datasets/datasets.ts";
import { CONVENTION_NAMES, type LabelConvention } from "../../data/datasets/labels.ts";
import { type AffineChoice, AFFINES } from "../../data/preparation/grids.ts";
import { DataError } from "../../data/errors.ts";
import { postprocessingText } from "../../model/inference/postprocess.ts";
import { memberDice } from "./candidates.ts";
import { writeAtomically } from "../files/files.ts";
import type { Inputs } from "./inputChecksums.ts";
import type { PlannedCase } from "./predictionPlan.ts";
import { readFile } from "../terminal/userFile.ts";

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
  /** The modalities that the case has and --with allows. */
  modalities: readonly Modality[];
  /** Those of them that the networks see; missing in records of older versions. */
  sees?: readonly Modality[];
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
  /** The sentence that tells what another modality would bring, if a table of fifteen says it. */
  more?: string;
  /** The files that it was predicted from; missing until then, and in records of older versions. */
  inputs?: Inputs;
  /** Null until it is predicted. */
  seconds: number | null;
  windows: number | null;
}

/** The record of a folder of predictions. */
export interface Record {
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
      sees: v.exactOptional(v.array(v.picklist(MODALITIES))),
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
      more: v.exactOptional(text),
      inputs: v.exactOptional(v.record(v.picklist(MODALITIES), text)),
      seconds: amount,
      windows: amount,
    }),
  ),
  skipped: v.array(text),
});

/** A case's record before it is predicted. */
export function planned(
  { id, available, candidate, sees, why, more }: PlannedCase,
  settings: Settings,
): CaseRecord {
  const checkpoints = candidate.members.map((member) => ({
    stage: member.use.stage,
    epoch: member.model.card?.epoch ?? null,
    validationDice: memberDice(member, sees),
    window: member.use.window,
    checksum: member.checksum,
  }));
  const { name, postprocessing } = candidate;
  return {
    case: id,
    modalities: available,
    sees,
    model: name,
    why,
    checkpoints,
    ...settings,
    postprocessing: postprocessing ? postprocessingText(postprocessing) : "none",
    ...(more !== null && { more }),
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
    record: Record | null,
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

/** Returns the record in a file's content; null for other content. */
export function parsed(content: string): Record | null {
  try {
    return v.parse(RecordSchema, JSON.parse(content));
  } catch {
    return null;
  }
}
