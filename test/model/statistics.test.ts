// Statistics against enumeration, SciPy 1.17 and numbers known by heart.

import { test } from "uvu";
import * as assert from "uvu/assert";
import {
  bootstrapMeans,
  holm,
  leastP,
  quantile,
  signedRank,
  spread,
} from "../../model/scoring/statistics.ts";

const near = (a: number, b: number, tolerance = 1e-12) =>
  assert.ok(Math.abs(a - b) <= tolerance * Math.max(1, Math.abs(b)), `${a} is not ${b}`);

/** The two-sided p by trying all signs, with nothing shared with the code under test. */
function enumerated(differences: readonly number[]): number {
  const sizes = differences.map(Math.abs);
  const ranks = sizes.map((size) => {
    const places = [...sizes].sort((a, b) => a - b).flatMap((other, i) => (other === size ? [i + 1] : []));
    return places.reduce((a, b) => a + b, 0) / places.length;
  });
  const all = ranks.reduce((a, b) => a + b, 0);
  const observed = ranks.reduce((sum, rank, i) => sum + (differences[i]! > 0 ? rank : 0), 0);
  let extreme = 0;
  for (let signs = 0; signs < 2 ** ranks.length; signs++) {
    const sum = ranks.reduce((s, rank, i) => s + ((signs >> i) & 1 ? rank : 0), 0);
    if (Math.abs(sum - all / 2) >= Math.abs(observed - all / 2)) extreme++;
  }
  return extreme / 2 ** ranks.length;
}

test("spread: mean and sample deviation of the defined values; one value has no deviation", () => {
  const { mean, deviation, n } = spread([2, 4, NaN, 4, 4, 5, 5, 7, 9]);
  assert.equal([mean, n], [5, 8]);
  near(deviation, Math.sqrt(32 / 7));
  assert.equal(spread([3]), { mean: 3, deviation: NaN, n: 1 });
  assert.ok(Number.isNaN(spread([NaN]).mean));
});

test("signed-rank: exact p as SciPy's, of Darwin's maize and of twelve differences", () => {
  const darwin = [49, -67, 8, 16, 6, 23, 28, 41, 14, 29, 56, 24, 75, 60, -48];
  assert.equal(signedRank(darwin), { statistic: 24, p: 0.041259765625, n: 15, exact: true });
  const twelve = [0.031, 0.012, -0.004, 0.052, 0.027, -0.018, 0.041, 0.009, 0.063, -0.022, 0.015, 0.036];
  const { statistic, p } = signedRank(twelve);
  assert.is(statistic, 12);
  near(p, 0.0341796875, 1e-9);
});

test("signed-rank: with ties p is that of all signs; it does not depend on the sign, nor on rounding noise", () => {
  for (const tied of [
    [1, 1, -1, 2, 2, 3],
    [0.5, -0.5, 0.5, -0.25, 0.25, 1, 1, 1, -2, 4],
  ]) {
    near(signedRank(tied).p, enumerated(tied));
    assert.equal(signedRank(tied.map((d) => -d)), signedRank(tied));
  }
  const noisy = [0.3 - 0.2, 0.2 - 0.1, -(0.9 - 0.8)];
  assert.equal(signedRank(noisy), signedRank([0.1, 0.1, -0.1]));
});

test("signed-rank: zeros and NaN do not count; without values p is 1; with n it is at least 2/2^n", () => {
  assert.equal(signedRank([0, 1, NaN, 2, 3]), signedRank([1, 2, 3]));
  assert.equal(signedRank([0, 0]), { statistic: 0, p: 1, n: 0, exact: true });
  for (const n of [1, 2, 5, 20]) {
    const all = Array.from({ length: n }, (_, i) => i + 1);
    near(signedRank(all).p, leastP(n));
  }
  assert.equal([leastP(0), leastP(5)], [1, 0.0625]);
});

test("signed-rank: 200 differences exactly, more by the normal approximation, both as SciPy's", () => {
  const distinct = Array.from({ length: 200 }, (_, i) => (((i * 7919) % 1009) + 0.5) * (i % 7 > 2 ? 1 : -1));
  const exactly = signedRank(distinct);
  assert.equal([exactly.exact, exactly.n, exactly.statistic], [true, 200, 8595]);
  near(exactly.p, 0.07590827123045041, 1e-9);
  const one = signedRank([...distinct, 2000]);
  assert.equal([one.exact, one.n], [false, 201]);
  near(one.p, 0.05966543769540488, 1e-9);
  const tied = signedRank(Array.from({ length: 250 }, (_, i) => (((i * 37) % 251) - 110) / 8));
  assert.equal([tied.exact, tied.n, tied.statistic], [false, 249, 12148.5]);
  near(tied.p, 0.0026957202386764835, 1e-9);
});

test("bootstrap: the interval holds the mean, narrows with cases, repeats by its seed, and ignores NaN", () => {
  const values = Array.from({ length: 100 }, (_, i) => (i * 61) % 100);
  const [wide, narrow] = [values.slice(0, 10), values].map((v) => bootstrapMeans([v], { draws: 2000 })[0]!);
  for (const [interval, of] of [
    [wide!, values.slice(0, 10)],
    [narrow!, values],
  ] as const) {
    const { mean } = spread(of);
    assert.ok(interval.low < mean && mean < interval.high);
  }
  assert.ok(wide!.high - wide!.low > 2 * (narrow!.high - narrow!.low));
  // The deviation of a mean of 100 is 29.0 / 10: 1.96 of it to either side, within the error of 2000 draws.
  near(narrow!.high - narrow!.low, 2 * 1.96 * 2.887, 0.06);
  assert.equal(bootstrapMeans([values], { draws: 500 }), bootstrapMeans([values], { draws: 500 }));
  assert.not.equal(
    bootstrapMeans([values], { draws: 500 }),
    bootstrapMeans([values], { draws: 500, seed: 1 }),
  );
  const [first, shifted, few, none] = bootstrapMeans(
    [
      [1, 2, 3],
      [11, 12, 13],
      [NaN, 5, NaN],
      [NaN, NaN, NaN],
    ],
    { draws: 300 },
  );
  assert.equal({ low: first!.low + 10, high: first!.high + 10 }, shifted, "all columns see the same rows");
  assert.ok(Number.isNaN(few!.low) && Number.isNaN(none!.high));
  assert.ok(bootstrapMeans([[1, NaN, 3, NaN]], { draws: 300 })[0]!.high <= 3);
});

test("quantile interpolates linearly, as NumPy's to the last bit", () => {
  assert.is(quantile([1, 2, 3, 4], 0.95), 3.8499999999999996);
  assert.is(quantile(Float64Array.of(7), 0.95), 7);
  assert.is(
    quantile(
      Float64Array.from({ length: 21 }, (_, i) => i),
      0.95,
    ),
    19,
  );
  assert.is(quantile([0.1, 0.3], 0.9), 0.27999999999999997, "from the nearer neighbour");
});

test("quantile lies between neighbours; Holm's p are in order and at most 1", () => {
  assert.is(quantile([0, 10, 20], 0.25), 5);
  assert.is(quantile([7], 0.975), 7);
  assert.equal(holm([0.01, 0.04, 0.03, 0.005]), [0.03, 0.06, 0.06, 0.02]);
  assert.equal(holm([0.5, 0.9]), [1, 1]);
  assert.equal(holm([]), []);
});

test.run();
