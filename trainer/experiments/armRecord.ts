// The evidence of a finished arm: one small JSON of scores by case, without paths or names of machines. All
// that a study's page shows comes from these records.

import * as v from "valibot";
import { parseOwn } from "../../data/datasets/json.ts";
import { type Region, REGION_NAMES } from "../../model/scoring/regions.ts";
import type { Summary } from "../../model/scoring/summary.ts";
import type { EpochRecord } from "../loop/records.ts";

const FORMAT = "protokd arm 1";

const score = v.nullable(v.number());
const regions = v.strictObject({ WT: score, TC: score, ET: score });
const whole = v.pipe(v.number(), v.safeInteger(), v.minValue(0));

const Schema = v.strictObject({
  format: v.literal(FORMAT),
  /** The version of this program. */
  version: v.string(),
  name: v.string(),
  method: v.string(),
  /** The resolved settings that count; those that are off are not written. */
  settings: v.record(v.string(), v.unknown()),
  control: v.picklist(["none", "shuffled", "twin", "untrained"]),
  modality: v.string(),
  seed: whole,
  /**
   * A phantom by what makes it, or a folder's split by the digest of its cases; with scans without labels
   * their number, or the digest of their ids.
   */
  data: v.union([
    v.strictObject({
      phantom: v.strictObject({
        version: whole,
        seed: whole,
        size: whole,
        train: whole,
        val: whole,
        test: whole,
        unlabelled: v.optional(whole),
      }),
    }),
    v.strictObject({ cases: v.string(), unlabelled: v.optional(v.string()) }),
  ]),
  /** The SHA-256 of the trained tensors. */
  weights: v.pipe(v.string(), v.regex(/^[0-9a-f]{64}$/)),
  /** Each test case's Dice, and HD95 in mm; null where the convention excludes a score. */
  scores: v.array(v.strictObject({ case: v.string(), Dice: regions, HD95: regions })),
  convention: v.string(),
  /** The mean score of a few validations. */
  validation: v.array(v.strictObject({ epoch: whole, mean: score })),
  /** Each term's share of the gradient by place, the mean of all validated epochs. */
  shares: v.record(v.string(), v.record(v.string(), score)),
  steps: whole,
  seconds: v.number(),
});

export type ArmRecord = v.InferOutput<typeof Schema>;
export type ArmData = ArmRecord["data"];
export type CaseScores = ArmRecord["scores"][number];

/** Reads a record. Throws a DataError that names `where` for a file that is not one. */
export function readRecord(text: string, where: string): ArmRecord {
  return parseOwn(text, where, {
    content: `the record of a study's arm (${FORMAT})`,
    remedy: "delete it, and the study trains this arm again",
    schema: Schema,
  });
}

/** The mean Dice of a case's regions; NaN where one is excluded. */
export function meanDice({ Dice }: CaseScores): number {
  return REGION_NAMES.reduce((sum, region) => sum + (Dice[region] ?? NaN), 0) / REGION_NAMES.length;
}

/** A record's text: a case a line. */
export function writeRecord(record: ArmRecord): string {
  const { scores, validation, ...rest } = record;
  const lines = (rows: readonly object[]) =>
    `[\n    ${rows.map((row) => JSON.stringify(row)).join(",\n    ")}\n  ]`;
  const onOneLine = (numbers: string) => numbers.replace(/\s+/g, " ").replace("[ ", "[").replace(" ]", "]");
  const head = JSON.stringify(rest, null, 2)
    .slice(0, -2)
    .replace(/\[[\d\s.,]+\]/g, onOneLine);
  return `${head},\n  "validation": ${lines(validation)},\n  "scores": ${lines(scores)}\n}\n`;
}

/** The results of a finished training as its record holds them. */
export function resultsOf(
  summary: Summary,
  metrics: readonly EpochRecord[],
): Pick<ArmRecord, "scores" | "convention" | "validation" | "shares" | "steps" | "seconds"> {
  const byRegion = (of: (region: Region) => number | null) => {
    const rounded = (value: number | null) => (value === null || Number.isNaN(value) ? null : digits(value));
    return Object.fromEntries(
      REGION_NAMES.map((region) => [region, rounded(of(region))]),
    ) as CaseScores["Dice"];
  };
  const scores = summary.metric_per_case.map(({ case: id, metrics: found }) => ({
    case: id,
    Dice: byRegion((region) => found[region].Dice),
    HD95: byRegion((region) => found[region].HD95),
  }));
  return {
    scores,
    convention: summary.convention,
    validation: thinned(
      metrics.flatMap(({ epoch, validation }) =>
        validation ? [{ epoch, mean: digits(validation.mean) }] : [],
      ),
    ),
    shares: sharesOf(metrics),
    steps: metrics.at(-1)?.step ?? 0,
    seconds: digits(metrics.reduce((sum, { seconds }) => sum + seconds, 0)),
  };
}

const POINTS = 30;

/** At most POINTS rows, evenly spaced, with the last. */
function thinned<T>(rows: readonly T[]): T[] {
  const apart = Math.ceil(rows.length / POINTS);
  return rows.filter((_, i) => (rows.length - 1 - i) % apart === 0);
}

function sharesOf(metrics: readonly EpochRecord[]): ArmRecord["shares"] {
  const seen = metrics.flatMap(({ gradients }) => (gradients ? [gradients] : []));
  const places = [...new Set(seen.flatMap((one) => Object.keys(one)))];
  return Object.fromEntries(
    places.map((place) => {
      const terms = [...new Set(seen.flatMap((one) => Object.keys(one[place] ?? {})))];
      const mean = (term: string) => {
        const values = seen.flatMap((one) => one[place]?.[term] ?? []);
        return digits(values.reduce((sum, value) => sum + value, 0) / values.length);
      };
      return [place, Object.fromEntries(terms.map((term) => [term, mean(term)]))];
    }),
  );
}

/** Six digits: a voxel more or less changes the fourth. */
function digits(value: number): number {
  return Number(value.toPrecision(6));
}
