// Published splits: lists side by side, tables with a column of names, and the ways they write a case.

import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { openRunData } from "../../cli/files/cases.ts";
import { listsBeside, type Missing, parseSplitFiles } from "../../data/datasets/splitLists.ts";
import { idOf } from "../../data/datasets/writtenNames.ts";
import { DEFAULTS, type TrainConfig } from "../../trainer/settings/config.ts";
import { problemsOf } from "../support/fixtures.ts";

const test = suite("lists of a split");
const folder = mkdtempSync(join(tmpdir(), "protokd-lists-"));
test.after(() => rmSync(folder, { recursive: true }));

const KNOWN = ["S_1", "S_2", "S_3", "S_4", "S_5", "S_6"];
const read = (files: Record<string, string>, missing: Missing = "refuse", known: readonly string[] = KNOWN) =>
  parseSplitFiles(
    Object.entries(files).map(([name, text]) => ({ name, text })),
    known,
    missing,
  );

test("naming a list, or the folder, takes the lists of the same split", async () => {
  const beside = (names: string[], named: string | null) => listsBeside(names, named, "lists");
  const published = ["test_list.txt", "train_list.txt", "val_list.txt", "README.md"];
  const expected = ["train_list.txt", "val_list.txt", "test_list.txt"];
  for (const named of [...expected, null]) assert.equal(beside(published, named), expected);

  const three = [1, 2, 3].flatMap((n) => [`test${n}.txt`, `train${n}.txt`, `val${n}.txt`]);
  assert.equal(beside(three, "val2.txt"), ["train2.txt", "val2.txt", "test2.txt"]);
  assert.equal(await problemsOf(() => beside(three, null)), [
    "lists: expected lists of cases such as train_list.txt, val_list.txt and test_list.txt, got several splits: " +
      "name one of their files: train1.txt, train2.txt, train3.txt",
  ]);
  assert.match((await problemsOf(() => beside(["a.txt"], null)))[0]!, /got no list of cases to train/);

  const masks = ["D_train.csv", "D_val.csv", "D_val15splits.csv", "D_test15splits.csv"];
  assert.equal(beside(masks, null), ["D_train.csv", "D_val.csv", "D_test15splits.csv"]);
  assert.equal(beside(masks, "D_val15splits.csv")[1], "D_val15splits.csv", "the list that was named is used");
  assert.equal(beside(["Training.txt", "Testing.txt", "validation.TXT"], null).length, 3);
  assert.equal(beside(["train.txt", "latest.txt", "vale.txt"], null), ["train.txt"], "a set is a whole word");
  assert.equal(beside(["train.txt", "train_val.txt"], "train_val.txt"), ["train_val.txt"]);
});

test("comments, blank lines, line ends and a name's Unicode form do not matter", () => {
  const known = ["S_é".normalize("NFC"), "S_2", "S_3"];
  const { splits, about } = read(
    { "train.txt": "# ours\r\n\r\n  S_2 # a remark\r\n", "test.txt": `${"S_é".normalize("NFD")}` },
    "refuse",
    known,
  );
  assert.equal(splits, { train: ["S_2"], val: [], test: [known[0]] });
  assert.is(about, "from train.txt, test.txt; 1 case of the data set is in no list");
});

