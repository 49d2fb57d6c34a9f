// The mixed model of a study against SciPy and statsmodels, and in a thousand invented studies. The expected
// numbers are in test/fixtures/statistics; mixedMean.py computed them, and computes them again where Python
// has SciPy and statsmodels.

import { spawnSync } from "node:child_process";
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { Random } from "../../engine/autograd/random.ts";
import {
  casesNeeded,
  crossedMean,
  type Design,
  detectable,
  errorOf,
  type MixedMean,
  nestedMean,
  sizeNeeded,
  type Variances,
} from "../../model/scoring/mixedMean.ts";
import { holm } from "../../model/scoring/statistics.ts";
import { tBelow, tQuantile, tTest } from "../../model/scoring/studentT.ts";
import { differences } from "../support/studies.ts";

/** A table's results by Python. */
interface Expected {
  mean: number;
  error: number;
  variances?: Variances;
  statsmodels?: { mean: number; error: number };
  p?: number;
  low?: number;
  high?: number;
}

interface Answer {
  models: Record<string, Expected>;
  t: number[];
  quantile: number[];
  holm: number[];
}

const test = suite("mixed mean");
const FIXTURE = new URL("../fixtures/statistics/mixedMean.json", import.meta.url);
const SCRIPT = fileURLToPath(new URL("mixedMean.py", import.meta.url));

const TABLES = {
  "three trainings on the same cases": table(1, [3, 12], { training: 0.4, case: 0.8, rest: 1 }),
  "five trainings on the same cases": table(2, [5, 24], { training: 0.2, case: 0.5, rest: 1 }),
  "trainings that do not differ": table(11, [3, 10], { training: 0, case: 2, rest: 1 }, false),
  "cases that do not differ": table(5, [4, 8], { training: 3, case: 0, rest: 1 }, false),
  "a very small scale": { ...table(6, [3, 12], { training: 4e-6, case: 8e-6, rest: 1e-5 }), inner: false },
  "cases of their own": own(7, [6, 6, 6], 0.8),
  "different numbers of own cases": own(8, [7, 4, 9, 7], 0.9),
  "own cases of trainings that do not differ": { ...own(23, [7, 7, 6], 0), inner: false },
  "one training": table(10, [1, 15], { training: 0, case: 1, rest: 1 }, false),
};
const REQUEST = {
  tables: TABLES,
  t: [0.1, -0.7, 1.96, 2.5, -4.303, 9, 40].flatMap((t) => [1, 2, 2.37, 23, 71, 1000].map((df) => [t, df])),
  quantile: [0.025, 0.3, 0.8, 0.975, 0.9975].flatMap((p) => [1, 2, 2.37, 23, 1000].map((df) => [p, df])),
  holm: [0.011, 0.3, 0.02, 0.0004, 0.02, 0.9, 0.049],
};

function table(seed: number, size: readonly [number, number], variances: Variances, inner = true) {
  return { shared: true, inner, values: differences(new Random(seed), size, variances, { mean: 0.3 }) };
}

function own(seed: number, sizes: readonly number[], training: number) {
  const random = new Random(seed);
  const variances = { training, case: 0.3, rest: 0.7 };
  const values = sizes.map((size) => differences(random, [1, size], variances, { mean: 0.2 })[0]!);
  return { shared: false, inner: true, values };
}

function near(a: number, b: number, about: string, tolerance = 1e-6) {
  assert.ok(Math.abs(a - b) <= tolerance * Math.max(Math.abs(b), 1e-12), `${about}: ${a} is not ${b}`);
}

function ours(name: string): MixedMean {
  const { shared, values } = TABLES[name as keyof typeof TABLES];
  return shared ? crossedMean(values) : nestedMean(values);
}

