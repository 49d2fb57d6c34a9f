// predict.js inside a test: what it prints is kept, and what it writes is read.

import { readFileSync } from "node:fs";
import { join } from "node:path";
import { predictFolder, type PredictOptions } from "../../cli/predict.ts";
import type { CaseRecord } from "../../cli/prediction/predictionRecord.ts";
import { readNifti, type Volume } from "../../data/nifti/nifti.ts";
import { device } from "./gradcheck.ts";
import { silenced } from "./quietly.ts";

/** Predicts as the command does; what it prints. */
export function predictQuietly(options: PredictOptions): Promise<string[]> {
  return silenced(() => predictFolder(() => Promise.resolve(device), options));
}

/** The cases in the record of a folder of predictions. */
export function records(output: string): CaseRecord[] {
  return (JSON.parse(readFileSync(join(output, "predictions.json"), "utf8")) as { cases: CaseRecord[] })
    .cases;
}

/** Where a case's prediction is. */
export function label(output: string, id: string): string {
  return join(output, `${id}.nii.gz`);
}

export function nifti(path: string): Promise<Volume> {
  return readNifti(readFileSync(path), path);
}
