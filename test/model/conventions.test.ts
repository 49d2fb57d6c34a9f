// Empty regions under every convention: the four cases, their means side by side, sensitivity and
// specificity.

import { test } from "uvu";
import * as assert from "uvu/assert";
import { formatSummary } from "../../cli/terminal/table.ts";
import {
  applyConvention,
  CONVENTION_NAMES,
  CONVENTIONS,
  type ConventionName,
} from "../../model/scoring/conventions.ts";
import { caseMetrics } from "../../model/scoring/metrics.ts";
import type { Vec3 } from "../../model/scoring/regions.ts";
import { summarise } from "../../model/scoring/summary.ts";

const size: Vec3 = [4, 5, 6];
const grid = { size, spacing: [1, 1, 1] as Vec3 };
const none = new Uint8Array(120);
const some = new Uint8Array(120).fill(1, 0, 60); // 60 mm³: large enough for a lesion of its own

/** Both empty, a false alarm, a miss, a perfect hit. */
const cases = [
  caseMetrics("both", none, none, grid),
  caseMetrics("alarm", some, none, grid),
  caseMetrics("miss", none, some, grid),
  caseMetrics("hit", some, some, grid),
];

const { NaN: out } = Number; // not in the mean

const measures = ["Dice", "HD95", "Sensitivity"] as const;

/** The scores of the four cases, as the tables of the conventions' sources have them. */
const expected: Record<ConventionName, Record<(typeof measures)[number], number[]>> = {
  brats: { Dice: [1, 0, 0, 1], HD95: [0, 373.12866, 373.12866, 0], Sensitivity: [1, 0, 0, 1] },
  brats2023: { Dice: [1, 0, 0, 1], HD95: [0, 374, 374, 0], Sensitivity: [1, 0, 0, 1] },
  nnunet: { Dice: [out, 0, 0, 1], HD95: [out, out, out, 0], Sensitivity: [out, out, 0, 1] },
  monai: { Dice: [out, out, 0, 1], HD95: [out, out, out, 0], Sensitivity: [out, out, 0, 1] },
  protokd: { Dice: [1, 0, 0, 1], HD95: [out, out, out, 0], Sensitivity: [0, 0, 0, 1] },
  acn: { Dice: [1, 0, 0, 1], HD95: [0, 1, 1, 0], Sensitivity: [out, out, 0, 1] },
  transunet: { Dice: [0, 1, 0, 1], HD95: [0, 0, 0, 0], Sensitivity: [out, out, 0, 1] },
};

for (const name of CONVENTION_NAMES) {
  test(`${name}: all four cases of an empty region, and the means of the cases that it counts`, () => {
    const rows = cases.map(({ regions }) => applyConvention(regions.ET, CONVENTIONS[name]));
    const { mean, counted, source } = summarise(cases).conventions[name];
    for (const key of measures) {
      const want = expected[name][key];
      assert.equal(
        rows.map((row) => row[key]),
        want,
        key,
      );
      const kept = want.filter((value) => !Number.isNaN(value));
      assert.is(mean.ET[key], kept.reduce((sum, value) => sum + value, 0) / kept.length, key);
      assert.is(counted.ET[key], kept.length, key);
    }
    assert.ok(source.length > 10);
  });
}

test("the default is brats; another convention changes scores of empty regions, and no count", () => {
  const usual = summarise(cases);
  assert.is(usual.convention, "brats");
  assert.equal(usual, summarise(cases, "brats"));
  for (const name of CONVENTION_NAMES) {
    const summary = summarise(cases, name);
    assert.is(summary.convention, name);
    assert.equal(summary.conventions, usual.conventions, "side by side whichever is chosen");
    for (const key of ["Dice", "HD95"] as const) {
      assert.is(summary.mean.ET[key], summary.conventions[name].mean.ET[key]);
    }
    for (const key of ["TP", "FP", "FN", "TN", "n_pred", "n_ref", "LesionWise_Dice"] as const) {
      assert.is(summary.mean.ET[key], usual.mean.ET[key], `${name} ${key}`);
    }
  }
});

test("a region that a convention skips in every case has no mean: null in JSON, a dash in the table", () => {
  const summary = summarise([cases[0]!], "nnunet");
  assert.ok(Number.isNaN(summary.mean.ET.Dice));
  assert.ok(Number.isNaN(summary.foreground_mean.Dice));
  assert.is(summary.conventions.nnunet.counted.ET.Dice, 0);
  const read = JSON.parse(JSON.stringify(summary)) as typeof summary;
  assert.is(read.mean.ET.Dice, null);
  for (const either of [summary, read]) {
    assert.match(formatSummary(either), /^mean of \d+( +-\*){3} +-( +-\*){3} +-$/m);
    assert.match(
      formatSummary(either),
      /"nnunet": both empty Dice excluded and HD95 excluded, one empty Dice 0 and HD95 excluded$/m,
    );
  }
});

test("the table says when lesions are scored one by one, although no region is empty", () => {
  const hit = [cases[3]!];
  assert.not.match(formatSummary(summarise(hit)), /convention/);
  assert.match(formatSummary(summarise(hit, "brats2023")), /\* scored lesion by lesion .* HD95 374 mm$/);
});

test("sensitivity is TP / (TP + FN) and specificity TN / (TN + FP), by region", () => {
  const prediction = Uint8Array.of(1, 1, 3, 0, 0, 2, 0, 0, 0, 0);
  const reference = Uint8Array.of(1, 2, 0, 3, 0, 1, 1, 0, 0, 0);
  const line = { size: [1, 1, 10] as Vec3, spacing: grid.spacing };
  const { mean } = summarise([caseMetrics("a", prediction, reference, line)]);
  // WT: TP 3, FN 2, FP 1, TN 4. TC: TP 3, FN 1, FP 0, TN 6. ET: TP 1, FN 2, FP 1, TN 6.
  const scores = (["WT", "TC", "ET"] as const).map((name) => [
    mean[name].Sensitivity,
    mean[name].Specificity,
  ]);
  assert.equal(scores, [
    [3 / 5, 4 / 5],
    [3 / 4, 1],
    [1 / 3, 6 / 7],
  ]);
});

test("specificity is defined in all four cases, unless the reference fills the grid", () => {
  const specificity = summarise(cases).metric_per_case.map(({ metrics }) => metrics.ET.Specificity);
  assert.equal(specificity, [1, 0.5, 1, 1]);
  const filled = new Uint8Array(120).fill(1);
  assert.is(caseMetrics("full", filled, filled, grid).regions.ET.specificity, null);
});

test.run();
