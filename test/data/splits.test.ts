// Splits: drawn as published, drawn as nnU-Net draws them, read from files, and disjoint by content.

import { execFileSync, spawnSync } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { idsOf, openRunData } from "../../cli/files/cases.ts";
import { DEFAULTS, type TrainConfig } from "../../trainer/settings/config.ts";
import { checkDisjoint, type CaseRecord } from "../../data/datasets/manifest.ts";
import { MersenneTwister } from "../../data/datasets/mersenne.ts";
import { crossValidation, parseSplits, splitCases, splitOfFold } from "../../data/datasets/splits.ts";
import { problemsOf } from "../support/fixtures.ts";

const test = suite("splits");
const folder = mkdtempSync(join(tmpdir(), "protokd-splits-"));
test.after(() => rmSync(folder, { recursive: true }));

const named = (count: number) =>
  Array.from({ length: count }, (_, i) => `case_${String(i).padStart(3, "0")}`);

test("a split has every case once, in the published shares, whatever the order of the ids", () => {
  const ids = Array.from({ length: 285 }, (_, i) => `Brats18_${i}`);
  const split = splitCases(ids, { seed: 0 });
  assert.equal([split.train.length, split.val.length, split.test.length], [200, 28, 57]);
  assert.equal([...split.train, ...split.val, ...split.test].sort(), [...ids].sort());
  assert.equal(splitCases([...ids].reverse(), { seed: 0 }), split);
  assert.not.equal(splitCases(ids, { seed: 1 }), split);
});

test("a split of few cases has training and test cases; a single case, or one given twice, is refused", async () => {
  for (const [count, expected] of [
    [2, [1, 0, 1]],
    [3, [2, 0, 1]],
    [10, [7, 1, 2]],
  ] as const) {
    const { train, val, test: held } = splitCases(named(count), { seed: 4 });
    assert.equal([train.length, val.length, held.length], expected);
  }
  const none = splitCases(["a", "b", "c"], { seed: 1, fractions: [0, 0.5, 0.5] });
  assert.equal([none.train.length, none.test.length], [1, 2]);
  assert.match((await problemsOf(() => splitCases(["a"], { seed: 1 })))[0]!, /at least 2 cases.*got 1/);
  assert.match((await problemsOf(() => splitCases(["a", "b", "a"], { seed: 1 })))[0]!, /got a twice/);
});

test("the Mersenne Twister gives MT19937's published numbers, and shuffles as NumPy's RandomState does", () => {
  const reference = new MersenneTwister(5489); // the default seed; C++'s standard has the 10,000th output
  for (let i = 1; i < 10_000; i++) reference.next();
  assert.is(reference.next(), 4123659995);
  // numpy.random.RandomState(12345).shuffle(numpy.arange(n))
  const shuffled = (n: number) => new MersenneTwister(12345).shuffle([...Array(n).keys()]);
  assert.equal(shuffled(5), [0, 4, 3, 1, 2]);
  assert.equal(shuffled(13), [0, 9, 7, 3, 6, 10, 8, 12, 11, 4, 1, 5, 2]);
  assert.equal(shuffled(285).slice(0, 8), [33, 106, 52, 175, 97, 214, 159, 68]);
});

const NUMPY = `
import json, numpy
def folds(n):
    order = numpy.arange(n)
    numpy.random.RandomState(12345).shuffle(order)
    sizes = numpy.full(5, n // 5)
    sizes[: n % 5] += 1
    ends = numpy.cumsum(sizes)
    return [sorted(map(int, order[end - size : end])) for size, end in zip(sizes, ends)]
print(json.dumps([folds(n) for n in (5, 17, 285, 1251)]))
`;
const python = spawnSync("python3", ["-c", "import numpy"]).status === 0;
if (!python) console.log("SKIPPED: splits: the folds that NumPy draws: no python3 with numpy");
else {
  test("the folds are those of scikit-learn's KFold with NumPy, for any number of cases", () => {
    const expected = JSON.parse(execFileSync("python3", ["-c", NUMPY], { encoding: "utf8" })) as number[][][];
    for (const [i, n] of [5, 17, 285, 1251].entries()) {
      const ids = Array.from({ length: n }, (_, k) => String(k).padStart(5, "0"));
      const drawn = crossValidation(ids.toReversed()).map(({ val }) => val.map(Number));
      assert.equal(drawn, expected[i]);
    }
  });
}

test("each case validates in one fold and trains in the four others", async () => {
  const ids = named(13);
  const folds = crossValidation(ids);
  assert.equal(folds.flatMap(({ val }) => val).sort(), ids);
  assert.equal(
    folds.map(({ val }) => val.length),
    [3, 3, 3, 2, 2],
  );
  for (const { train, val } of folds) assert.equal([...train, ...val].sort(), ids);
  assert.match((await problemsOf(() => crossValidation(ids.slice(0, 4))))[0]!, /at least 5 cases.*got 4/);
});

