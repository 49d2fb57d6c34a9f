// Two tables of fifteen side by side: the differences of each subset's cases, with Wilcoxon's test.

import { smallest } from "../../engine/values.ts";
import { subsetName } from "../../data/datasets/subsets.ts";
import {
  bootstrapMeans,
  holm,
  type Interval,
  leastP,
  signedRank,
  spread,
} from "../../model/scoring/statistics.ts";
import { COLUMNS, type Measure, MEASURES } from "./experiment.ts";
import { type CaseScores, meansOverSubsets, type SubsetRow } from "./subsetTable.ts";

/** A column of one subset in two tables, over the cases that both score. */
export interface SubsetComparison {
  /** Such as "t1+flair"; "mean" compares each case's mean over the subsets that both tables score. */
  subset: string;
  measure: Measure;
  column: (typeof COLUMNS)[number];
  cases: number;
  /** Mean over cases of this table less the other. */
  difference: number;
  interval: Interval;
  /** Wilcoxon's signed-rank test, two-sided, over cases. */
  p: number;
  /** p corrected by Holm over the subsets; null for the mean over subsets. */
  holm: number | null;
  exact: boolean;
}

/** The part of a table that a comparison needs. */
export interface ComparedTable {
  rows: readonly Pick<SubsetRow, "subset" | "cases">[];
}

/** Compares the subsets that both tables score, column by column, and the mean over these subsets. */
export function compareSubsets(one: ComparedTable, other: ComparedTable): SubsetComparison[] {
  const pairs = one.rows.flatMap((row) => {
    const name = subsetName(row.subset);
    const same = other.rows.find(({ subset }) => subsetName(subset) === name);
    return row.cases.length && same?.cases.length ? [{ name, ours: row, theirs: same }] : [];
  });
  const all = {
    ours: meansOverSubsets(pairs.map(({ ours }) => ours)),
    theirs: meansOverSubsets(pairs.map(({ theirs }) => theirs)),
  };
  return MEASURES.flatMap((measure) =>
    COLUMNS.flatMap((column) => {
      const of = (scores: CaseScores) => scores[measure][column];
      const family = pairs.map(({ name, ours, theirs }) => ({
        subset: name,
        measure,
        column,
        ...compare(ours.cases, theirs.cases, of),
      }));
      const corrected = holm(family.map(({ p }) => p));
      const rows = family.map((row, i): SubsetComparison => ({ ...row, holm: corrected[i]! }));
      if (!rows.length) return [];
      const mean = { subset: "mean", measure, column, ...compare(all.ours, all.theirs, of), holm: null };
      return [...rows, mean];
    }),
  );
}

/** A sentence if so few cases cannot show a difference of any subset; else null. */
export function tooFew(comparisons: readonly SubsetComparison[]): string | null {
  const family = new Set(comparisons.map(({ subset }) => subset)).size - 1;
  const cases = smallest(comparisons.map((one) => one.cases));
  const least = Math.min(1, leastP(cases) * family);
  if (!comparisons.length || least <= 0.05) return null;
  return `${cases} cases are too few: even if all of them agreed, p (Holm) would be ${least.toPrecision(2)} at least.`;
}

function compare(
  ours: readonly CaseScores[],
  theirs: readonly CaseScores[],
  of: (scores: CaseScores) => number,
): Pick<SubsetComparison, "cases" | "difference" | "interval" | "p" | "exact"> {
  const other = new Map(theirs.map((scores) => [scores.case, of(scores)]));
  const differences = ours.flatMap((scores) => {
    const difference = of(scores) - (other.get(scores.case) ?? NaN);
    return Number.isNaN(difference) ? [] : [difference];
  });
  const { p, exact } = signedRank(differences);
  const { mean: difference, n: cases } = spread(differences);
  return { cases, difference, interval: bootstrapMeans([differences])[0]!, p, exact };
}
