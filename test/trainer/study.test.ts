// A study: its arms, its file, and its results from invented records with planted effects.

import { suite } from "uvu";
import * as assert from "uvu/assert";
import { DataError } from "../../data/errors.ts";
import { readRecord, writeRecord } from "../../trainer/experiments/armRecord.ts";
import {
  type Arm,
  armTitle,
  candidatesOf,
  choosingArms,
  hasUnlabelled,
  reportedArms,
  setName,
  type Study,
  takesUnlabelled,
  zeroWeights,
} from "../../trainer/experiments/study.ts";
import { readStudy } from "../../trainer/experiments/studyConfig.ts";
import { chosenEntries, studyResult } from "../../trainer/experiments/studyResult.ts";
import { SIZES, STUDIES } from "../../trainer/experiments/studySizes.ts";
import { invented } from "../support/studies.ts";

const test = suite("study");

const titles = (arms: readonly Arm[]) => [...new Set(arms.map(armTitle))];

test("every size is a study without mistakes, and reports data that its choice does not use", () => {
  for (const size of SIZES) {
    const { study, problems } = readStudy({}, size);
    assert.equal([problems, study], [[], STUDIES[size]], size);
  }
});

test("the hour: plain training, two methods at two weights, a shuffled teacher; three seeds of each", () => {
  const arms = reportedArms(STUDIES.hour);
  assert.equal(titles(arms), [
    "none",
    "kd, published",
    "kd, Hinton",
    "protokd, published",
    "protokd, Hinton",
    "kd, Hinton, shuffled teacher",
    "protokd, Hinton, shuffled teacher",
    "kd, weights 0",
    "protokd, weights 0",
  ]);
  assert.is(arms.filter(({ role }) => role === "report").length, 7 * 3);
  assert.equal(
    arms.filter(({ role }) => role === "zero").map(({ seed }) => seed),
    [0, 0, 0],
  );
  assert.equal(zeroWeights("protokd"), { kdWeight: 0, prototypeWeight: 0, unlabelledWeight: 0 });
});

test("scans without labels: each method that takes them, kd without them, and one control", () => {
  const arms = reportedArms(STUDIES.unlabelled);
  assert.equal(titles(arms), [
    "none",
    "kd, Hinton, labelled only",
    "kd, Hinton, with unlabelled",
    "protokd, Hinton, with unlabelled",
    "pseudo, with unlabelled",
    "kd, Hinton, with unlabelled, shuffled teacher",
    "kd, weights 0",
    "protokd, weights 0",
    "pseudo, weights 0",
  ]);
  assert.is(arms.filter(({ role }) => role === "report").length, 6 * 3);
  assert.ok(arms.every(({ set }) => hasUnlabelled(set)));
  assert.equal(["none", "kd", "protokd", "pseudo", "kdnet"].map(takesUnlabelled), [
    ...[false, true, true, true, false],
  ]);
  assert.not(reportedArms(STUDIES.methods).some(({ method }) => method === "pseudo"));
});

test("a data set's name says how many scans without labels it has", () => {
  const nameOf = (more: object) => {
    const set = { phantom: { ...PHANTOM, ...more } };
    return setName(set, [set]);
  };
  assert.equal([{}, { unlabelled: 0 }, { unlabelled: 3 }].map(nameOf), [
    ...["phantom2-7", "phantom2-7", "phantom2-7-unlabelled3"],
  ]);
});

test("the night chooses weights on other phantoms, then reports the chosen ones with all controls", () => {
  const study = STUDIES.night;
  const choosing = choosingArms(study);
  assert.is(choosing.length, 2 * 6 * 2 * 2, "methods, weights, contrasts, seeds");
  const seedsOf = (arms: readonly Arm[]) => [
    ...new Set(arms.map(({ set }) => ("phantom" in set ? set.phantom.seed : null))),
  ];
  const best = "kd, kdUnits hinton, kdWeight 4, temperature 2";
  const chosen = chosenEntries(invented(choosing, 12, ({ name }) => (name === best ? 0.05 : 0)));
  assert.is(chosen[0]!.name, `${best} (chosen)`);
  assert.equal(chosen[0]!.settings, { kdUnits: "hinton", kdWeight: 4, temperature: 2 });
  const arms = reportedArms(study, chosen);
  assert.not.equal(seedsOf(arms), seedsOf(choosing));
  const controlled = arms.filter(({ control }) => control !== "none");
  assert.equal([...new Set(controlled.map(({ control }) => control))], ["shuffled", "twin", "untrained"]);
  assert.ok(controlled.every(({ name }) => name.endsWith("(chosen)")));
});

