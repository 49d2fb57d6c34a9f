// The gain of one more contrast, for the lines of predict.js: from the model's table of fifteen.

import { join } from "node:path";
import * as v from "valibot";
import { MODALITIES, type Modality } from "../../data/datasets/datasets.ts";
import { subsetName } from "../../data/datasets/subsets.ts";
import { DataError } from "../../data/errors.ts";
import { REGION_NAMES } from "../../model/scoring/regions.ts";
import { spread } from "../../model/scoring/statistics.ts";
import { exists } from "../files/files.ts";
import { warn } from "../terminal/console.ts";
import { meanScore } from "../terminal/table.ts";
import { type Candidate, choose } from "./candidates.ts";
import { type Against, CHOICE_FILE, readAgainst, TABLE_FILE, tableFolder } from "./subsetAgainst.ts";
import { readFile } from "../terminal/userFile.ts";

/**
 * Returns a sentence on the one of the `absent` contrasts that would bring most to a case with those of
 * `available`; null if the table does not say, or none brings more than LEAST.
 */
export type Gains = (available: readonly Modality[], absent: readonly Modality[]) => string | null;

/** A smaller difference of mean Dice is not worth a sentence. */
const LEAST = 0.01;

const ChoiceSchema = v.object({
  networks: v.array(v.object({ name: v.string(), checkpoints: v.array(v.object({ checksum: v.string() })) })),
});

/**
 * Reads the table of fifteen in the folder of --model. The result is silent without a table, with several
 * --model, or where the table was made with other checkpoints; a damaged table is a warning.
 */
export async function readGains(paths: readonly string[], candidates: readonly Candidate[]): Promise<Gains> {
  const silent = () => null;
  if (paths.length > 1) return silent;
  const folder = await tableFolder(paths[0]!);
  if (!(await exists(join(folder, TABLE_FILE))) || !(await isOf(candidates, folder))) return silent;
  try {
    const { rows } = await readAgainst(folder);
    return (available, absent) => bestOf(candidates, rows, { available, absent });
  } catch (error) {
    if (!(error instanceof DataError)) throw error;
    warn(error.message);
    return silent;
  }
}

/** Tells whether the table in a folder was made with the checkpoints of these candidates. */
async function isOf(candidates: readonly Candidate[], folder: string): Promise<boolean> {
  const text = await readFile(join(folder, CHOICE_FILE), "utf8").catch(() => "");
  const key = (name: string, checkpoints: readonly { checksum: string }[]) =>
    JSON.stringify([name, ...checkpoints.map(({ checksum }) => checksum)]);
  try {
    const { networks } = v.parse(ChoiceSchema, JSON.parse(text));
    const [theirs, ours] = [
      networks.map(({ name, checkpoints }) => key(name, checkpoints)),
      candidates.map(({ name, members }) => key(name, members)),
    ];
    return theirs.sort().join() === ours.sort().join();
  } catch {
    return false;
  }
}

type Row = Against["rows"][number];

function bestOf(
  candidates: readonly Candidate[],
  rows: readonly Row[],
  { available, absent }: { available: readonly Modality[]; absent: readonly Modality[] },
): string | null {
  const rowOf = (subset: readonly Modality[]) => {
    const row = rows.find((one) => subsetName(one.subset) === subsetName(subset));
    return row && row.network === choose(candidates, subset)?.candidate.name ? row : null;
  };
  const own = rowOf(available);
  let best: string | null = null;
  let most = LEAST;
  for (const modality of absent) {
    const other = rowOf(MODALITIES.filter((m) => m === modality || available.includes(m)));
    const compared = own && other && compare(own, other);
    if (!compared || !(compared.after - compared.before > most)) continue;
    const { cases, before, after } = compared;
    most = after - before;
    best =
      `with ${modality} too, the mean Dice on ${cases === 1 ? "1 case" : `${cases} cases`} was ` +
      `${after.toFixed(3)} instead of ${before.toFixed(3)}, by ${other.network} (table of fifteen)`;
  }
  return best;
}

/** The mean Dice of two rows over the cases that both have; null without such cases. */
function compare(own: Row, other: Row): { cases: number; before: number; after: number } | null {
  const others = new Set(other.cases.map((one) => one.case));
  const both = new Set(own.cases.map((one) => one.case).filter((id) => others.has(id)));
  const meanOf = ({ cases }: Row) => {
    const counted = cases.filter((one) => both.has(one.case));
    return meanScore(REGION_NAMES.map((region) => spread(counted.map(({ Dice }) => Dice[region])).mean));
  };
  return both.size ? { cases: both.size, before: meanOf(own), after: meanOf(other) } : null;
}
