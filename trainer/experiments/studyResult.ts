// The results of a study, from its arms' records alone: each entry against the baseline, the controls, the
// checks with weights 0, and the choice of weights.

import {
  casesNeeded,
  crossedMean,
  detectable,
  type MixedMean,
  nestedMean,
  sizeNeeded,
} from "../../model/scoring/mixedMean.ts";
import { REGION_NAMES } from "../../model/scoring/regions.ts";
import { holm, spread } from "../../model/scoring/statistics.ts";
import { type CaseScores, meanDice } from "./armRecord.ts";
import { type Arm, armTitle, BASELINE, type Entry } from "./study.ts";
import { type Finished, type StudyRow, studyRows } from "./studyRows.ts";

/** The two-sided level of all tests, after Holm's correction, and the power of the smallest difference. */
export const LEVEL = { alpha: 0.05, power: 0.8 } as const;

/** Two arms' mean difference in mean Dice, over the cases and trainings that both have. */
export interface StudyComparison extends Omit<MixedMean, "variances" | "df"> {
  /** A method against the baseline, or a check of what it learns from. */
  family: "methods" | "controls";
  name: string;
  against: string;
  modality: string;
  df: number;
  /** p after Holm's correction over the family. */
  holm: number;
  /** The smallest difference that this design shows with a power of 0.8 at Holm's first step. */
  detectable: number;
  /**
   * The size of a study that could show a difference as large as this one: with as many trainings, if further
   * cases suffice; null for a difference that is too small.
   */
  needed: { cases: number; trainings: number } | null;
  verdict: string;
  /** Mean differences of each region's Dice, and of HD95 in mm. */
  Dice: Record<"WT" | "TC" | "ET", number>;
  HD95: number;
}

/** The check that a method with all its weights 0 is the baseline, bit for bit. */
export interface ZeroCheck {
  method: string;
  same: boolean;
}

export interface StudyResult {
  rows: StudyRow[];
  comparisons: StudyComparison[];
  zero: ZeroCheck[];
  notes: string[];
}

/** The results of the arms that are finished. */
export function studyResult(finished: readonly Finished[]): StudyResult {
  const reported = finished.filter(({ arm }) => arm.role === "report");
  const comparisons = [...compareFamily("methods", reported), ...compareFamily("controls", reported)];
  return {
    rows: studyRows(reported),
    comparisons,
    zero: zeroChecks(finished.filter(({ arm }) => arm.role === "zero")),
    notes: notesOn(comparisons),
  };
}

/** The best of each method's candidates: the highest mean Dice over cases, trainings and contrasts. */
export function chosenEntries(finished: readonly Finished[]): (Entry & { mean: number })[] {
  const tried = finished.filter(({ arm }) => arm.role === "choose");
  const methods = [...new Set(tried.map(({ arm }) => arm.method))];
  return methods.map((method) => {
    const own = tried.filter(({ arm }) => arm.method === method);
    const names = [...new Set(own.map(({ arm }) => arm.name))];
    const means = names.map((name) => {
      const same = own.filter(({ arm }) => arm.name === name);
      const mean = spread(same.flatMap(({ record }) => record.scores.map(meanDice))).mean;
      return { name: `${name} (chosen)`, method, settings: same[0]!.arm.settings, mean };
    });
    return means.reduce((best, one) => (one.mean > best.mean ? one : best));
  });
}

function compareFamily(family: StudyComparison["family"], finished: readonly Finished[]): StudyComparison[] {
  const pairs = modalitiesOf(finished).flatMap((modality) => {
    const own = finished.filter(({ arm }) => arm.modality === modality);
    return pairsOf(family, own).map(([one, other]) => ({ modality, one, other }));
  });
  const found = pairs.flatMap(({ modality, one, other }) => {
    const mean = pairedMean(one, other, meanDice);
    return mean ? [{ modality, one, other, mean }] : [];
  });
  const corrected = holm(found.map(({ mean }) => mean.p));
  const level = { ...LEVEL, alpha: LEVEL.alpha / Math.max(1, found.length) };
  return found.map(({ modality, one, other, mean: { variances, ...mean } }, i): StudyComparison => {
    const size = Math.abs(mean.mean);
    const known = { design: mean.design, variances };
    const cases = casesNeeded(known, size, level);
    const needed =
      cases === null ? sizeNeeded(known, size, level) : { cases, trainings: mean.design.trainings };
    const region = (name: "WT" | "TC" | "ET") => plainMean(one, other, ({ Dice }) => Dice[name] ?? NaN);
    return {
      family,
      name: armTitle(one[0]!.arm),
      against: armTitle(other[0]!.arm),
      modality,
      ...mean,
      holm: corrected[i]!,
      detectable: detectable(mean.design, variances, level),
      needed,
      verdict: verdictOf(mean, corrected[i]!, needed),
      Dice: { WT: region("WT"), TC: region("TC"), ET: region("ET") },
      HD95: plainMean(one, other, ({ HD95 }) => spread(REGION_NAMES.map((name) => HD95[name] ?? NaN)).mean),
    };
  });
}

