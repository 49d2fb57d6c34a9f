// The arithmetic of the table of fifteen: the rule of ETpp, the means over cases and subsets, and the
// comparison of two tables.

import { suite } from "uvu";
import * as assert from "uvu/assert";
import { CONVENTION_NAMES } from "../../model/scoring/conventions.ts";
import { caseMetrics, type CaseMetrics } from "../../model/scoring/metrics.ts";
import { signedRank } from "../../model/scoring/statistics.ts";
import { compareSubsets, tooFew } from "../../trainer/experiments/subsetComparison.ts";
import { ALL_SUBSETS, parseSubset } from "../../data/datasets/subsets.ts";
import { diceWithoutSmallET, LEAST_ET, subsetTable } from "../../trainer/experiments/subsetTable.ts";
import type { Vec3 } from "../../model/scoring/regions.ts";

const test = suite("subset table");
const size: Vec3 = [10, 10, 12];
const VOXELS = 1200;

test("ETpp: a prediction of 499 voxels of ET counts as without ET, one of 500 as it is", () => {
  const et = (predicted: number, referenced: number) => measured("A", predicted, referenced).regions.ET;
  assert.is(LEAST_ET, 500);
  assert.is(diceWithoutSmallET(et(500, 600), "brats"), (2 * 500) / 1100);
  assert.is(diceWithoutSmallET(et(499, 600), "brats"), 0);
  assert.is(diceWithoutSmallET(et(499, 0), "brats"), 1, "both are without ET then");
  assert.is(diceWithoutSmallET(et(500, 0), "brats"), 0);
  assert.ok(Number.isNaN(diceWithoutSmallET(et(499, 0), "nnunet")), "not counted");
  assert.is(diceWithoutSmallET(et(0, 0), "transunet"), 0);
  assert.is(diceWithoutSmallET(et(499, 600), "brats2023"), 0);
  assert.is(diceWithoutSmallET(et(499, 0), "brats2023"), 1);
  for (const name of CONVENTION_NAMES) {
    const removed = diceWithoutSmallET(et(300, 600), name);
    assert.equal(removed, diceWithoutSmallET(et(0, 600), name), `${name}: as if nothing was predicted`);
  }
});

test("a row has the mean over its cases; the last one the mean over the rows with scores", () => {
  const table = subsetTable(
    [
      result(0, [measured("A", 600, 600), measured("B", 500, 1000)]),
      { ...result(1, []), network: null },
      result(2, [measured("A", 600, 1200)]),
    ],
    ["A", "B"],
    "brats",
  );
  const [first, none, last] = table.rows;
  const [one, half] = [1, 1000 / 1500];
  close(first!.scores!.Dice.WT.mean, (one + half) / 2);
  assert.equal(
    first!.cases.map((scored) => scored.case),
    ["A", "B"],
  );
  assert.is(none!.scores, null);
  close(last!.scores!.Dice.WT.mean, 1200 / 1800);
  close(table.mean!.Dice.WT.mean, ((one + half) / 2 + 1200 / 1800) / 2);
  const { low, high } = table.mean!.Dice.WT;
  close(low, half);
  close(high, (one + 1200 / 1800) / 2);
  for (const name of CONVENTION_NAMES) close(first!.conventions![name].mean.WT.Dice, (one + half) / 2);
});

test("a comparison pairs cases by name; p is Wilcoxon's, corrected by Holm over the subsets", () => {
  const cases = ["A", "B", "C", "D", "E"];
  const rows = (voxels: number) => cases.map((id, i) => measured(id, voxels + 10 * i, 1000));
  const one = subsetTable([result(0, rows(900)), result(1, rows(600))], cases, "brats");
  const other = subsetTable([result(0, rows(700).reverse()), result(1, rows(600))], cases, "brats");
  const compared = compareSubsets(one, other).filter((row) => row.measure === "Dice" && row.column === "ET");
  assert.equal(
    compared.map(({ subset, cases: n }) => [subset, n]),
    [
      ["t1", 5],
      ["t2", 5],
      ["mean", 5],
    ],
  );
  const differences = cases.map((_, i) => dice(900 + 10 * i) - dice(700 + 10 * i));
  close(compared[0]!.difference, differences.reduce((sum, value) => sum + value, 0) / 5);
  assert.is(compared[0]!.p, signedRank(differences).p);
  assert.is(compared[0]!.p, 1 / 16);
  assert.is(compared[0]!.holm, 1 / 8);
  assert.equal([compared[1]!.difference, compared[1]!.p, compared[1]!.holm], [0, 1, 1]);
  close(compared[2]!.difference, compared[0]!.difference / 2);
  assert.is(compared[2]!.holm, null);
  assert.match(
    tooFew(compareSubsets(one, other))!,
    /^5 cases are too few: .* p \(Holm\) would be 0\.13 at least/,
  );
});

/** A case whose maps have only ET, in their first voxels. */
function measured(id: string, predicted: number, referenced: number): CaseMetrics {
  const map = (voxels: number) => new Uint8Array(VOXELS).fill(1, 0, voxels);
  return caseMetrics(id, map(predicted), map(referenced), { size, spacing: [1, 1, 1] });
}

function dice(predicted: number): number {
  return (2 * predicted) / (predicted + 1000);
}

function result(index: number, cases: CaseMetrics[]) {
  return {
    subset: parseSubset(ALL_SUBSETS[index]!),
    network: "network",
    why: "",
    lacking: [],
    measured: cases,
  };
}

function close(value: number, expected: number): void {
  assert.ok(Math.abs(value - expected) < 1e-9, `${value}, expected ${expected}`);
}

test.run();