test("a method without a network from before has no control; unused settings of a grid are dropped", () => {
  const arms = reportedArms({ ...STUDIES.methods, controls: ["shuffled", "twin"] });
  const controlled = (method: string) =>
    new Set(arms.filter((arm) => arm.method === method).map(({ control }) => control));
  assert.equal([...controlled("kd")], ["none", "shuffled", "twin"]);
  assert.equal([...controlled("uagan")], ["none"]);
  const [only, ...others] = candidatesOf("kdnet", { prototypeWeight: [1] });
  assert.equal([only!.settings, others], [{}, []]);
});

const BAD: readonly [object, RegExp][] = [
  [{ sise: "hour" }, /^sise: a study has no such key: it has size, name, modalities, /],
  [{ size: "week" }, /^size: expected one of minute, hour, methods, unlabelled, night, got "week"/],
  [
    { seeds: [0, -1] },
    /^seeds: expected a list of integers, each from 0 to 2147483647, got \[0,-1\] \(at 1\)/,
  ],
  [{ seeds: [1, 1] }, /^seeds: 1 is there twice: remove one/],
  [{ modalities: ["t3"] }, /t3/],
  [{ entries: [{ name: "a", method: "kdd" }] }, /^entries\[0\]: expected one of kd, protokd, .*got "kdd"/],
  [{ entries: [{ name: "none", method: "kd" }] }, /^entries\[0\]: the name none is taken/],
  [{ entries: [{ name: "a", method: "none" }] }, /^entries\[0\]: none is the baseline already/],
  [
    { entries: [{ name: "a", method: "kd", settings: { kdWeigth: 1 } }], controlled: [] },
    /^entries\[0\].settings: kdWeigth: no setting has this name: did you mean kdWeight\?/,
  ],
  [{ settings: { seed: 3 } }, /^settings: seed is the study's own/],
  [{ settings: { unlabelled: "scans" } }, /^settings: unlabelled is the study's own/],
  [
    { entries: [{ name: "a", method: "pseudo" }] },
    /^entries\[0\]: pseudo needs scans without labels: give each data set some, as in /,
  ],
  [
    { choose: { methods: ["pseudo"], grid: {}, seeds: [0], sets: [{ split: "a", unlabelled: "b" }] } },
    /^choose.methods: pseudo needs scans without labels/,
  ],
  [{ sets: [{ split: "a.json", unlabelled: 40 }] }, /^sets: expected a list of data sets, like/],
  [{ settings: { epochs: 0 } }, /^settings: epochs: expected an integer from 1 to 1000000, got 0/],
  [{ controls: ["turned"] }, /^controls: expected a list of some of shuffled, twin, untrained/],
  [{ controlled: ["kd"] }, /^controlled: no entry is called "kd": there are kd, published; kd, Hinton/],
  [{ sets: [{ phantom: { seed: 1 } }] }, /^sets: expected a list of data sets, like/],
  [
    { choose: { methods: ["kd"], grid: { kdWeight: [-1] }, seeds: [0], sets: [{ split: "a" }] } },
    /kdWeight: exp/,
  ],
  [
    { choose: { methods: ["kd"], grid: { kdWeight: [1] }, seeds: [0], sets: STUDIES.hour.sets } },
    /^choose.sets: .* is reported too: choose weights on other data, such as another seed/,
  ],
];

for (const [found, message] of BAD)
  test(`refused: ${JSON.stringify(found).slice(0, 70)}`, () => {
    const { problems } = readStudy(found);
    assert.is(problems.length, 1, problems.join("\n"));
    assert.match(problems[0]!, message);
  });

test("several mistakes in a file are found at once", () => {
  assert.is(readStudy({ sise: 1, seeds: "0", controls: [1] }).problems.length, 3);
});

const PHANTOM = { version: 2, seed: 7, size: 16, train: 2, val: 1, test: 2 };
const DIGESTS = { cases: "12ab", unlabelled: "34cd" };
const STUDY: Study = { ...STUDIES.hour, seeds: [0, 1, 2, 3, 4] };
const EFFECTS: Readonly<Record<string, number>> = {
  "kd, Hinton": 0.05,
  "protokd, Hinton": -0.05,
  "kd, published": 0.004,
};

test("verdicts: a planted gain helps, a loss harms, and a small one would need more cases", () => {
  const finished = invented(reportedArms(STUDY), 24, ({ name, control }) =>
    control === "none" ? (EFFECTS[name] ?? 0) : 0,
  );
  const { comparisons, rows, zero, notes } = studyResult(finished);
  const verdict = (name: string, against = "none") =>
    comparisons.find((one) => one.name === name && one.against === against)!.verdict;
  assert.is(verdict("kd, Hinton"), "helps");
  assert.is(verdict("protokd, Hinton"), "harms");
  assert.match(verdict("kd, published"), /^cannot tell: would need \d+ cases( and \d+ trainings)?$/);
  assert.match(verdict("kd, Hinton, shuffled teacher"), /^cannot tell/);
  assert.is(verdict("kd, Hinton", "kd, Hinton, shuffled teacher"), "helps", "its gain is the teacher's");
  const [first] = comparisons;
  assert.equal(first!.design, { trainings: 5, cases: 24, shared: true });
  assert.ok(first!.interval.low < first!.mean && first!.mean < first!.interval.high);
  const families = comparisons.map(({ family }) => family);
  assert.equal([families.filter((one) => one === "methods").length, families.length], [4, 8]);
  assert.is(rows.length, 7);
  assert.equal(rows[1]!.shares, { segmentation: 0.99, kd: 0.034 });
  assert.equal(zero, [
    { method: "kd", same: true },
    { method: "protokd", same: true },
  ]);
  assert.match(notes.join("\n"), /Holm over 4 comparisons of methods, and over 4 comparisons of controls/);
});

test("a method whose weights of 0 change a bit is found", () => {
  const finished = invented(reportedArms(STUDY), 4, () => 0);
  const changed = finished.find(({ arm }) => arm.name === "kd, weights 0")!;
  changed.record = { ...changed.record, weights: "1".repeat(64) };
  assert.equal(studyResult(finished).zero[0], { method: "kd", same: false });
});

test("data sets are trainings, each with its cases; an arm that is missing takes its partners with it", () => {
  const sets = ["a", "b", "c"].map((split) => ({ split: `${split}.json` }));
  const arms = reportedArms({ ...STUDY, seeds: [0], sets });
  const { comparisons } = studyResult(invented(arms, 7, () => 0));
  assert.equal(comparisons[0]!.design, { trainings: 3, cases: 21, shared: false });
  const fewer = arms.filter(
    ({ name, set }) => name !== "kd, Hinton" || ("split" in set && set.split !== "c.json"),
  );
  const found = studyResult(invented(fewer, 7, () => 0)).comparisons;
  assert.equal(found.find(({ name }) => name === "kd, Hinton")!.design, {
    trainings: 2,
    cases: 14,
    shared: false,
  });
  assert.equal(studyResult([]).comparisons, []);
});

test("a record is read as it was written; another file is refused, with how to mend it", () => {
  const [{ record }] = invented(reportedArms(STUDY), 3, () => 0) as [ReturnType<typeof invented>[number]];
  assert.equal(readRecord(writeRecord(record), "a.json"), record);
  for (const data of [{ phantom: PHANTOM }, { phantom: { ...PHANTOM, unlabelled: 3 } }, DIGESTS])
    assert.equal(readRecord(writeRecord({ ...record, data }), "a.json").data, data);
  for (const text of ["{}", writeRecord(record).replace('"seed": 0', '"seed": -1'), "no JSON"])
    assert.throws(
      () => readRecord(text, "a.json"),
      (error: Error) => error instanceof DataError && /^a\.json: expected/.test(error.message),
    );
});

test.run();