/** The pairs of arms of one contrast: entries with the baseline; controls with it, and with their entries. */
function pairsOf(family: StudyComparison["family"], own: readonly Finished[]): [Finished[], Finished[]][] {
  const named = (wanted: Pick<Arm, "name" | "control">) =>
    own.filter(({ arm }) => arm.name === wanted.name && arm.control === wanted.control);
  const titles = new Map(own.map(({ arm }) => [armTitle(arm), arm]));
  const others = [...titles.values()].filter(({ name }) => name !== BASELINE.name);
  const baseline = named({ name: BASELINE.name, control: "none" });
  if (family === "methods")
    return others.filter(({ control }) => control === "none").map((arm) => [named(arm), baseline]);
  return others
    .filter(({ control }) => control !== "none")
    .flatMap((arm): [Finished[], Finished[]][] => [
      [named(arm), baseline],
      [named({ name: arm.name, control: "none" }), named(arm)],
    ]);
}

/** "helps", "harms", or how large a study could tell. */
export function verdictOf(
  { mean, design }: Pick<MixedMean, "mean" | "design">,
  p: number,
  needed: StudyComparison["needed"],
): string {
  if (p < LEVEL.alpha) return mean > 0 ? "helps" : "harms";
  if (!needed) return "cannot tell: hardly a difference";
  const { cases, trainings } = needed;
  const more = trainings > design.trainings ? ` and ${trainings} trainings` : "";
  return `cannot tell: would need ${cases} cases${more}`;
}

/** Differences of each data set and seed, case by case. */
function differencesOf(
  one: readonly Finished[],
  other: readonly Finished[],
  score: (scores: CaseScores) => number,
): Map<string, Map<string, number>[]> {
  const bySet = new Map<string, Map<string, number>[]>();
  for (const { arm, record } of one) {
    const set = JSON.stringify(arm.set);
    const same = other.find(
      ({ arm: { seed, set: its } }) => seed === arm.seed && JSON.stringify(its) === set,
    );
    if (!same) continue;
    const before = new Map(same.record.scores.map((scores) => [scores.case, score(scores)]));
    const found = record.scores.map(
      (scores) => [scores.case, score(scores) - (before.get(scores.case) ?? NaN)] as const,
    );
    bySet.set(set, [...(bySet.get(set) ?? []), new Map(found)]);
  }
  return bySet;
}

/**
 * The mean difference by the mixed model. On one data set its seeds are the trainings; of several, each is a
 * training, and its cases have the mean of their seeds. Cases that some seed does not score do not count.
 */
export function pairedMean(
  one: readonly Finished[],
  other: readonly Finished[],
  score: (scores: CaseScores) => number,
): MixedMean | null {
  const tables = [...differencesOf(one, other, score).values()].map((seeds) => {
    const ids = [...seeds[0]!.keys()].filter((id) => seeds.every((row) => !Number.isNaN(row.get(id) ?? NaN)));
    return seeds.map((row) => ids.map((id) => row.get(id)!));
  });
  if (tables.length === 1) return tables[0]![0]!.length > 1 ? crossedMean(tables[0]!) : null;
  const groups = tables
    .map((rows) => rows[0]!.map((_, c) => spread(rows.map((row) => row[c]!)).mean))
    .filter((group) => group.length > 0);
  return groups.length > 1 ? nestedMean(groups) : null;
}

function plainMean(
  one: readonly Finished[],
  other: readonly Finished[],
  score: (scores: CaseScores) => number,
): number {
  const rows = [...differencesOf(one, other, score).values()].flat();
  return spread(rows.flatMap((row) => [...row.values()])).mean;
}

/** Compares the tensors of each method with all its weights 0 with those of the baseline. */
function zeroChecks(finished: readonly Finished[]): ZeroCheck[] {
  const baseline = finished.find(({ arm }) => arm.method === BASELINE.method);
  if (!baseline) return [];
  return finished
    .filter((one) => one !== baseline)
    .map(({ arm, record }) => ({ method: arm.method, same: record.weights === baseline.record.weights }));
}

function modalitiesOf(finished: readonly Finished[]): string[] {
  return [...new Set(finished.map(({ arm }) => arm.modality))];
}

/** Sentences on how to read the table. */
function notesOn(comparisons: readonly StudyComparison[]): string[] {
  const first = comparisons[0];
  if (!first) return ["No two arms share test cases: there is nothing to compare."];
  const { trainings, shared } = first.design;
  const counted = (family: StudyComparison["family"]) => {
    const n = comparisons.filter((one) => one.family === family).length;
    return `${n} ${n === 1 ? "comparison" : "comparisons"} of ${family}`;
  };
  const notes = [
    "A difference is the mean over regions of a case's Dice, less the baseline's on the same case with the same seed " +
      "and data. Its mean, interval and p come from a linear mixed model with random intercepts of trainings" +
      `${shared ? " and cases" : ""} (REML, Satterthwaite's degrees of freedom): they speak about further cases and further trainings.`,
    `p is corrected by Holm over ${counted("methods")}, and over ${counted("controls")}. The smallest ` +
      "difference is what this design shows in 80 % of studies at Holm's first step. The cases needed are for a " +
      "difference as large as the one seen, with as many trainings; where trainings differ too much for that, with more.",
  ];
  if (trainings === 1)
    notes.push(
      "One training of each: the intervals are about these networks on further cases, not about further trainings.",
    );
  if (trainings === 2)
    notes.push(
      "Two trainings of each hardly show how much trainings differ: up to 13 % of studies without an effect find one.",
    );
  return notes;
}
