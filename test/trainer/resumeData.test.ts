// The data of a run: the files that it began with when it is resumed, and the cases that its teacher was
// trained on.

import { copyFileSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { gunzipSync, gzipSync } from "node:zlib";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { makePhantom } from "../../cli/files/phantomFolder.ts";
import { FILES } from "../../cli/files/stageFolder.ts";
import { resolveConfig, type TrainFlags } from "../../cli/stages/trainFlags.ts";
import { train } from "../../cli/stages/training.ts";
import type { EpochRecord } from "../../trainer/loop/records.ts";
import { device } from "../support/gradcheck.ts";
import { writeSplitOfFour } from "../support/heldOut.ts";
import { failure, silenced } from "../support/quietly.ts";
import { TINY } from "../support/tinyStages.ts";

const folder = mkdtempSync(join(tmpdir(), "resume-data-"));
const [data, out] = [join(folder, "data"), join(folder, "run")];
const test = suite("resume data");
test.before(async () => {
  await silenced(() => makePhantom({ out: data, cases: 4, size: 20, seed: 5 }));
  writeSplitOfFour(join(folder, "a.json"), 4);
  writeSplitOfFour(join(folder, "b.json"), 3);
});
test.after(() => rmSync(folder, { recursive: true }));

const FLAGS = {
  ...TINY,
  validateEvery: 2,
  stage: "teacher",
  data,
  out,
  split: join(folder, "a.json"),
} as const satisfies TrainFlags;

const trainWith = (more: TrainFlags, unfinished: "refuse" | "resume" = "refuse") =>
  silenced(async () =>
    train(() => Promise.resolve(device), await resolveConfig({ ...FLAGS, ...more }), { unfinished }),
  );

test("a run whose files changed since it began is not resumed, and names them; restored, it is", async () => {
  await trainWith({ maxTime: "0.01s" });
  const changed = join(data, "PHANTOM_002", "PHANTOM_002_t1ce.nii.gz");
  copyFileSync(changed, join(folder, "kept.nii.gz"));
  const bytes = gunzipSync(readFileSync(changed));
  bytes[bytes.length - 3]! ^= 1; // of a voxel
  writeFileSync(changed, gzipSync(bytes));
  const refused = await failure(() => trainWith({}, "resume"));
  assert.is(refused.name, "UsageError");
  assert.match(
    refused.message,
    /teacher: holds another run, which differs in data \(PHANTOM_002\/PHANTOM_002_t1ce\.nii\.gz changed since\)/,
  );
  assert.match(
    refused.message,
    /choose another --out; --overwrite would delete the training in this folder$/,
  );
  copyFileSync(join(folder, "kept.nii.gz"), changed);
  const said = await trainWith({}, "resume");
  assert.match(said.join("\n"), /resuming after \d+ steps?, in epoch \d/);
});

test("a teacher that was trained on a test case of its student gives a warning; one of the same split does not", async () => {
  const teacher = join(out, "teacher", FILES.best);
  const student = { stage: "student", modality: "t1", teacher, epochs: 1, validateEvery: 1 } as const;
  const other = await trainWith({ ...student, split: join(folder, "b.json"), out: join(folder, "other") });
  const told = other.find((line) => line.includes("--teacher"));
  assert.match(told ?? "", /trained on a case that the student is tested on \(PHANTOM_003\): .* too good/);
  const same = await trainWith({ ...student, out: join(folder, "same") });
  assert.not(
    same.some((line) => line.includes("--teacher")),
    same.join("\n"),
  );
});

test("the GPU memory in a stage's record is that stage's", async () => {
  const records = (run: string, stage: string) =>
    readFileSync(join(run, stage, FILES.metrics), "utf8")
      .trim()
      .split("\n")
      .map((line) => JSON.parse(line) as EpochRecord);
  const alone = { stage: "student", modality: "t1", method: "none", epochs: 1, validateEvery: 1 } as const;
  const held = device.bytes; // by tests that were before
  await trainWith({ ...alone, out: join(folder, "large"), batch: 4 });
  await trainWith({ ...alone, out: join(folder, "small") });
  const [large, small] = ["large", "small"].map(
    (run) => records(join(folder, run), "student_t1")[0]!.gpuBytes! - held,
  );
  assert.ok(small! < large! / 2, `${small} bytes after ${large}`);
});

test.run();
