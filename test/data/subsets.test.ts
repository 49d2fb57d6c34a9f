// The names of subsets of contrasts.

import { suite } from "uvu";
import * as assert from "uvu/assert";
import { ALL_SUBSETS, parseSubset, subsetName, subsetProblem } from "../../data/datasets/subsets.ts";
import { DataError } from "../../data/errors.ts";
import { stageName, stageTitle } from "../../trainer/settings/config.ts";

const test = suite("subsets");

test("a subset is read in any order and case, and written in channel order", () => {
  assert.equal(parseSubset("flair+t1ce"), ["t1ce", "flair"]);
  assert.equal(parseSubset(" FLAIR + T1 "), ["t1", "flair"]);
  assert.is(subsetName(["flair", "t1ce"]), "t1ce+flair");
  assert.is(subsetName(parseSubset("flair+t1ce+t2+t1")), "t1+t2+t1ce+flair");
  assert.is(subsetName(parseSubset("T1ce")), "t1ce");
});

test("an unknown, doubled or empty contrast is named", () => {
  const form = "expected contrasts joined by + (t1, t2, t1ce, flair), got ";
  for (const [text, got] of [
    ["t1+t3", "t3 in t1+t3"],
    ["t1+T1", "t1 twice in t1+T1"],
    ["t1+", "an empty name in t1+"],
    ["", "none"],
    ["t1,t2", "t1,t2"],
  ] as const) {
    assert.is(subsetProblem(text), form + got);
    assert.throws(
      () => parseSubset(text),
      (error: unknown) => error instanceof DataError,
    );
  }
});

test("there are fifteen subsets, the smaller ones first, each in channel order", () => {
  assert.equal(ALL_SUBSETS, [
    ...["t1", "t2", "t1ce", "flair"],
    ...["t1+t2", "t1+t1ce", "t1+flair", "t2+t1ce", "t2+flair", "t1ce+flair"],
    ...["t1+t2+t1ce", "t1+t2+flair", "t1+t1ce+flair", "t2+t1ce+flair"],
    "t1+t2+t1ce+flair",
  ]);
  for (const name of ALL_SUBSETS) assert.is(subsetName(parseSubset(name)), name);
});

test("a stage's folder and title name its contrasts", () => {
  const student = { stage: "student", modality: "t1ce+flair", teacherModality: null } as const;
  assert.is(stageName({ ...student, method: "protokd" }), "student_t1ce+flair_protokd");
  assert.is(stageName({ ...student, method: "none" }), "student_t1ce+flair");
  assert.is(stageTitle({ ...student, method: "protokd" }), "student (t1ce, flair) with ProtoKD");
  assert.is(stageName({ ...student, modality: "t1ce", method: "kd" }), "student_t1ce_kd");
  const teacher = { stage: "teacher", modality: null, method: "none" } as const;
  assert.is(stageTitle({ ...teacher, teacherModality: null }), "teacher (t1, t2, t1ce, flair)");
  assert.is(stageTitle({ ...teacher, teacherModality: "t1ce+flair" }), "teacher (t1ce, flair)");
});

test.run();
