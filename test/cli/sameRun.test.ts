// Which runs are the same: data, split and teacher are compared by their content, wherever they are and
// however their paths are spelt; what differs is named.

import fs from "node:fs";
import { tmpdir } from "node:os";
import { join, relative } from "node:path";
import { gunzipSync, gzipSync } from "node:zlib";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { makePhantom } from "../../cli/files/phantomFolder.ts";
import { FILES } from "../../cli/files/stageFolder.ts";
import { resolveConfig, type TrainFlags } from "../../cli/stages/trainFlags.ts";
import { type Existing, train } from "../../cli/stages/training.ts";
import type { TrainConfig } from "../../trainer/settings/config.ts";
import { device } from "../support/gradcheck.ts";
import { writeSplitOfFour } from "../support/heldOut.ts";
import { failure, silenced } from "../support/quietly.ts";

const folder = fs.mkdtempSync(join(tmpdir(), "same-run-"));
const [data, out, split] = [join(folder, "data"), join(folder, "run"), join(folder, "a.json")];
const teacher = join(out, "teacher", FILES.best);
const scan = join("PHANTOM_002", "PHANTOM_002_t1ce.nii.gz");
const test = suite("same run");

test.before(async () => {
  await silenced(() => makePhantom({ out: data, cases: 4, size: 20, seed: 5 }));
  writeSplitOfFour(split, 4);
  await trainWith({});
});
test.after(() => fs.rmSync(folder, { recursive: true }));

const FLAGS = {
  filters: 2,
  levels: 2,
  batch: 1,
  epochs: 1,
  patch: [16, 16, 16],
  workers: 0,
  stage: "teacher",
  data,
  out,
  split,
} as const satisfies TrainFlags;
const STUDENT = { stage: "student", modality: "t1", method: "kd" } as const;

const trainWith = (more: TrainFlags, existing: Existing = {}) =>
  silenced(async () =>
    train(() => Promise.resolve(device), await resolveConfig({ ...FLAGS, ...more }), existing),
  );
const says = async (more: TrainFlags, existing: Existing = {}) =>
  (await trainWith(more, existing)).join("\n").replaceAll(folder, "");
const refused = async (more: TrainFlags, existing: Existing = {}) => {
  const { name, message } = await failure(() => trainWith(more, existing));
  assert.is(name, "UsageError", message);
  return message.replaceAll(folder, "");
};
const RESUME = { unfinished: "resume" } as const;
const KEPT = /already trained with these settings/;

/** The name of an unfinished copy of the teacher's run. */
function unfinished(name: string): string {
  fs.cpSync(join(out, "teacher"), join(folder, name, "teacher"), { recursive: true });
  fs.rmSync(join(folder, name, "teacher", FILES.report));
  return join(folder, name);
}

/** Changes a file for as long as `act` takes. */
async function changing(path: string, change: (bytes: Buffer) => Buffer, act: () => Promise<void>) {
  const before = fs.readFileSync(path);
  fs.writeFileSync(path, change(before));
  await act().finally(() => fs.writeFileSync(path, before));
}

const otherVoxel = (bytes: Buffer) => {
  const raw = gunzipSync(bytes);
  raw[raw.length - 3]! ^= 1;
  return gzipSync(raw);
};
const compressedAnew = (bytes: Buffer) => gzipSync(gunzipSync(bytes), { level: 1 });

test("other spellings of the paths, links and a moved folder are the same run", async () => {
  fs.symlinkSync(data, join(folder, "link"));
  fs.cpSync(data, join(folder, "scratch"), { recursive: true });
  fs.copyFileSync(split, join(folder, "same.json"));
  for (const flags of [
    { data: `${data}/`, split: `${folder}/./a.json` },
    { data: relative(".", data), split: relative(".", split) },
    { data: join(folder, "link") },
    { data: join(folder, "scratch"), split: join(folder, "same.json") },
  ])
    assert.match(await says(flags), KEPT, JSON.stringify(flags));
});

test("a run is resumed with moved data and split, and records where they are", async () => {
  const moved = { data: `${folder}/scratch/`, split: join(folder, "same.json"), out: unfinished("resumed") };
  assert.match(await says(moved, RESUME), /resuming after \d+ steps/);
  const { data, split } = JSON.parse(
    fs.readFileSync(join(moved.out, "teacher", FILES.config), "utf8"),
  ) as TrainConfig;
  assert.equal([data, split], [moved.data, moved.split]);
  fs.rmSync(join(moved.out), { recursive: true });
});

