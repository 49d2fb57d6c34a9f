// Files that the version before wrote (test/fixtures/oldfiles): its networks are still read, by everything
// that takes one; its unfinished training is refused and stays as it was.

import { spawnSync } from "node:child_process";
import { cpSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { exportModel } from "../../cli/export.ts";
import { makePhantom } from "../../cli/files/phantomFolder.ts";
import { FILES } from "../../cli/files/stageFolder.ts";
import { predictFolder } from "../../cli/predict.ts";
import { readNifti } from "../../data/nifti/nifti.ts";
import { decodeSafetensors, type StoredTensor } from "../../model/files/safetensors.ts";
import { device } from "../support/gradcheck.ts";
import { silenced, trainQuietly } from "../support/quietly.ts";

const path = (relative: string) => fileURLToPath(new URL(relative, import.meta.url));
const folder = mkdtempSync(join(tmpdir(), "old-files-"));
const at = (...names: string[]) => join(folder, ...names);
const teacher = at("teacher", FILES.best);
const student = at("student_t1ce_protokd", FILES.best);

const test = suite("old files");

test.before(async () => {
  cpSync(path("../fixtures/oldfiles"), folder, { recursive: true });
  await makePhantom({ out: at("data"), cases: 4, size: 16, seed: 5 });
});
test.after(() => rmSync(folder, { recursive: true }));

for (const [name, model] of Object.entries({ teacher, student })) {
  test(`predict segments with the old ${name}`, async () => {
    const output = at("predicted", name);
    await silenced(() => predictFolder(() => Promise.resolve(device), { model, input: at("data"), output }));
    const files = readdirSync(output).filter((file) => file.endsWith(".nii.gz"));
    assert.is(files.length, 4);
    for (const file of files)
      assert.equal((await readNifti(readFileSync(join(output, file)), file)).size, [16, 16, 16]);
  });

  test(`export writes the tensors of the old ${name}`, async () => {
    const output = at(`${name}.safetensors`);
    await silenced(() => exportModel({ model, output }));
    assert.equal(tensors(output), tensors(model));
  });
}

test("a student is trained from an old student's weights, with an old teacher", async () => {
  await trainQuietly({
    stage: "student",
    data: at("data"),
    split: at("split.json"),
    out: at("new_run"),
    teacher,
    init: student,
    patch: "16",
    levels: 2,
    filters: 2,
    batch: 1,
    epochs: 1,
    lr: 0,
    workers: 0,
  });
  const trained = tensors(at("new_run", "student_t1ce_protokd", FILES.best));
  assert.equal(trained, tensors(student), "a learning rate of 0 leaves the first weights");
});

test("--resume refuses an old training state, and changes nothing in its folder", () => {
  const stage = at("unfinished_run", "teacher");
  const before = filesOf(stage);
  assert.ok(before.has(FILES.previous));
  const { status, output } = train("--config", join(stage, FILES.config), "--resume");
  assert.is(status, 3, output);
  assert.match(output, /teacher\/checkpoint_latest\.safetensors: a training state of an older version/);
  assert.is(output.match(/older version/g)?.length, 1, "says it once");
  assert.equal(filesOf(stage), before);
});

test("--resume-from refuses it too, and begins no folder", () => {
  const file = at("unfinished_run", "teacher", FILES.latest);
  const { status, output } = train("--resume-from", file, "--data", "data", "--out", "elsewhere");
  assert.is(status, 3, output);
  assert.match(output, /checkpoint_latest\.safetensors: a training state of an older version/);
  assert.not(readdirSync(folder).includes("elsewhere"));
});

test.run();

/** Runs train.js in the test's folder, for the paths in the old config.json are relative. */
function train(...flags: string[]): { status: number | null; output: string } {
  const script = path("../../cli/train.js");
  const { status, stdout, stderr } = spawnSync(process.execPath, [script, ...flags], {
    encoding: "utf8",
    cwd: folder,
  });
  return { status, output: stdout + stderr };
}

function tensors(file: string): Record<string, StoredTensor> {
  return { ...decodeSafetensors(readFileSync(file), file).tensors };
}

/** The files of a folder and of those in it: their bytes, and when they were written. */
function filesOf(root: string): Map<string, [bytes: string, written: number]> {
  const names = readdirSync(root, { recursive: true, encoding: "utf8" }).sort();
  return new Map(
    names.flatMap((name) => {
      const file = join(root, name);
      const { mtimeMs } = statSync(file);
      return statSync(file).isFile() ? [[name, [readFileSync(file, "base64"), mtimeMs]]] : [];
    }),
  );
}
