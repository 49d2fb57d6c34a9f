// Folders of data on a disk: links, files and folders that may not be read, ~ in place of the home folder.

import { spawnSync } from "node:child_process";
import { chmodSync, mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { homedir, tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { folderSource } from "../../cli/files/folderSource.ts";
import { openDataset } from "../../data/datasets/datasets.ts";
import { run } from "../support/command.ts";
import { problemsOf, volumeFile } from "../support/fixtures.ts";

const test = suite<{ root: string; data: string }>("folders");

test.before.each((context) => {
  context.root = mkdtempSync(join(tmpdir(), "folders-"));
  context.data = join(context.root, "data");
  mkdirSync(context.data);
});
test.after.each(({ root }) => rmSync(root, { recursive: true }));

const image = await volumeFile([4, 4, 4], (z, y, x) => z + y + x);
const SUFFIXES = ["t1", "t2", "t1ce", "flair"] as const;

function writeCase(folder: string, id: string): void {
  mkdirSync(join(folder, id), { recursive: true });
  for (const suffix of SUFFIXES) writeFileSync(join(folder, id, `${id}_${suffix}.nii.gz`), image);
}

test("links to folders and files are followed, out of the folder too; circles end", async ({
  root,
  data,
}) => {
  writeCase(join(root, "store"), "A");
  writeCase(join(root, "store"), "B");
  symlinkSync(join(root, "store/A"), join(data, "A"));
  mkdirSync(join(data, "B"));
  for (const suffix of SUFFIXES)
    symlinkSync(join(root, `store/B/B_${suffix}.nii.gz`), join(data, `B/B_${suffix}.nii.gz`));
  symlinkSync(data, join(data, "B/again"));
  symlinkSync(join(root, "store/A"), join(data, "same"));
  symlinkSync(root, join(data, "around"));
  symlinkSync("loop", join(data, "loop"));
  const source = await folderSource(data);
  const { cases, warnings } = await openDataset(source);
  assert.equal(
    cases.map(({ id, images }) => [id, Object.keys(images).length]),
    [
      ["A", 4],
      ["B", 4],
    ],
  );
  assert.equal(warnings.sort(), [
    "B/again: is a link to ., which is read already",
    "around: is a link to a folder around this one",
    "loop: is a link that cannot be followed (ELOOP: links that lead in a circle)",
    "same: is a link to A, which is read already",
  ]);
  assert.equal(await source.read("A/A_t1.nii.gz"), Buffer.from(image));
});

test("a link to nothing is a warning, or the problem of the case that needs it", async ({ data }) => {
  writeCase(data, "A");
  symlinkSync("gone", join(data, "notes"));
  symlinkSync("gone.nii.gz", join(data, "A/A_seg.nii.gz"));
  mkdirSync(join(data, "B"));
  symlinkSync("../.git/annex/objects/x/y/MD5-z.nii.gz", join(data, "B/B_t1.nii.gz"));
  writeFileSync(join(data, "B/B_t2.nii.gz"), "/annex/objects/MD5-z.nii.gz\n");
  const source = await folderSource(data);
  assert.equal((await openDataset(source)).warnings, ["notes: is a link to nothing"]);
  assert.equal(await problemsOf(() => source.read("A/A_seg.nii.gz")), [
    "A/A_seg.nii.gz: is a link to nothing",
  ]);
  for (const file of ["B/B_t1.nii.gz", "B/B_t2.nii.gz"])
    assert.match(
      (await problemsOf(() => source.read(file)))[0]!,
      /: its content is not here: get it \(datalad/,
    );
});

test("what may not be read is a warning, or its case's problem", ({ root, data }) => {
  writeCase(data, "A");
  writeCase(data, "B");
  mkdirSync(join(data, "lost+found"));
  mkdirSync(join(data, ".Trash-0"));
  for (const hidden of ["lost+found", ".Trash-0"]) chmodSync(join(data, hidden), 0o000);
  chmodSync(join(data, "B/B_t2.nii.gz"), 0o000);
  const script = fileURLToPath(new URL("../../cli/check.js", import.meta.url));
  const command = [process.execPath, script, "--data", data, "--unlabelled", "--quiet", "--patch", "4"];
  const everything = process.getuid?.() === 0; // who may read everything
  const user = ["setpriv", "--reuid", "12345", "--regid", "12345", "--clear-groups", ...command];
  chmodSync(root, 0o755);
  const [program, ...flags] = everything ? user : command;
  const { status, stdout } = spawnSync(program!, flags, { encoding: "utf8" });
  for (const hidden of ["lost+found", ".Trash-0"]) chmodSync(join(data, hidden), 0o755);
  if (status === null) return console.log("SKIPPED: folders: what may not be read: no setpriv");
  assert.not.match(stdout, /Trash/);
  assert.is(status, 3);
  assert.match(stdout, /\n {2}lost\+found: cannot be read \(EACCES: you may not read it/);
  assert.match(stdout, /\n {2}case B: B\/B_t2\.nii\.gz: expected a file that can be read, got EACCES/);
});

test("a file that is a folder, and one that is gone, are errors that name them", async ({ data }) => {
  mkdirSync(join(data, "A_t1.nii.gz"));
  const source = await folderSource(data);
  assert.match((await problemsOf(() => source.read("A_t1.nii.gz")))[0]!, /^A_t1\.nii\.gz: .* got EISDIR/);
  assert.match(
    (await problemsOf(() => source.read("gone.nii")))[0]!,
    /^gone\.nii: .* can be read, got nothing/,
  );
  assert.is(await source.readAbove!("dataset.json"), null);
  writeFileSync(join(data, "../dataset.json"), "{}");
  assert.equal(await source.readAbove!("dataset.json"), Buffer.from("{}"));
});

test("a path may begin with ~, in quotes and after =", () => {
  const gone = `~/none-${process.pid}`;
  for (const flags of [["--data", gone], [`--data=${gone}`]]) {
    const { status, stderr, stdout } = run("check", ...flags);
    assert.is(status, 3);
    assert.ok(
      (stderr + stdout).includes(`${homedir()}/none-${process.pid}: expected a folder`),
      stdout + stderr,
    );
  }
});

test.run();
