// Patients with several cases: they are known by their ids, a drawn split keeps them together, and one that
// parts them gives a warning.

import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { checkFolder } from "../../cli/check.ts";
import {
  checkPatients,
  isPatients,
  partedPatients,
  patientCount,
  patientNote,
  patientsBy,
} from "../../data/datasets/patients.ts";
import { crossValidation, splitCases } from "../../data/datasets/splits.ts";
import { run } from "../support/command.ts";
import { problemsOf } from "../support/fixtures.ts";
import { makeTimePoints } from "../support/timePoints.ts";

const test = suite("patients");
const folder = mkdtempSync(join(tmpdir(), "patients-"));
test.after(() => rmSync(folder, { recursive: true }));

const auto = patientsBy("auto");

test("ids with a time point are of the patient before it", () => {
  for (const [id, patient] of [
    ["BraTS-GLI-00005-000", "BraTS-GLI-00005"],
    ["BraTS-GLI-00005-101", "BraTS-GLI-00005"],
    ["BraTS-MET-00002-000", "BraTS-MET-00002"],
    ["BraTS-MEN-RT-0001-1", "BraTS-MEN-RT-0001"],
    ["UPENN-GBM-00001_11", "UPENN-GBM-00001"],
    ["UPENN-GBM-00001_21", "UPENN-GBM-00001"],
    ["RHUH-0001_2", "RHUH-0001"],
    ["Brats18_TCIA02_117_1", "Brats18_TCIA02_117"],
    ["brats_tcia_pat149_0002", "brats_tcia_pat149"],
    ["brats_2013_pat0001_1", "brats_2013_pat0001"],
    ["UCSF-PDGM-0429_FU003d", "UCSF-PDGM-0429"],
    ["PatientID_0003_Timepoint_1", "PatientID_0003"],
    ["Patient-001_week-000-2", "Patient-001"],
    ["100101_time2", "100101"],
    ["sub-01_ses-02", "sub-01"],
    ["sub-CC110033_run-2", "sub-CC110033"],
    ["001_02", "001"],
  ])
    assert.is(auto(id!), patient, id);
});

test("all other ids are patients of their own, sites and years too", () => {
  for (const id of [
    "PHANTOM_001",
    "BraTS2021_00006",
    "BraTS2021_001",
    "BraTS_2021_001",
    "BraTS20_Training_001",
    "BRATS_001",
    "FeTS2022_01412",
    "BraTS-GoAT-00000",
    "Brats18_CBICA_AAB_1",
    "Brats18_2013_10_1",
    "UCSF-PDGM-0004",
    "TCGA-02-0006",
    "TCGA-CS-4942",
    "LGG-104",
    "ReMIND-001",
    "sub-01",
    "patient_12",
    "site_01_02",
    "01_002",
    "C0",
    "",
  ])
    assert.is(auto(id), id);
});

test("--patients takes auto, none, and a regular expression with a group, which must fit every id", async () => {
  for (const text of ["auto", "none", "^(.+)-", "(a)|b", "^(?:x)(.*)"]) assert.ok(isPatients(text), text);
  for (const text of ["", "(", ".*", "^(?:x)", "automatic"]) assert.not.ok(isPatients(text), text);
  assert.is(patientsBy("none")("BraTS-GLI-00005-000"), "BraTS-GLI-00005-000");
  assert.is(patientsBy("^(P\\d+)")("P12x3"), "P12");
  assert.is(patientsBy("^(P\\d+)")("other"), "other");
  checkPatients(["P1a", "other"], "auto");
  checkPatients(["P1a", "P2b"], "^(P\\d)");
  assert.equal(await problemsOf(() => checkPatients(["P1", "x", "y"], "^(P\\d)")), [
    "--patients ^(P\\d): expected a patient in every case's id, got none in x, y (2 of 3 cases): " +
      "change the pattern, or use auto or none",
  ]);
  for (const [flags, code] of [
    [["--patients", "("], 2],
    [["--patients", "x"], 2],
  ] as const) {
    for (const command of ["train", "check"]) {
      const { status, stderr } = run(command, "--data", folder, ...flags);
      assert.is(status, code);
      assert.match(stderr, /expected auto, none, or a regular expression whose first group is the patient/);
    }
  }
});

/** Ids of patients with 1, 2, 3, 1, 2, 3 ... time points. */
const timePoints = (patients: number) =>
  Array.from({ length: patients }, (_, p) =>
    Array.from({ length: 1 + (p % 3) }, (_, time) => `X-${String(p).padStart(5, "0")}-00${time}`),
  ).flat();

test("a drawn split keeps patients whole: 70/10/20 of them", () => {
  const ids = timePoints(30);
  const split = splitCases(ids, { seed: 3, patientOf: auto });
  assert.equal([...split.train, ...split.val, ...split.test].sort(), ids);
  const patients = (set: readonly string[]) => new Set(set.map(auto)).size;
  assert.equal([patients(split.train), patients(split.val), patients(split.test)], [21, 3, 6]);
  assert.equal(partedPatients(split, auto), []);
  assert.equal(splitCases(ids.toReversed(), { seed: 3, patientOf: auto }), split);
  assert.not.equal(partedPatients(splitCases(ids, { seed: 3 }), auto), []);
});