function agrees(answer: Answer): void {
  assert.equal(Object.keys(answer.models), Object.keys(TABLES));
  for (const [name, expected] of Object.entries(answer.models)) {
    const found = ours(name);
    near(found.mean, expected.mean, `${name}: mean`);
    near(found.error, expected.error, `${name}: standard error`);
    for (const source of ["training", "case", "rest"] as const) {
      if (!expected.variances) continue;
      const scale = expected.variances.rest;
      const [a, b] = [found.variances[source], expected.variances[source]];
      assert.ok(Math.abs(a - b) < 2e-5 * scale, `${name}: variance of ${source}: ${a} is not ${b}`);
    }
    if (expected.statsmodels) {
      near(found.mean, expected.statsmodels.mean, `${name}: statsmodels' mean`);
      near(found.error, expected.statsmodels.error, `${name}: statsmodels' standard error`);
    }
    if (expected.p === undefined) continue;
    near(found.p, expected.p, `${name}: p`);
    near(found.interval.low, expected.low!, `${name}: low`);
    near(found.interval.high, expected.high!, `${name}: high`);
  }
  for (const [i, [t, df]] of REQUEST.t.entries())
    near(tTest(t!, df!), answer.t[i]!, `p of ${t}, ${df}`, 1e-9);
  for (const [i, [p, df]] of REQUEST.quantile.entries())
    near(tQuantile(p!, df!), answer.quantile[i]!, `t of ${p}, ${df}`, 1e-7);
  for (const [i, p] of holm(REQUEST.holm).entries()) near(p, answer.holm[i]!, `Holm's p ${i}`, 1e-12);
}

const python = ["/usr/bin/python3", "python3"].find(
  (command) => spawnSync(command, ["-c", "import scipy, statsmodels"]).status === 0,
);
if (python) {
  const run = spawnSync(python, [SCRIPT], {
    input: JSON.stringify(REQUEST),
    encoding: "utf8",
    env: { ...process.env, OMP_NUM_THREADS: "1", OPENBLAS_NUM_THREADS: "1" },
  });
  if (process.env["MAKE_FIXTURE"] && run.status === 0) writeFileSync(FIXTURE, run.stdout);
  test("the model agrees with SciPy and statsmodels", () => {
    assert.is(run.status, 0, run.stderr);
    agrees(JSON.parse(run.stdout) as Answer);
  });
} else {
  console.log("SKIPPED: the mixed model against SciPy and statsmodels: no python3 with both");
}

test("the model agrees with the numbers that SciPy and statsmodels computed before", () => {
  assert.ok(existsSync(FIXTURE));
  agrees(JSON.parse(readFileSync(FIXTURE, "utf8")) as Answer);
});

test("degrees of freedom: Satterthwaite's by hand; those of the cases where trainings do not differ", () => {
  const { df, variances } = ours("three trainings on the same cases");
  const { training, case: byCase, rest } = variances;
  assert.ok(training > 0 && byCase > 0);
  const [a, b] = [rest + 12 * training, rest + 3 * byCase];
  near(df, (a + b - rest) ** 2 / (a ** 2 / 2 + b ** 2 / 11 + rest ** 2 / 22), "df", 1e-9);
  assert.equal([ours("trainings that do not differ").df, ours("cases that do not differ").df], [9, 3]);
  assert.equal(
    [ours("cases of their own").df, ours("own cases of trainings that do not differ").df],
    [2, 19],
  );
  for (const name of Object.keys(TABLES)) {
    const found = ours(name);
    if (name.includes("different numbers")) continue; // errorOf() takes equal ones
    if (name.includes("own cases of trainings")) continue;
    const known = errorOf(found.design, found.variances);
    near(known.error, found.error, name);
    assert.ok(known.df <= found.df + 1e-9, `${name}: ${known.df} to plan with, ${found.df} in the end`);
  }
});

