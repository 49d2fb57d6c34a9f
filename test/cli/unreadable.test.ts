// Train and predict where files and folders may not be read.

import { chmodSync, cpSync, existsSync, mkdirSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { MODALITIES } from "../../data/datasets/datasets.ts";
import { run, runAsUser } from "../support/command.ts";
import { storeStage } from "../support/storedRun.ts";
import { fileIn, IDS, makeThreeCases, teacherFlags, trainTeacher } from "../support/threeCases.ts";

const test = suite("unreadable");
const root = mkdtempSync(join(tmpdir(), "unreadable-"));
const sound = join(root, "sound");
let model = "";

test.before(async () => {
  await makeThreeCases(sound);
  model = await storeStage(root, { name: "teacher", modalities: [...MODALITIES] });
});
test.after(() => rmSync(root, { recursive: true }));

/** Copies the data. */
function copy(name: string): string {
  const data = join(root, name);
  cpSync(sound, data, { recursive: true });
  return data;
}

test("a file that may not be read is its case's problem, and a folder that may not be read a warning", () => {
  const data = copy("unreadable");
  const image = fileIn(data, IDS[1], "t1");
  chmodSync(image, 0o000);
  const [hidden, out] = [join(data, "lost+found"), join(root, "unreadable out")];
  mkdirSync(hidden, { mode: 0o700 });
  if (process.getuid?.() !== 0) chmodSync(hidden, 0o000);
  chmodSync(root, 0o755);
  mkdirSync(out);
  chmodSync(out, 0o777);
  const train = () => runAsUser("train", ...teacherFlags(data, join(out, "run")), "--quiet");
  const refused = train();
  if (refused.status === null) return console.log("SKIPPED: a file that may not be read: no setpriv");
  const problem =
    /^case PHANTOM_002: PHANTOM_002\/PHANTOM_002_t1\.nii\.gz: .* got EACCES: you may not read it/m;
  assert.is(refused.status, 3, refused.stderr);
  assert.match(refused.stderr, problem);
  const flags = ["--model", model, "--input", data, "--output", join(out, "p"), "--quiet"];
  const stopped = runAsUser("predict", ...flags);
  assert.is(stopped.status, 3);
  assert.match(stopped.stderr, problem);
  assert.not(existsSync(join(out, "p")));
  const skipped = runAsUser("predict", ...flags, "--skip-bad");
  assert.is(skipped.status, 3);
  assert.match(skipped.stderr, /^skipped: case PHANTOM_002: /m);
  assert.equal(
    IDS.map((id) => existsSync(join(out, "p", `${id}.nii.gz`))),
    [true, false, true],
  );
  chmodSync(image, 0o644);
  const trained = train();
  chmodSync(hidden, 0o755);
  assert.is(trained.status, 0, trained.stderr);
  assert.match(trained.stderr, /lost\+found: cannot be read \(EACCES/);
  assert.match(trained.stdout, /^teacher .* \d\.\d{3}/m);
});

test("a folder in place of an image is its case's problem in train and predict", () => {
  const data = copy("folder");
  rmSync(fileIn(data, IDS[1], "t1"));
  mkdirSync(fileIn(data, IDS[1], "t1"));
  const out = join(root, "folder out");
  const trained = trainTeacher(data, out);
  assert.is(trained.status, 3, trained.stderr);
  assert.match(trained.stderr, /case PHANTOM_002: .*t1/);
  const flags = ["--model", model, "--input", data, "--output", out, "--skip-bad", "--quiet"];
  const skipped = run("predict", ...flags);
  assert.is(skipped.status, 3);
  assert.match(skipped.stderr, /^skipped: case PHANTOM_002: .*t1/m);
  assert.ok(existsSync(join(out, `${IDS[0]}.nii.gz`)));
});

test.run();