test("a case is known by a path's last part, without a file's ending, never by another spelling", () => {
  const known = new Set(["Brats18_2013_10_1", "BraTS20_Training_001", "BraTS-GLI-00002-000", "a.b", "x_vol"]);
  for (const [written, id] of [
    ["HGG/Brats18_2013_10_1", "Brats18_2013_10_1"],
    ["/data/sets/BraTS-GLI-00002-000/", "BraTS-GLI-00002-000"],
    ["C:\\data\\BraTS-GLI-00002-000", "BraTS-GLI-00002-000"],
    ["vol/Brats18_2013_10_1_vol.npy", "Brats18_2013_10_1"],
    ["Brats18_2013_10_1/Brats18_2013_10_1_t1ce.nii.gz", "Brats18_2013_10_1"],
    ["Brats18_2013_10_1_seg.nii", "Brats18_2013_10_1"],
    ["imagesTr/Brats18_2013_10_1_0000.nii.gz", "Brats18_2013_10_1"],
    ["HG_BraTS20_Training_001", "BraTS20_Training_001"],
    ["a.b", "a.b"],
    ["x_vol", "x_vol"],
    ["brats18_2013_10_1", null],
    ["001", null],
    ["Brats18_2013_10_1_vol", null],
    ["", null],
  ] as const)
    assert.is(idOf(written, known), id, written);
});

test("a table's column of names is found by its title, and the right one of several by its names", () => {
  const lists = {
    "train15splits.csv":
      'case,mask\nHGG/S_1,"[True, False, True, True]"\nHGG/S_2,"[False, True, True, True]"\n',
    "val15splits.csv": "mask;Case\n;S_3\n",
  };
  assert.equal(read(lists).splits, { train: ["S_1", "S_2"], val: ["S_3"], test: [] });
  const years = "Grade,BraTS_2019_subject_ID,BraTS_2020_subject_ID\nHGG,NA,S_1\nLGG,B19_2,S_2\n";
  assert.equal(read({ "train.csv": years }).splits, { train: ["S_1", "S_2"], val: [], test: [] });
  for (const title of ["name", "Subject ID", "patient_id", "BraTS18ID", "Brats20ID"])
    assert.equal(read({ "train.csv": `,${title}\n0,S_6\n` }).splits, { train: ["S_6"], val: [], test: [] });
});

test("a column of sets, or of folds, divides a single table", () => {
  const sets = "id,split\nS_1,train\nS_2,Training\nS_3,valid\nS_4,test\n";
  assert.equal(read({ "all.csv": sets }).splits, { train: ["S_1", "S_2"], val: ["S_3"], test: ["S_4"] });
  const folds = "fold\tname\n0\tS_1\n1\tS_2\n0\tS_3\ntest\tS_4\n";
  assert.equal(read({ "folds.tsv": folds }).splits, [
    { train: ["S_2"], val: ["S_1", "S_3"], test: ["S_4"] },
    { train: ["S_1", "S_3"], val: ["S_2"], test: ["S_4"] },
  ]);
});

test("names that the data set lacks are an error that shows some, or are skipped and counted", async () => {
  const lists = {
    "train.txt": ["S_1", ...[..."abcdefg"].map((letter) => `X_${letter}`)].join("\n"),
    "test.txt": "S_2",
  };
  assert.equal(await problemsOf(() => read(lists)), [
    "train.txt: 7 of 8 names are not in the data set, whose cases have names like S_1: X_a, X_b, X_c, X_d, X_e and " +
      "2 more: correct the list, or skip these names with --split-missing skip",
  ]);
  const { splits, about } = read(lists, "skip");
  assert.equal(splits, { train: ["S_1"], val: [], test: ["S_2"] });
  assert.is(
    about,
    "from train.txt, test.txt; 4 cases of the data set are in no list; " +
      "skipped 7 names that the data set lacks: X_a, X_b, X_c, X_d, X_e and 2 more",
  );
  const [problem] = await problemsOf(() => read({ "train.txt": "S_1", "test.txt": "2\n3" }, "skip"));
  assert.is(problem, "test.txt: 2 of 2 names are not in the data set, whose cases have names like S_1: 2, 3");
  const json = '{"train": ["S_1", "X"], "test": ["X", "Y"]}';
  assert.equal(read({ "s.json": json }, "skip"), {
    splits: { train: ["S_1"], val: [], test: [] },
    about: "skipped 2 names that the data set lacks: X, Y",
  });
  const none = () => read({ "s.json": '{"train": ["X"], "test": ["S_1"]}' }, "skip");
  assert.equal(await problemsOf(none), ["s.json: none of its cases to train is in the data set"]);
});