test("a fold's test cases are its validation cases unless others are named; all trains on everything", async () => {
  const folds = [
    { train: ["a", "b"], val: ["c"] },
    { train: ["b", "c"], val: ["a"], test: ["d"] },
  ];
  assert.equal(splitOfFold(folds, 0), { train: ["a", "b"], val: ["c"], test: ["c"] });
  assert.equal(splitOfFold(folds, 0, ["e"]).test, ["e"]);
  assert.equal(splitOfFold(folds, 1, ["e"]).test, ["d"]);
  assert.equal(splitOfFold(folds, "all", ["e"]), { train: ["a", "b", "c"], val: [], test: ["d", "e"] });
  assert.equal(await problemsOf(() => splitOfFold(folds, 5)), [
    "--fold: expected one of the 2 folds, 0 to 1, or all, got 5",
  ]);
});

test("split files are read in both formats, and one error lists all problems of a file", async () => {
  const known = ["a", "b", "c", "d"];
  const read = (value: unknown) => parseSplits(JSON.stringify(value), "s.json", known);
  assert.equal(read({ train: ["a"], test: ["b"] }), { train: ["a"], val: [], test: ["b"] });
  assert.equal(read([{ train: ["a"], val: ["b"] }]), [{ train: ["a"], val: ["b"] }]);
  const problems = (value: unknown) => problemsOf(() => read(value));
  assert.equal(await problems({ train: ["a", "x"], val: ["y"], test: ["a"] }), [
    "s.json: case x is not in the data set",
    "s.json: case y is not in the data set",
    "s.json: case a is listed twice",
  ]);
  assert.equal(
    await problems([
      { train: ["a"], val: ["b"] },
      { train: ["a"], val: ["a"] },
    ]),
    ["s.json: fold 1: case a is listed twice"],
  );
  for (const wrong of [{ val: ["a"] }, { train: [] }, [], [{ train: ["a"], val: [] }], { train: [1] }, 3]) {
    assert.match(
      (await problems(wrong))[0]!,
      /^s\.json: expected \{"train".*or a list of these/s,
      JSON.stringify(wrong),
    );
  }
  assert.match((await problemsOf(() => parseSplits("{", "s.json", known)))[0]!, /^s\.json: expected/);
});

test("--fold uses the data set's splits_final.json, --split's list, or folds of all but a split's test cases", async () => {
  const data = join(folder, "data");
  execFileSync("mkdir", ["-p", ...named(7).map((id) => join(data, id))]);
  for (const id of named(7)) {
    for (const name of ["t1", "t1ce", "t2", "flair", "seg"])
      writeFileSync(join(data, id, `${id}_${name}.nii`), "");
  }
  const config = { ...DEFAULTS, stage: "teacher", method: "none", modality: null, data, out: "" };
  const open = (more: Partial<TrainConfig>) => openRunData({ ...config, ...more } as TrainConfig);
  const problem = async (more: Partial<TrainConfig>) => (await problemsOf(() => open(more)))[0]!;

  const drawn = await open({ fold: 1 });
  assert.equal(drawn.folds, crossValidation(named(7)));
  assert.equal(drawn.split, splitOfFold(drawn.folds!, 1));
  assert.equal(idsOf(drawn.split).sort(), named(7), "each is loaded once");
  assert.equal((await open({})).folds, null);

  const [a, b, c] = named(3) as [string, string, string];
  const own = [{ train: [a], val: [b] }];
  writeFileSync(join(data, "splits_final.json"), JSON.stringify(own));
  assert.equal((await open({ fold: 0 })).split, { train: [a], val: [b], test: [b] });
  assert.match(await problem({ fold: 4 }), /expected one of the 1 folds, 0, or all, got 4/);
  assert.is((await open({})).split.train.length, 6, "without --fold it is ignored");

  const list = join(folder, "list.json");
  writeFileSync(list, JSON.stringify([{ train: [c], val: [a] }]));
  assert.equal((await open({ fold: 0, split: list })).split.train, [c]);
  assert.match(await problem({ split: list }), /list\.json: holds 1 folds: choose one with --fold/);

  const single = join(folder, "single.json");
  writeFileSync(single, JSON.stringify({ train: named(6).slice(1), val: [], test: [a] }));
  const beside = await open({ fold: 2, split: single });
  assert.equal([beside.split.test, beside.folds], [[a], crossValidation(named(6).slice(1))]);
});

test("one scan under two names is refused if the names are in different sets", async () => {
  const record = (id: string, voxels: string): CaseRecord => {
    const file = {
      path: `${id}.nii`,
      bytes: 1,
      sha256: id,
      voxels,
      shape: [1],
      spacing: [1],
      affine: [],
      channel: 0,
    };
    return { id, images: { t1: file, t2: { ...file, path: `${id}_t2.nii`, voxels: `${voxels} t2` } } };
  };
  const records = [record("a", "x"), record("b", "y"), record("c", "x"), record("d", "z")];
  const check = (train: string[], val: string[], held: string[]) =>
    problemsOf(() => {
      checkDisjoint({ train, val, test: held }, records);
      return Promise.reject(new Error("no problem"));
    }).catch((error: Error) => [error.message]);
  assert.equal(await check(["a", "b"], ["d"], ["c"]), [
    "cases a (train) and c (test) are the same scan: a.nii and c.nii have the same voxels: " +
      "put both into one set, or remove one",
  ]);
  assert.equal(await check(["a", "c"], ["b"], ["d"]), ["no problem"]);
  assert.equal(
    await check(["b"], ["a", "c"], ["a", "c"]),
    ["no problem"],
    "a fold's validation cases are its test's",
  );
});

test.run();
