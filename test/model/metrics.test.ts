// Metrics against the published fixture and brute force, and where a region is empty.

import { test } from "uvu";
import * as assert from "uvu/assert";
import { surface } from "../../model/scoring/hausdorff.ts";
import { tighten } from "../../model/scoring/masks.ts";
import { caseMetrics, regionMetrics, diceByRegion } from "../../model/scoring/metrics.ts";
import type { Vec3 } from "../../model/scoring/regions.ts";
import { summarise } from "../../model/scoring/summary.ts";

const unit: Vec3 = [1, 1, 1];

/** A map of [D,H,W] that is 1 in a box, given by its half-open ranges as numpy writes them. */
function box(size: Vec3, ranges: string): Uint8Array {
  const [low, high] = [0, 1].map((end) => ranges.split(",").map((range) => Number(range.split(":")[end])));
  return Uint8Array.from(voxels(size), (voxel) =>
    voxel.every((x, k) => x >= low![k]! && x < high![k]!) ? 1 : 0,
  );
}

/** The indices of all voxels, in the order of the array. */
function voxels([D, H, W]: Vec3): Vec3[] {
  return Array.from({ length: D * H * W }, (_, i) => [Math.floor(i / (H * W)), Math.floor(i / W) % H, i % W]);
}

function count(mask: Uint8Array): number {
  return mask.reduce((sum, value) => sum + value, 0);
}

/** Numbers in [0, 1) that are the same on every run. */
function generator(seed: number): () => number {
  let state = seed;
  return () => (state = (state * 1103515245 + 12345) % 2 ** 31) / 2 ** 31;
}

/** The definition, word by word: every surface voxel against every surface voxel of the other mask. */
function bruteForce(a: Uint8Array, b: Uint8Array, size: Vec3, spacing: Vec3): number {
  const points = (mask: Uint8Array): Vec3[] => {
    const inside = (voxel: readonly number[]): boolean =>
      voxel.every((x, k) => x >= 0 && x < size[k]!) &&
      mask[(voxel[0]! * size[1] + voxel[1]!) * size[2] + voxel[2]!] === 1;
    const neighbours = (voxel: Vec3): number[][] =>
      [0, 1, 2].flatMap((axis) => [-1, 1].map((step) => voxel.map((x, k) => (k === axis ? x + step : x))));
    return voxels(size).filter((voxel) => inside(voxel) && !neighbours(voxel).every(inside));
  };
  const nearest = (p: Vec3, others: Vec3[]): number =>
    Math.min(...others.map((q) => Math.hypot(...p.map((x, k) => (x - q[k]!) * spacing[k]!))));
  const [first, second] = [points(a), points(b)];
  const all = [...first.map((p) => nearest(p, second)), ...second.map((p) => nearest(p, first))];
  all.sort((x, y) => x - y);
  const position = 0.95 * (all.length - 1);
  const below = Math.floor(position);
  const above = all[Math.min(below + 1, all.length - 1)]!;
  return all[below]! + (above - all[below]!) * (position - below);
}

test("two boxes in a 12³ grid give the Dice, surfaces and HD95 that MedPy gives", () => {
  const size: Vec3 = [12, 12, 12];
  const p = box(size, "2:8,3:9,2:7");
  const g = box(size, "3:9,3:10,4:9");
  const { dice, hd95, tp, fp, fn, tn, predicted, referenced } = regionMetrics(p, g, [1], {
    size,
    spacing: unit,
  });
  assert.ok(Math.abs(dice! - 0.4615384615) < 1e-10, `Dice ${dice}`);
  assert.ok(Math.abs(hd95! - Math.sqrt(5)) < 1e-12, `HD95 ${hd95}`);
  assert.equal([count(surface(p, size)), count(surface(g, size))], [132, 150]);
  assert.equal(
    { tp, fp, fn, tn, predicted, referenced },
    {
      tp: 90,
      fp: 90,
      fn: 120,
      tn: 1728 - 300,
      predicted: 180,
      referenced: 210,
    },
  );
});

test("a 3³ box in the array's corner has 26 surface voxels: beyond the array is background", () => {
  for (const edge of [6, 3]) {
    const size: Vec3 = [edge, edge, edge];
    assert.is(count(surface(box(size, "0:3,0:3,0:3"), size)), 26);
  }
});

