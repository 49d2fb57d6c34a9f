// The validated scores of a network that takes any of its contrasts, for each subset of them: train.js writes
// them beside its checkpoint as subset_scores.json; predict.js compares them with those of other networks.

import { join } from "node:path";
import * as v from "valibot";
import { ALL_SUBSETS } from "../../data/datasets/subsets.ts";
import { writeAtomically } from "../files/files.ts";
import { fileChecksum } from "../files/inputs.ts";
import { readBeside } from "./besideCheckpoint.ts";
import { FILES } from "../files/stageFolder.ts";

const score = v.nullable(v.number()); // NaN is null in JSON
const Schema = v.object({
  /** The SHA-256 of the checkpoint's file. */
  checkpoint: v.string(),
  cases: v.array(v.string()),
  subsets: v.record(v.picklist(ALL_SUBSETS), v.object({ WT: score, TC: score, ET: score, mean: score })),
});

/** The mean Dice (0 to 1) over the validation cases with each subset, by its name: "t1ce+flair". */
export interface SubsetScores {
  /** The validation cases. */
  cases: readonly string[];
  subsets: Readonly<Record<string, Readonly<Record<"WT" | "TC" | "ET" | "mean", number | null>>>>;
}

/** Writes the scores of a stage's best checkpoint to the stage's folder. */
export async function writeSubsetScores(folder: string, { cases, subsets }: SubsetScores): Promise<void> {
  const checkpoint = await fileChecksum(join(folder, FILES.best));
  const content = { checkpoint, cases, subsets };
  await writeAtomically(join(folder, FILES.subsetScores), `${JSON.stringify(content, null, 2)}\n`);
}

/**
 * Returns the scores stored for a checkpoint; null without their file, or where they are those of another
 * checkpoint. Throws a CheckpointError.
 */
export function readSubsetScores(checkpoint: string): Promise<SubsetScores | null> {
  const remedy = "or remove it: its network then counts as one of unknown score";
  return readBeside(checkpoint, FILES.subsetScores, Schema, {
    expected: "the scores that train.js writes, got other content",
    unreadable: `make it readable, ${remedy}`,
    remedy: `restore it, ${remedy}`,
    other: ["has the scores of", "not used"],
  });
}