test("drawn folds keep patients whole, and each case is validated once", () => {
  const ids = timePoints(13);
  const folds = crossValidation(ids, { patientOf: auto });
  assert.equal(folds.flatMap(({ val }) => val).sort(), ids);
  assert.equal(
    folds.map(({ val }) => new Set(val.map(auto)).size),
    [3, 3, 3, 2, 2],
  );
  for (const { train, val } of folds) assert.equal(partedPatients({ train, val, test: val }, auto), []);
});

test("where each case has a patient of its own, splits and folds are the ones without patients", () => {
  for (const name of ["case_", "BraTS2021_00", "X-00"]) {
    const ids = Array.from({ length: 57 }, (_, i) => `${name}${String(i).padStart(3, "0")}`);
    if (name === "X-00") ids.forEach((id, i) => (ids[i] = `${id}-${i % 3}`)); // one time point each
    assert.equal(splitCases(ids, { seed: 12345, patientOf: auto }), splitCases(ids, { seed: 12345 }));
    assert.equal(crossValidation(ids, { patientOf: auto }), crossValidation(ids));
  }
});

test("too few patients are refused: the error names the largest, and the way out", async () => {
  const one = ["X-00001-000", "X-00001-001", "X-00001-002"];
  assert.equal(await problemsOf(() => splitCases(one, { seed: 1, patientOf: auto })), [
    "the split: expected at least 2 patients, to train and to test, got 1 with 3 cases " +
      "(X-00001 with X-00001-000, X-00001-001, X-00001-002): if these are different patients, use --patients none",
  ]);
  const four = [...timePoints(4)];
  const [problem] = await problemsOf(() => crossValidation(four, { patientOf: auto }));
  assert.match(problem!, /^the folds: expected at least 5 patients, one per fold, got 4 with 7 cases/);
});

test("a note counts patients, or names those that a split parts; a fold's two roles part nobody", () => {
  const [a, b, c] = ["X-00001-000", "X-00001-001", "X-00002-000"] as const;
  assert.is(patientCount([a, b, c], auto), "3 cases of 2 patients");
  assert.is(patientCount([a, b], auto), "2 cases of 1 patient");
  assert.is(patientCount([a, c], auto), null);
  assert.is(
    patientNote({ train: [a, b], val: [], test: [c] }, auto),
    "3 cases of 2 patients, split by patient",
  );
  assert.is(
    patientNote({ train: [b], val: [c], test: [a] }, auto),
    "3 cases of 2 patients: the split parts X-00001 (X-00001-000 in test, X-00001-001 in train): " +
      "scores on them will be too good",
  );
  assert.match(patientNote({ train: [c], val: [a, b], test: [a, b] }, auto)!, /split by patient$/);
  assert.match(
    patientNote({ train: [a], val: [b], test: [c] }, auto)!,
    /X-00001-000 in train, .*-001 in val/,
  );
  assert.is(patientNote({ train: [a], val: [], test: [c] }, auto), null);
});

test("the check counts patients, and warns of a split in the folder that parts one", async () => {
  const data = await makeTimePoints(join(folder, "data"), ["X-00001-000", "X-00001-001", "X-00002-000"]);
  const check = async (patients?: string) => {
    const lines: string[] = [];
    const flags = { data, modality: "all", patch: "8", quiet: true, ...(patients && { patients }) } as const;
    const report = await checkFolder(flags, (line) => lines.push(line));
    return { report, text: lines.join("\n") };
  };
  const plain = await check();
  assert.match(
    plain.text,
    /^patients: 3 cases of 2 patients, as X-00001-000, X-00001-001 of X-00001: a drawn/m,
  );
  assert.equal(
    plain.report.warnings.filter((line) => line.includes("split")),
    [],
  );
  assert.not.match((await check("none")).text, /patients/);

  writeFileSync(join(data, "split.json"), JSON.stringify({ train: ["X-00001-000"], test: ["X-00001-001"] }));
  const fold = { train: ["X-00001-000", "X-00002-000"], val: ["X-00001-001"] };
  writeFileSync(join(data, "splits_final.json"), JSON.stringify([fold]));
  const { report } = await check();
  const parted = "the split parts X-00001 (X-00001-000 in train, X-00001-001 in";
  assert.equal(report.warnings.slice(-2), [
    `split.json: ${parted} test): scores will be too good`,
    `splits_final.json: ${parted} val and test): scores will be too good`,
  ]);
  writeFileSync(join(data, "split.json"), JSON.stringify({ train: ["X-1"], test: ["X-00001-001"] }));
  assert.equal((await check()).report.problems, ["split.json: case X-1 is not in the data set"]);
});

test.run();