test("a mask at the border keeps its surface there: one that fills the array is measured, not empty", () => {
  const size: Vec3 = [5, 6, 7];
  const all = box(size, "0:5,0:6,0:7");
  const half = box(size, "0:5,0:6,0:4");
  const spacing: Vec3 = [2, 1, 0.5];
  const { hd95 } = regionMetrics(all, half, [1], { size, spacing });
  assert.ok(Math.abs(hd95! - bruteForce(all, half, size, spacing)) < 1e-12);
  assert.ok(hd95! > 0);
});

test("HD95 of random masks equals brute force, with anisotropic spacing, in mm", () => {
  const random = generator(7);
  for (let round = 0; round < 24; round++) {
    const size = [0, 1, 2].map(() => 1 + Math.floor(9 * random())) as unknown as Vec3;
    const spacing = [0, 1, 2].map(() => 0.3 + 4 * random()) as unknown as Vec3;
    const density = [0.05, 0.3, 0.9][round % 3]!;
    const [a, b] = [0, 1].map(() => {
      const mask = new Uint8Array(size[0] * size[1] * size[2]).map(() => (random() < density ? 1 : 0));
      mask[Math.floor(random() * mask.length)] = 1;
      return mask;
    }) as [Uint8Array, Uint8Array];
    const { hd95 } = regionMetrics(a, b, [1], { size, spacing });
    const expected = bruteForce(a, b, size, spacing);
    assert.ok(
      Math.abs(hd95! - expected) < 1e-12 * Math.max(1, expected),
      `[${size}]: ${hd95}, not ${expected}`,
    );
  }
});

test("spacing belongs to its axis: one voxel apart along D, H or W is that axis' millimetres", () => {
  const size: Vec3 = [4, 4, 4];
  const spacing: Vec3 = [5, 3, 2];
  const apart = ["2:3,1:2,1:2", "1:2,2:3,1:2", "1:2,1:2,2:3"].map(
    (ranges) => regionMetrics(box(size, ranges), box(size, "1:2,1:2,1:2"), [1], { size, spacing }).hd95,
  );
  assert.equal(apart, [5, 3, 2]);
});

test("regions overlap: WT holds all classes, TC all but oedema, ET class 1 alone", () => {
  const size: Vec3 = [1, 1, 4];
  const { regions } = caseMetrics("a", Uint8Array.of(0, 1, 2, 3), Uint8Array.of(1, 2, 1, 3), {
    size,
    spacing: unit,
  });
  const counts = (["WT", "TC", "ET"] as const).map((region) => {
    const { tp, fp, fn, tn } = regions[region];
    return [tp, fp, fn, tn];
  });
  assert.equal(counts, [
    [3, 0, 1, 0],
    [2, 0, 1, 1],
    [0, 1, 2, 1],
  ]);
});

test("an empty region's scores are undefined, and the summary takes those of its convention: all four cases", () => {
  const size: Vec3 = [1, 1, 2];
  const [none, one] = [Uint8Array.of(0, 0), Uint8Array.of(1, 0)];
  const measure = (p: Uint8Array, g: Uint8Array) => caseMetrics("a", p, g, { size, spacing: unit });
  const rows = [measure(none, none), measure(one, none), measure(none, one), measure(one, one)];
  assert.equal(
    rows.map(({ regions }) => regions.ET.dice),
    [null, 0, 0, 1],
  );
  assert.equal(
    rows.map(({ regions }) => regions.ET.hd95),
    [null, null, null, 0],
  );

  const { metric_per_case: cases, convention, conventions, empty, mean } = summarise(rows);
  assert.equal(
    cases.map(({ metrics }) => metrics.ET.Dice),
    [1, 0, 0, 1],
  );
  assert.equal(
    cases.map(({ metrics }) => metrics.ET.IoU),
    [1, 0, 0, 1],
  );
  assert.equal(
    cases.map(({ metrics }) => metrics.ET.HD95),
    [0, 373.12866, 373.12866, 0],
  );
  assert.is(convention, "brats");
  assert.equal(conventions.brats.reference_empty, { Dice: 0, HD95: 373.12866, Sensitivity: 0 });
  assert.equal(empty.ET, { both: 1, reference: 1, prediction: 1 });
  assert.is(mean.ET.Dice, 0.5);
  assert.ok(JSON.stringify(mean).indexOf("null") < 0);
});

