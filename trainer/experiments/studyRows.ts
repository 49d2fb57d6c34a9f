// The rows of a study's table: each entry's scores, its terms' shares of the gradient, and its curve.

import { spread } from "../../model/scoring/statistics.ts";
import { type ArmRecord, type CaseScores, meanDice } from "./armRecord.ts";
import { type Arm, armTitle } from "./study.ts";

/** An arm with its record. */
export interface Finished {
  arm: Arm;
  record: ArmRecord;
}

/** The mean Dice of an entry: mean over cases, then mean and deviation over trainings. */
export interface StudyRow {
  name: string;
  modality: string;
  trainings: number;
  cases: number;
  Dice: Record<"WT" | "TC" | "ET" | "mean", { mean: number; deviation: number }>;
  /** Each term's share of the gradient at the logits. */
  shares: Record<string, number>;
  validation: { epoch: number; mean: number }[];
  seconds: number;
}

/** The rows of finished arms, one for each entry, control and contrast. */
export function studyRows(finished: readonly Finished[]): StudyRow[] {
  const groups = new Map<string, Finished[]>();
  for (const one of finished) {
    const key = `${one.arm.modality} ${armTitle(one.arm)}`;
    groups.set(key, [...(groups.get(key) ?? []), one]);
  }
  return [...groups.values()].map((same) => {
    const column = (score: (scores: CaseScores) => number) => {
      const { mean, deviation } = spread(same.map(({ record }) => spread(record.scores.map(score)).mean));
      return { mean, deviation };
    };
    const records = same.map(({ record }) => record);
    const { arm } = same[0]!;
    return {
      name: armTitle(arm),
      modality: arm.modality,
      trainings: same.length,
      cases: new Set(
        same.flatMap(({ arm: { set }, record }) =>
          record.scores.map((one) => JSON.stringify([set, one.case])),
        ),
      ).size,
      Dice: {
        WT: column(({ Dice }) => Dice.WT ?? NaN),
        TC: column(({ Dice }) => Dice.TC ?? NaN),
        ET: column(({ Dice }) => Dice.ET ?? NaN),
        mean: column(meanDice),
      },
      shares: meanByKey(records.map(({ shares }) => shares["logits"] ?? {})),
      validation: meanCurve(records),
      seconds: spread(records.map(({ seconds }) => seconds)).mean,
    };
  });
}

function meanByKey(rows: readonly Readonly<Record<string, number | null>>[]): Record<string, number> {
  const keys = [...new Set(rows.flatMap((row) => Object.keys(row)))];
  return Object.fromEntries(keys.map((key) => [key, spread(rows.map((row) => row[key] ?? NaN)).mean]));
}

/** The mean validation score over trainings, at the epochs that all have. */
function meanCurve(records: readonly ArmRecord[]): StudyRow["validation"] {
  const first = records[0]!.validation;
  return first.flatMap(({ epoch }) => {
    const values = records.map(
      ({ validation }) => validation.find((one) => one.epoch === epoch)?.mean ?? NaN,
    );
    const mean = values.reduce((sum, value) => sum + value, 0) / values.length;
    return Number.isNaN(mean) ? [] : [{ epoch, mean }];
  });
}