test("a case in two sets or twice in one, and what is no list, are errors", async () => {
  for (const [files, expected] of [
    [
      { "train.txt": "S_1\nS_2", "val.txt": "HGG/S_2" },
      "case S_2 is in train.txt and in val.txt: a case belongs to one set",
    ],
    [{ "train.txt": "S_1\n\nS_1" }, "train.txt: line 3: case S_1 is listed twice"],
    [
      { "cases.txt": "S_1" },
      "cases.txt: expected a column set, split or fold, or a file name with train, val or test, got neither",
    ],
    [
      { "test.txt": "S_1" },
      "test.txt: expected at least one case to train, in a file such as train_list.txt beside it, got none",
    ],
    [{ "train.txt": "# nothing\n" }, "train.txt: expected names of cases, one a line, got none"],
    [
      { "train.csv": "grade,age\nHGG,3" },
      "train.csv: expected one name a line, or a table whose first line names its columns, one of them name, case, " +
        "id, subject or patient, got grade,age",
    ],
    [{ "a.csv": "case,mask\n,x" }, "a.csv: line 2: expected the name of a case, got nothing"],
    [
      { "a.csv": "id,set\nS_1,train\nS_2,held" },
      "a.csv: line 3: expected train, val, test or the number of a fold, got held",
    ],
    [
      { "a.csv": "id,fold\nS_1,1\nS_2,2" },
      "a.csv: expected folds numbered from 0 on, beside them at most test, got 1, 2",
    ],
  ] as [Record<string, string>, string][])
    assert.equal(await problemsOf(() => read(files)), [expected]);
});

test("--split reads lists from a folder or a file of it, and folds from a table", async () => {
  const data = join(folder, "data");
  for (const id of KNOWN) {
    mkdirSync(join(data, id), { recursive: true });
    for (const name of ["t1", "t1ce", "t2", "flair", "seg"])
      writeFileSync(join(data, id, `${id}_${name}.nii`), "");
  }
  const lists = join(folder, "lists");
  mkdirSync(lists);
  writeFileSync(join(lists, "train_list.txt"), "S_1\nS_2\nS_9\n");
  writeFileSync(join(lists, "val_list.txt"), "S_3\n");
  writeFileSync(join(lists, "test_list.txt"), "S_4\n");
  const config = { ...DEFAULTS, stage: "teacher", method: "none", modality: null, data, out: "" };
  const open = (more: Partial<TrainConfig>) => openRunData({ ...config, ...more } as TrainConfig);
  for (const split of [lists, join(lists, "test_list.txt")]) {
    assert.match(
      (await problemsOf(() => open({ split })))[0]!,
      /^train_list\.txt: 1 of 3 names .*: S_9: correct/,
    );
    const found = await open({ split, splitMissing: "skip" });
    assert.equal(found.split, { train: ["S_1", "S_2"], val: ["S_3"], test: ["S_4"] });
    assert.is(
      found.about,
      "from train_list.txt, val_list.txt, test_list.txt; 2 cases of the data set are in no list; " +
        "skipped 1 name that the data set lacks: S_9",
    );
  }
  const table = join(folder, "folds.csv");
  writeFileSync(table, `case,fold\n${KNOWN.map((id, i) => `${id},${i % 3}`).join("\n")}\n`);
  assert.equal((await open({ split: table, fold: 2 })).split, {
    train: ["S_1", "S_4", "S_2", "S_5"],
    val: ["S_3", "S_6"],
    test: ["S_3", "S_6"],
  });
  assert.match((await problemsOf(() => open({ split: table })))[0]!, /folds\.csv: holds 3 folds: choose one/);
  const absent = join(folder, "absent_train.txt");
  assert.match(
    (await problemsOf(() => open({ split: absent })))[0]!,
    /lists of names such as train_list\.txt, got none/,
  );
});

test.run();