test("the summary has nnU-Net's keys, and means over cases, then over regions", () => {
  const size: Vec3 = [1, 1, 4];
  const grid = { size, spacing: unit };
  const summary = summarise([
    {
      ...caseMetrics("a", Uint8Array.of(1, 2, 3, 0), Uint8Array.of(1, 2, 3, 0), grid),
      predictionFile: "p/a.nii.gz",
    },
    caseMetrics("b", Uint8Array.of(1, 2, 0, 0), Uint8Array.of(1, 2, 3, 3), grid),
  ]);
  for (const key of ["foreground_mean", "mean", "metric_per_case"]) assert.ok(key in summary, key);
  const names = ["Dice", "IoU", "TP", "FP", "FN", "TN", "n_pred", "n_ref"];
  const ours = ["HD95", "Sensitivity", "Specificity"];
  const lesions = ["Dice", "HD95", "TP", "FP", "FN"].map((name) => `LesionWise_${name}`);
  assert.equal(Object.keys(summary.mean.WT).sort(), [...names, ...ours, ...lesions].sort());
  assert.is(summary.metric_per_case[0]!.prediction_file, "p/a.nii.gz");
  assert.ok(Math.abs(summary.mean.WT.Dice - (1 + 4 / 6) / 2) < 1e-15);
  assert.is(summary.mean.WT.n_ref, 3.5);
  const dice = (summary.mean.WT.Dice + summary.mean.TC.Dice + summary.mean.ET.Dice) / 3;
  assert.ok(Math.abs(summary.foreground_mean.Dice - dice) < 1e-15);
});

test("the summary has intervals of its means, and the seconds of each prediction", () => {
  const grid = { size: [1, 1, 4] as Vec3, spacing: unit };
  const reference = Uint8Array.of(1, 2, 3, 3);
  const maps = [reference, Uint8Array.of(1, 2, 0, 0), Uint8Array.of(1, 0, 0, 0), Uint8Array.of(1, 2, 3, 0)];
  const cases = maps.map((map, i) => ({ ...caseMetrics(`${i}`, map, reference, grid), seconds: i }));
  const { intervals, mean, metric_per_case: rows } = summarise(cases);
  for (const region of ["WT", "TC"] as const) {
    const { low, high } = intervals.Dice[region];
    assert.ok(0.3 < low && low < mean[region].Dice && mean[region].Dice < high && high <= 1, region);
  }
  assert.equal(intervals.Dice.ET, { low: 1, high: 1 }, "the same in every case");
  assert.ok(intervals.HD95.mean.high > intervals.HD95.mean.low);
  assert.equal(summarise(cases).intervals, intervals, "drawn from a seed");
  assert.ok(Number.isNaN(summarise(cases.slice(0, 1)).intervals.Dice.WT.low), "one case has no interval");
  assert.equal(
    rows.map(({ seconds }) => seconds),
    [0, 1, 2, 3],
  );
});

test("maps of another size than the grid, and no cases at all, are refused", () => {
  const grid = { size: [1, 1, 4] as Vec3, spacing: unit };
  assert.throws(
    () => regionMetrics(new Uint8Array(4), new Uint8Array(5), [1], grid),
    /reference of \[1,1,4\].*got 5/,
  );
  assert.throws(() => summarise([]), /at least one case/);
});

test("metrics of a full-size pair visit only the box around both masks", () => {
  const size: Vec3 = [155, 240, 240];
  const [prediction, reference] = [0, 5].map((shift) => {
    const map = new Uint8Array(155 * 240 * 240);
    for (let d = 40; d < 110; d++) {
      for (let h = 60; h < 150; h++) map.fill(1, (d * 240 + h) * 240 + 80 + shift, (d * 240 + h) * 240 + 170);
    }
    return map;
  }) as [Uint8Array, Uint8Array];
  assert.equal(tighten({ prediction, reference, size })!.size, [70, 90, 90]);
  assert.is(regionMetrics(prediction, reference, [1], { size, spacing: unit }).hd95, 5);
});

test("a validation's Dice is that of the metrics, 1 where both maps lack the region", () => {
  const prediction = Uint8Array.from([0, 1, 1, 2, 3, 3, 0, 0]);
  const reference = Uint8Array.from([0, 1, 2, 2, 3, 0, 3, 0]);
  const { WT, TC, ET } = caseMetrics("a", prediction, reference, {
    size: [2, 2, 2],
    spacing: [1, 1, 1],
  }).regions;
  assert.equal(diceByRegion(prediction, reference), { WT: WT.dice, TC: TC.dice, ET: ET.dice });
  assert.equal(diceByRegion(new Uint8Array(8), new Uint8Array(8)), { WT: 1, TC: 1, ET: 1 });
});

test.run();