test("differences that are all the same have no error; tables that cannot be compared are refused", () => {
  const same = (value: number) => [
    [value, value, value],
    [value, value, value],
  ];
  for (const mean of [crossedMean, nestedMean]) {
    const [zero, half] = [mean(same(0)), mean(same(0.5))];
    assert.equal([zero.mean, zero.p, half.p], [0, 1, 0]);
    near(half.interval.low, 0.5, "low");
  }
  assert.throws(() => crossedMean([[1, 2], [1]]), /expected rows of the same 2 or more cases, got 2/);
  assert.throws(() => crossedMean([[1]]), /got 1/);
  assert.throws(() => nestedMean([[1, 2]]), /cases of 2 or more trainings, got 2/);
  assert.throws(() => nestedMean([[1, 2], []]), /got 2, 0/);
  near(tBelow(-2, 5) + tBelow(2, 5), 1, "both tails");
});

test("the cases that are needed are the fewest with which the difference can be shown", () => {
  const design = { trainings: 3, cases: 24, shared: true };
  const variances = { training: 0.001, case: 0.2, rest: 1 };
  const level = { alpha: 0.0125 };
  const n = casesNeeded({ design, variances }, 0.3, level)!;
  assert.ok(n > 24, `${n}`);
  assert.ok(detectable({ ...design, cases: n }, variances, level) <= 0.3);
  assert.ok(detectable({ ...design, cases: n - 1 }, variances, level) > 0.3);
  const differing = { design, variances: { ...variances, training: 0.1 } };
  assert.is(casesNeeded(differing, 0.3), null, "three trainings that differ cannot show it on any cases");
  const more = sizeNeeded(differing, 0.3)!;
  assert.ok(more.trainings > 3 && more.cases >= 8 * more.trainings, JSON.stringify(more));
  assert.ok(detectable({ shared: true, ...more }, differing.variances) <= 0.3);
  assert.is(sizeNeeded(differing, 1e-9), null);
  assert.is(casesNeeded({ design: { ...design, shared: false, cases: 72 }, variances }, 0.3)! % 3, 0);
});

const PLANNED: readonly [string, Design, Variances][] = [
  ["three trainings", { trainings: 3, cases: 24, shared: true }, { training: 1e-4, case: 6e-4, rest: 3e-3 }],
  [
    "three alike trainings",
    { trainings: 3, cases: 24, shared: true },
    { training: 0, case: 6e-4, rest: 3e-3 },
  ],
  ["five trainings", { trainings: 5, cases: 24, shared: true }, { training: 1e-4, case: 1e-3, rest: 2e-3 }],
  [
    "five on their own cases",
    { trainings: 5, cases: 120, shared: false },
    { training: 1e-4, case: 0, rest: 3e-3 },
  ],
];
const COMPARISONS = 4;
const STUDIES = 1000;

for (const [name, design, variances] of PLANNED) {
  test(`1,000 studies, ${name}: twice the smallest difference is found in 950, none in at most 80`, () => {
    const least = detectable(design, variances, { alpha: 0.05 / COMPARISONS });
    const planted = foundIn(design, variances, 2 * least);
    assert.ok(planted >= 950, `${planted} of ${STUDIES} found a difference of ${2 * least}`);
    const falsely = foundIn(design, variances, 0);
    assert.ok(falsely <= 80, `${falsely} of ${STUDIES} found a difference without one`);
  });
}

/**
 * The number of studies of four comparisons that find the effect planted in the first; without an effect, of
 * those that find any.
 */
function foundIn({ trainings, cases, shared }: Design, variances: Variances, effect: number): number {
  const random = new Random(20);
  const size = [trainings, shared ? cases : cases / trainings] as const;
  let found = 0;
  for (let study = 0; study < STUDIES; study++) {
    const means = Array.from({ length: COMPARISONS }, (_, i) => {
      const drawn = differences(random, size, variances, { mean: i === 0 ? effect : 0, shared });
      return shared ? crossedMean(drawn) : nestedMean(drawn);
    });
    const ps = holm(means.map(({ p }) => p));
    if (effect > 0 ? ps[0]! < 0.05 && means[0]!.mean > 0 : ps.some((p) => p < 0.05)) found++;
  }
  return found;
}

test.run();
