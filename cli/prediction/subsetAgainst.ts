// A run's finished table of fifteen: to compare with another, and for predict.js.

import { stat } from "node:fs/promises";
import { basename, dirname, join, resolve } from "node:path";
import * as v from "valibot";
import { MODALITIES } from "../../data/datasets/datasets.ts";
import { faultOf } from "../../data/datasets/json.ts";
import { DataError } from "../../data/errors.ts";
import type { ConventionName } from "../../model/scoring/conventions.ts";
import { UsageError } from "../../model/settings/errors.ts";
import type { ComparedTable } from "../../trainer/experiments/subsetComparison.ts";
import { readFile } from "../terminal/userFile.ts";

/** The name of a table's file. */
export const TABLE_FILE = "subsets.json";
/** The name of the file beside it, with the network of each subset and the networks' checkpoints. */
export const CHOICE_FILE = "choice.json";

/** The folder of a model's table, unless --out names another: beside a run's stages or a checkpoint. */
export async function tableFolder(model: string): Promise<string> {
  const folder = (await stat(model).catch(() => null))?.isDirectory();
  return join(folder ? model : dirname(model), "subsets");
}

const score = v.pipe(
  v.nullable(v.number()),
  v.transform((value) => value ?? NaN),
);
const regions = { WT: score, TC: score, ET: score, mean: score };
const TableSchema = v.object({
  convention: v.string(),
  labels: v.record(v.string(), v.string()),
  rows: v.array(
    v.object({
      subset: v.array(v.picklist(MODALITIES)),
      network: v.nullable(v.string()),
      cases: v.array(
        v.object({ case: v.string(), Dice: v.object({ ...regions, ETpp: score }), HD95: v.object(regions) }),
      ),
    }),
  ),
});

/** A table to compare with. */
export interface Against extends ComparedTable {
  rows: readonly (ComparedTable["rows"][number] & { network: string | null })[];
  /** The name of its folder or of its run's. */
  name: string;
  /** The SHA-256 of each case's label. */
  labels: Record<string, string>;
}

/**
 * Reads the table in the folder of a run, or in that of a table. Throws a UsageError if both lack one, a
 * DataError if it is damaged.
 */
export async function readAgainst(folder: string): Promise<Against & { convention: string }> {
  for (const path of [join(folder, TABLE_FILE), join(folder, "subsets", TABLE_FILE)]) {
    const text = await readFile(path, "utf8").catch(() => null);
    if (text === null) continue;
    try {
      return { ...v.parse(TableSchema, JSON.parse(text)), name: basename(resolve(folder)) };
    } catch (error) {
      throw new DataError(
        `${path}: expected the table that subsets.js writes, got another (${faultOf(error)}): make it again`,
      );
    }
  }
  throw new UsageError(
    `--against ${folder}: expected a run with a finished table, got no ${TABLE_FILE}: make it first with ` +
      `node cli/subsets.js --model ${folder} and the same --data`,
  );
}

/** Throws a UsageError unless the other table has the same cases with the same labels, and the convention. */
export function requireSame(
  against: Against & { convention: string },
  {
    labels,
    convention,
    folder,
  }: { labels: Record<string, string>; convention: ConventionName; folder: string },
): void {
  const refuse: (what: string) => never = (what) => {
    throw new UsageError(
      `--against ${folder}: ${what}: make that table again with the same --data, --split and --convention`,
    );
  };
  if (against.convention !== convention)
    refuse(`was scored by the convention ${against.convention}, this one by ${convention}`);
  const [ours, theirs] = [labels, against.labels].map((one) => Object.keys(one));
  const missing = ours!.filter((id) => !(id in against.labels));
  const more = theirs!.filter((id) => !(id in labels));
  if (missing.length) refuse(`has other cases: it lacks ${some(missing)}`);
  if (more.length) refuse(`has other cases: it also has ${some(more)}`);
  const changed = ours!.filter((id) => labels[id] !== against.labels[id]);
  if (changed.length) refuse(`was scored with other labels of ${some(changed)}`);
}

function some(ids: readonly string[]): string {
  return ids.slice(0, 5).join(", ") + (ids.length > 5 ? ` and ${ids.length - 5} more` : "");
}
