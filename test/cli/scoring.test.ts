// A training finds and opens everything that its scoring needs before the first step.

import { mkdirSync, mkdtempSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { gunzipSync, gzipSync } from "node:zlib";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { FILES } from "../../cli/files/stageFolder.ts";
import { MODALITIES } from "../../data/datasets/datasets.ts";
import type { Summary } from "../../model/scoring/summary.ts";
import { run } from "../support/command.ts";
import { storeStage } from "../support/storedRun.ts";
import { fileIn, IDS, makeThreeCases, teacherFlags, trainTeacher } from "../support/threeCases.ts";

const test = suite("scoring");
const root = mkdtempSync(join(tmpdir(), "scoring-"));
test.after(() => rmSync(root, { recursive: true }));

const scored = (folder: string) => {
  const text = readFileSync(join(folder, FILES.summary), "utf8");
  return (JSON.parse(text) as Summary).metric_per_case.map(({ reference_file }) => reference_file);
};

test("BraTS 2018's folders HGG and LGG: the test case is scored, and a damaged one refused before training", async () => {
  const data = join(root, "grades");
  await makeThreeCases(data);
  for (const grade of ["HGG", "LGG"]) mkdirSync(join(data, grade));
  const grades = ["HGG", "LGG", "LGG"];
  for (const [i, id] of IDS.entries()) renameSync(join(data, id), join(data, grades[i]!, id));
  const out = join(root, "graded");
  const { status, stderr } = trainTeacher(data, out);
  assert.is(status, 0, stderr);
  assert.equal(scored(join(out, "teacher")), [`LGG/${IDS[2]}/${IDS[2]}_seg.nii.gz`]);

  const label = join(data, "LGG", IDS[2], `${IDS[2]}_seg.nii.gz`);
  writeFileSync(label, readFileSync(label).subarray(0, 60));
  const refused = trainTeacher(data, join(root, "refused"));
  assert.is(refused.status, 3, refused.stderr);
  assert.match(refused.stderr, /PHANTOM_003: LGG\/PHANTOM_003\/PHANTOM_003_seg\.nii\.gz/);
  assert.not.match(refused.stdout, /parameters/);
});

/** Moves a volume along x by so many mm, in its header. */
function shift(path: string, mm: number): void {
  const bytes = gunzipSync(readFileSync(path));
  for (const at of [268, 292]) bytes.writeFloatLE(bytes.readFloatLE(at) + mm, at); // qoffset_x, srow_x[3]
  writeFileSync(path, gzipSync(bytes));
}

test("rounded headers that were accepted before training are accepted by the scoring too", async () => {
  const data = join(root, "rounded");
  await makeThreeCases(data);
  shift(fileIn(data, IDS[2], "t1ce"), 0.008); // each is within 0.01 mm of t1, but not of the other
  shift(fileIn(data, IDS[2], "seg"), -0.008);
  const teacher = await storeStage(join(root, "stored"), { name: "teacher", modalities: [...MODALITIES] });
  const out = join(root, "student");
  const flags = [...teacherFlags(data, out).slice(2), "--method", "kd", "--teacher", teacher];
  const { status, stderr } = run("train", "--stage", "student", "--modality", "t1ce", ...flags);
  assert.is(status, 0, stderr);
  assert.is(scored(join(out, "student_t1ce_kd")).length, 1);
});

test.run();
