// split.json in a stage's folder: the cases that it was trained, validated and tested on.

import { join } from "node:path";
import * as v from "valibot";
import type { OwnFile } from "../../data/datasets/json.ts";
import { CONVENTION_NAMES, type LabelConvention } from "../../data/datasets/labels.ts";
import { type Split, SPLIT_FILE } from "../../data/datasets/splits.ts";
import { readOwn } from "./ownFiles.ts";

/** The remedy for a damaged file that a stage needs. */
export const RESTORE = "restore it from a copy, or move the folder away and train the stage again";

const ids = v.array(v.string());

/** A stage's split.json; one that a user put beside a checkpoint may have the cases alone. */
const SPLIT: OwnFile<StoredSplit> = {
  content: "the cases of a stage, as train.js writes them",
  remedy: RESTORE,
  schema: v.looseObject({
    train: ids,
    val: ids,
    test: ids,
    layout: v.optional(v.string()),
    labels: v.optional(v.picklist(CONVENTION_NAMES)),
    modalities: v.optional(ids),
    absent: v.optional(ids),
  }),
};

/** The cases of a stage: what stageFolder.ts writes. */
export interface StoredSplit extends Split {
  layout?: string | undefined;
  labels?: LabelConvention | undefined;
  modalities?: string[] | undefined;
  absent?: string[] | undefined;
}

/** The content of a stage's split.json; null without the file. Throws a DataError for a damaged one. */
export function readSplit(folder: string, remedy = RESTORE): Promise<StoredSplit | null> {
  return readOwn(join(folder, SPLIT_FILE), { ...SPLIT, remedy });
}
