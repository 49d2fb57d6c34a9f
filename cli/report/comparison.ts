// The difference between two stages of one run in words: mean, interval and what it shows.

import { casesNeeded, crossedMean } from "../../model/scoring/mixedMean.ts";
import { REGION_NAMES } from "../../model/scoring/regions.ts";
import { spread } from "../../model/scoring/statistics.ts";
import type { Summary } from "../../model/scoring/summary.ts";
import { LEVEL, verdictOf } from "../../trainer/experiments/studyResult.ts";
import type { TrainConfig } from "../../trainer/settings/config.ts";
import { readStage } from "./stageResults.ts";

/** A finding on one pair of trainings, in a line, and how far it reaches, in a sentence. */
export interface Finding {
  line: string;
  reach: string;
}

/**
 * Compares a stage with its baseline, case by case: "student (t1ce) with ProtoKD - student (t1ce) alone: +0.9
 * points of Dice on 20 cases, 95 % interval -0.4 to 2.2: cannot tell: would need 87 cases". Null where fewer
 * than two test cases have scores of both.
 */
export async function compareStages(one: TrainConfig, baseline: TrainConfig): Promise<Finding | null> {
  const [{ title, summary }, other] = [await readStage(one), await readStage(baseline)];
  if (!summary || !other.summary) return null;
  const before = diceByCase(other.summary);
  const differences = [...diceByCase(summary)]
    .map(([name, dice]) => dice - (before.get(name) ?? NaN))
    .filter((difference) => !Number.isNaN(difference));
  return differences.length < 2 ? null : findingOf(`${title} - ${other.title}`, differences);
}

/** The finding in the differences of mean Dice of some cases, one of each. */
export function findingOf(name: string, differences: readonly number[]): Finding {
  const found = crossedMean([differences]);
  const { mean, p, interval, design } = found;
  const cases = casesNeeded(found, Math.abs(mean), LEVEL);
  const needed = cases === null ? null : { cases, trainings: design.trainings };
  const points = (value: number) => (100 * value).toFixed(1);
  const sign = mean < 0 ? "" : "+";
  return {
    line:
      `${name}: ${sign}${points(mean)} points of Dice on ${differences.length} cases, 95 % interval ` +
      `${points(interval.low)} to ${points(interval.high)}: ${verdictOf(found, p, needed)}`,
    reach:
      "That is one training of each, on synthetic heads: it speaks about further cases, not about further " +
      "trainings. node cli/study.js compares several trainings, with controls.",
  };
}

/** Each test case's Dice, the mean over the regions that have one. */
function diceByCase({ metric_per_case }: Summary): Map<string, number> {
  return new Map(
    metric_per_case.map(({ case: name, metrics }) => [
      name,
      spread(REGION_NAMES.map((region) => metrics[region].Dice)).mean,
    ]),
  );
}