test("a student finds the teacher that was trained on the same data and cases elsewhere", async () => {
  const moved = { ...STUDENT, data: join(folder, "scratch"), split: join(folder, "same.json") };
  assert.match(await says(moved), /^teacher: \/run\/teacher\/checkpoint_best\.safetensors$/m);
  assert.match(await says(STUDENT), KEPT);
});

test("another split is refused, also under the same name; the message names the cases, and the run's own", async () => {
  const other = join(folder, "b.json");
  writeSplitOfFour(other, 3);
  const expected = new RegExp(
    "^/run/teacher: holds another run, which differs in val \\(without PHANTOM_003, with PHANTOM_004\\), " +
      "test \\(without PHANTOM_004, with PHANTOM_003\\); the run's own cases: --split /run/teacher/split\\.json: " +
      ".*--config /run/teacher/config\\.json.* choose another --out; --overwrite would delete the training",
  );
  assert.match(await refused({ split: other }), expected);
  await changing(
    split,
    () => fs.readFileSync(other),
    async () => {
      assert.match(await refused({}), expected);
      assert.match(await says({ split: join(out, "teacher", FILES.split) }), KEPT);
    },
  );
});

test("changed files are named, here and in a moved folder; files that were compressed anew are the same", async () => {
  const named = /differs in data \(.*PHANTOM_002\/PHANTOM_002_t1ce\.nii\.gz changed since\)/;
  for (const place of [data, join(folder, "scratch")]) {
    await changing(join(place, scan), otherVoxel, async () => {
      assert.match(await refused({ data: place }), named);
      const refusal = await refused({ data: place, out: unfinished("changed") }, RESUME);
      assert.match(refusal, /began with other files: PHANTOM_002\/PHANTOM_002_t1ce\.nii\.gz changed since/);
      assert.match(refusal, /: restore them, or train in another --out; --overwrite would delete/);
    });
    await changing(join(place, scan), compressedAnew, async () => {
      assert.match(await says({ data: place }), KEPT);
      const out = unfinished("compressed");
      const resumed = await says({ data: place, out }, RESUME);
      assert.match(resumed, /other bytes than before, but the same voxels, .*: PHANTOM_002/);
    });
    for (const name of ["changed", "compressed"]) fs.rmSync(join(folder, name), { recursive: true });
  }
});

test("a student of a teacher that was trained anew is not finished; a copy of the teacher is the same", async () => {
  fs.copyFileSync(teacher, join(folder, "copy.safetensors"));
  assert.match(await says({ ...STUDENT, teacher: join(folder, "copy.safetensors") }), KEPT);
  await trainWith({ seed: 1, out: join(folder, "second") });
  const second = join(folder, "second", "teacher", FILES.best);
  const refusal = await refused({ ...STUDENT, teacher: second });
  assert.match(refusal, /differs in teacher \("\/run\/teacher\/\S+" → "\/second\/teacher\/\S+"\)/);
  await changing(
    teacher,
    () => fs.readFileSync(second),
    async () => {
      const expected = /differs in teacher \(\/run\/teacher\/\S+, whose content changed since\)/;
      assert.match(await refused({ ...STUDENT, teacher }), expected);
    },
  );
  assert.match(await says(STUDENT), KEPT, "the one that it began with, although another is newer");
});

test("a folder of an older version has no checksums: its teacher is compared by path", async () => {
  const inputs = join(out, "student_t1_kd", FILES.inputs);
  fs.renameSync(inputs, join(folder, "inputs.json"));
  assert.match(await says({ ...STUDENT, teacher: relative(".", teacher), data: `${data}/` }), KEPT);
  assert.match(await says({ ...STUDENT, teacher: join(folder, "copy.safetensors") }), KEPT);
  fs.renameSync(join(out, "teacher"), join(out, "gone"));
  const refusal = await refused({ ...STUDENT, teacher: join(folder, "copy.safetensors") });
  assert.match(refusal, /differs in teacher \("\/run\/teacher\/\S+" → "\/copy\.safetensors"\)/);
  fs.renameSync(join(out, "gone"), join(out, "teacher"));
  fs.renameSync(join(folder, "inputs.json"), inputs);
});

test("a training state from elsewhere knows only the name of its split, so the path must be given", async () => {
  const resumeFrom = join(out, "teacher", FILES.latest);
  const { message } = await failure(() => resolveConfig({ resumeFrom, data }));
  assert.match(message, /was trained with the split "a\.json", .*: give its path with --split$/);
  assert.is((await resolveConfig({ resumeFrom, data, split })).split, split);
});

test.run();
