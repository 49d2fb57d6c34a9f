// Train and predict find what check finds: in the same words, with the same exit code, before
// anything is written; and grids that differ from the training's are turned, or named.

import { cpSync, existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { readModel } from "../../cli/files/models.ts";
import type { Affine } from "../../data/nifti/geometry.ts";
import { readNifti, type Vec3, writeNifti } from "../../data/nifti/nifti.ts";
import { turnBetween, turnedSize, turnedVolume } from "../../data/preparation/turn.ts";
import { orientationOf } from "../../data/nifti/orientation.ts";
import { run } from "../support/command.ts";
import { storeStage } from "../support/storedRun.ts";
import { fileIn, IDS, makeThreeCases, trainTeacher } from "../support/threeCases.ts";

const test = suite("check everywhere");
const root = mkdtempSync(join(tmpdir(), "check-everywhere-"));
const sound = join(root, "sound");
let model = "";

test.before(async () => {
  await makeThreeCases(sound);
  const modalities = ["t1", "t2", "t1ce", "flair"] as const;
  const card = { grid: { orientation: "LPS", spacing: [10, 10, 10] as Vec3 } };
  model = await storeStage(root, { name: "teacher", modalities: [...modalities], card });
});
test.after(() => rmSync(root, { recursive: true }));

/** A copy of the data, in which `change` has changed files. */
async function changed(name: string, change: (data: string) => Promise<void> | void): Promise<string> {
  const data = join(root, name);
  cpSync(sound, data, { recursive: true });
  await change(data);
  return data;
}

async function rewrite(path: string, value: (old: number, i: number) => number): Promise<void> {
  const { data, size, affine } = await readNifti(readFileSync(path), path);
  writeFileSync(path, await writeNifti({ data: data.map(value), size, affine }));
}

const faults: Record<string, (data: string) => Promise<void> | void> = {
  "one value in all voxels of a contrast": (data) =>
    rewrite(fileIn(data, IDS[0], "t2"), (old) => (old ? 7 : 0)),
  "a contrast that is a copy of another": (data) =>
    cpSync(fileIn(data, IDS[1], "t1"), fileIn(data, IDS[1], "flair")),
  "a label outside the brain": (data) => rewrite(fileIn(data, IDS[2], "seg"), (_, i) => (i < 20 ? 2 : 0)),
  "a case that is a copy of another": (data) => {
    for (const kind of ["t1", "t2", "t1ce", "flair", "seg"])
      cpSync(fileIn(data, IDS[0], kind), fileIn(data, IDS[2], kind));
  },
};
for (const [what, change] of Object.entries(faults)) {
  test(`${what} is refused by check and by train, before anything is written`, async () => {
    const data = await changed(what, change);
    const checked = run("check", "--data", data, "--patch", "8", "--quiet");
    assert.is(checked.status, 3);
    const out = join(root, `${what} out`);
    const trained = trainTeacher(data, out);
    assert.is(trained.status, 3, trained.stderr);
    assert.not(existsSync(out));
    if (what.startsWith("a case")) {
      assert.match(trained.stderr, /cases PHANTOM_001 \(train\) and PHANTOM_003 \(test\) are the same scan/);
      assert.match(checked.stdout, /PHANTOM_001.*PHANTOM_003.*: expected two different scans/);
      return;
    }
    const problem = trained.stderr.trim();
    assert.match(problem, /^case PHANTOM_00\d: /);
    assert.ok(checked.stdout.includes(`  ${problem}\n`), `${checked.stdout}\n${problem}`);
  });
}

test("two training cases with the same scan are refused by train as by check", async () => {
  const data = await changed("twins", (data) => {
    for (const kind of ["t1", "t2", "t1ce", "flair", "seg"])
      cpSync(fileIn(data, IDS[0], kind), fileIn(data, IDS[1], kind));
    const split = { train: IDS.slice(0, 2), val: [], test: [IDS[2]] };
    writeFileSync(join(data, "split.json"), JSON.stringify(split));
  });
  const trained = trainTeacher(data, join(root, "twins out"));
  assert.is(trained.status, 3);
  const checked = run("check", "--data", data, "--patch", "8", "--quiet");
  for (const line of trained.stderr.trim().split("\n").slice(1))
    assert.ok(checked.stdout.includes(line.trim()), `${checked.stdout}\n${line}`);
});

test("four copies of one scan are no case for the teacher: predict refuses it, --skip-bad skips it", async () => {
  const data = await changed("copies", (data) => {
    for (const kind of ["t2", "t1ce", "flair"])
      cpSync(fileIn(data, IDS[0], "t1"), fileIn(data, IDS[0], kind));
  });
  const checked = run("check", "--data", data, "--unlabelled", "--patch", "8", "--quiet");
  const flags = ["--model", model, "--input", data, "--output", join(root, "copies out")];
  const refused = run("predict", ...flags);
  assert.equal([checked.status, refused.status], [3, 3]);
  const [heading, ...lines] = refused.stderr.trim().split("\n");
  assert.is(heading, "3 problems in the data:");
  for (const line of lines) assert.ok(checked.stdout.includes(line), line);
  const skipped = run("predict", ...flags, "--skip-bad", "--quiet");
  assert.is(skipped.status, 3);
  assert.not(existsSync(join(root, "copies out", `${IDS[0]}.nii.gz`)));
  assert.ok(existsSync(join(root, "copies out", `${IDS[1]}.nii.gz`)));
});

test("warnings of check are said by train: with --quiet on stderr, with --json as objects", async () => {
  const data = await changed("empty labels", async (data) => {
    for (const id of IDS) await rewrite(fileIn(data, id, "seg"), () => 0);
  });
  const checked = run("check", "--data", data, "--patch", "8", "--quiet");
  assert.is(checked.status, 0);
  const train = (...flags: string[]) => trainTeacher(data, join(root, flags.join(" ")), ...flags);
  const quiet = train("--quiet");
  assert.is(quiet.status, 0);
  const warned = quiet.stderr.trim().split("\n");
  assert.ok(warned.some((line) => /^case PHANTOM_001: label .*: no voxel is labelled$/.test(line)));
  for (const line of warned) assert.ok(checked.stdout.includes(line), line);
  const objects = train("--json")
    .stdout.trim()
    .split("\n")
    .map((line) => JSON.parse(line) as Record<string, string>);
  const texts = objects.filter(({ type }) => type === "warning").map(({ text }) => text);
  assert.equal(texts, warned);
});

/** Writes every file of a case in another orientation, and with voxels of other sizes. */
async function regrid(data: string, id: string, orientation: string, scale: Vec3 = [1, 1, 1]): Promise<void> {
  for (const kind of ["t1", "t2", "t1ce", "flair", "seg"]) {
    const path = fileIn(data, id, kind);
    const { data: voxels, size, affine, spacing } = await readNifti(readFileSync(path), path);
    const turn = turnBetween(orientationOf(affine), orientation);
    const turned = turn ? turnedVolume(voxels, size, turn) : voxels;
    const sizes = (turn ? turnedSize(spacing, turn) : spacing).map((mm, axis) => mm * scale[axis]!);
    writeFileSync(
      path,
      await writeNifti({
        data: turned,
        size: turn ? turnedSize(size, turn) : size,
        affine: axesOf(orientation, sizes as unknown as Vec3),
      }),
    );
  }
}

function axesOf(orientation: string, [dz, dy, dx]: Vec3): Affine {
  const rows = [0, 1, 2].map(() => [0, 0, 0, 0]);
  [...orientation].forEach((end, axis) => {
    const world = ["RL", "AP", "SI"].findIndex((pair) => pair.includes(end));
    rows[world]![axis] = ("RAS".includes(end) ? 1 : -1) * [dx, dy, dz][axis]!;
  });
  return [...rows, [0, 0, 0, 1]];
}

test("predict turns a case to the training orientation, names it, and writes the grid of the case", async () => {
  const data = await changed("turned", async (data) => {
    await regrid(data, IDS[1], "PIR");
    await regrid(data, IDS[2], "LPS", [2, 1, 1]);
  });
  const predict = (input: string, output: string) =>
    run("predict", "--model", model, "--input", input, "--output", join(root, output));
  const straight = predict(sound, "straight");
  assert.is(straight.status, 0, straight.stderr);
  const { status, stdout } = predict(data, "turned out");
  assert.is(status, 0);
  assert.match(stdout, /case PHANTOM_002: expected the orientation LPS, in which .* got PIR: it is turned/);
  assert.match(stdout, /case PHANTOM_003: expected voxels of 10x10x10 mm, .* got 10x10x20 mm: this program/);
  assert.not.match(stdout, /case PHANTOM_001: expected/);
  const read = async (folder: string) => {
    const path = join(root, folder, `${IDS[1]}.nii.gz`);
    return readNifti(readFileSync(path), path);
  };
  const [before, after] = [await read("straight"), await read("turned out")];
  assert.is(orientationOf(after.affine), "PIR");
  const back = turnedVolume(after.data, after.size, turnBetween("PIR", "LPS")!);
  const differing = back.filter((value, i) => value !== before.data[i]).length;
  assert.ok(differing <= 2, `${differing} voxels differ`); // means are summed in the file's order
  assert.ok(before.data.some((value) => value));
});

test("train turns a mixture to the orientation of most cases, and its card says which", async () => {
  const data = await changed("mixture", async (data) => {
    const split = { train: IDS.slice(0, 2), val: [IDS[2]], test: [IDS[2]].slice(1) };
    writeFileSync(join(data, "split.json"), JSON.stringify(split));
    await regrid(data, IDS[2], "RAS");
  });
  const train = (from: string, out: string) =>
    trainTeacher(from, join(root, out), "--split", join(data, "split.json"));
  const { status, stdout, stderr } = train(data, "mixture out");
  assert.is(status, 0, stderr);
  assert.match(
    stdout,
    /cases differ in orientation: LPS in 2 .*, RAS in 1 \(PHANTOM_003\): .* turn all cases to one/,
  );
  assert.is(train(sound, "same out").status, 0);
  const best = (out: string) => readModel(join(root, out, "teacher", "checkpoint_best.safetensors"));
  const [mixed, same] = [await best("mixture out"), await best("same out")];
  assert.equal(mixed.card!.grid, { orientation: "LPS", spacing: [10, 10, 10] });
  assert.equal(mixed.card, same.card);
  const dice = (out: string) =>
    (JSON.parse(readFileSync(join(root, out, "teacher", "metrics.jsonl"), "utf8")) as { validation: unknown })
      .validation;
  assert.equal(dice("mixture out"), dice("same out"), "the validation case is the same, turned");
});

test.run();
