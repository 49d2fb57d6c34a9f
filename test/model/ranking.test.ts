// The area under the ROC curve and the average precision, by hand and by counting pairs.

import { suite } from "uvu";
import * as assert from "uvu/assert";
import { Random } from "../../engine/autograd/random.ts";
import { areaUnderCurve, averagePrecision, type Ranked } from "../../model/scoring/ranking.ts";

const test = suite("ranking");

const of = (...pairs: [score: number, present: 0 | 1][]): Ranked[] =>
  pairs.map(([score, present]) => ({ score, present: present === 1 }));

test("a perfect order has 1, its reverse 0", () => {
  const right = of([0.9, 1], [0.8, 1], [0.3, 0], [0.1, 0]);
  assert.is(areaUnderCurve(right), 1);
  assert.is(averagePrecision(right), 1);
  const wrong = of([0.1, 1], [0.2, 1], [0.7, 0], [0.9, 0]);
  assert.is(areaUnderCurve(wrong), 0);
  assert.is(averagePrecision(wrong), (1 / 3 + 2 / 4) / 2);
});

test("scikit-learn's example: three quarters of the pairs in order, precision 0.8333", () => {
  const ranked = of([0.1, 0], [0.4, 0], [0.35, 1], [0.8, 1]);
  assert.is(areaUnderCurve(ranked), 0.75);
  assert.is(averagePrecision(ranked), (1 + 2 / 3) / 2);
});

test("equal scores count half a pair, and come together in the precision", () => {
  const equal = of([0.5, 1], [0.5, 0], [0.5, 0], [0.5, 1]);
  assert.is(areaUnderCurve(equal), 0.5);
  assert.is(averagePrecision(equal), 0.5);
  const some = of([0.9, 1], [0.5, 1], [0.5, 0], [0.1, 0]);
  assert.is(areaUnderCurve(some), 3.5 / 4);
  assert.is(averagePrecision(some), (1 + 2 / 3) / 2);
});

test("where all or none are present", () => {
  assert.is(areaUnderCurve(of([0.9, 1], [0.2, 1])), 0.5);
  assert.is(areaUnderCurve(of([0.9, 0], [0.2, 0])), 0.5);
  assert.is(areaUnderCurve([]), 0.5);
  assert.is(averagePrecision(of([0.9, 1], [0.2, 1])), 1);
  assert.is(averagePrecision(of([0.9, 0], [0.2, 0])), 0);
  assert.is(averagePrecision([]), 0);
});

test("in any order: the same as by counting pairs and ranks, with many ties", () => {
  const random = new Random(4);
  for (let trial = 0; trial < 50; trial++) {
    const ranked = Array.from({ length: 1 + random.integer(30) }, () => ({
      score: random.integer(8) / 8,
      present: random.next() < 0.4,
    }));
    const [there, absent] = [true, false].map((is) => ranked.filter(({ present }) => present === is));
    const pairs = there!.flatMap((a) => absent!.map((b) => (Math.sign(a.score - b.score) + 1) / 2));
    const area = pairs.length ? pairs.reduce((a, b) => a + b) / pairs.length : 0.5;
    assert.is(areaUnderCurve(ranked), area);
    const precisions = there!.map(({ score }) => {
      const above = ranked.filter((one) => one.score >= score);
      return above.filter(({ present }) => present).length / above.length;
    });
    const mean = precisions.length ? precisions.reduce((a, b) => a + b) / precisions.length : 0;
    assert.ok(Math.abs(averagePrecision(ranked) - mean) < 1e-12);
  }
});

test("a score of NaN is refused", () => {
  assert.throws(() => areaUnderCurve(of([NaN, 1], [0, 0])), /got NaN/);
  assert.throws(() => averagePrecision(of([NaN, 1], [0, 0])), /got NaN/);
});

test.run();
