// --unlabelled: scans without labels beside the labelled cases, and what is refused or warned of.

import { cpSync, mkdirSync, mkdtempSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { makePhantom } from "../../cli/files/phantomFolder.ts";
import { FILES } from "../../cli/files/stageFolder.ts";
import { resolveConfig, type TrainFlags } from "../../cli/stages/trainFlags.ts";
import { parseManifest } from "../../data/datasets/manifest.ts";
import type { EpochRecord } from "../../trainer/loop/records.ts";
import { portable } from "../../trainer/settings/config.ts";
import { settingsIn } from "../../web/train/pageSettings.ts";
import { run as command } from "../support/command.ts";
import { failure, silenced } from "../support/quietly.ts";
import { tensorText, TINY, trainStageOf } from "../support/tinyStages.ts";

const folder = mkdtempSync(join(tmpdir(), "unlabelled-"));
const [data, scans, out] = [join(folder, "data"), join(folder, "scans"), join(folder, "run")];
const test = suite("unlabelled");
const id = (n: number) => `PHANTOM_00${n}`;

test.before(async () => {
  await silenced(() => makePhantom({ out: data, cases: 8, size: 20, seed: 5 }));
  mkdirSync(scans);
  for (const n of [5, 6, 7]) move(n, scans);
  cpSync(join(data, id(8)), join(folder, "spare", id(8)), { recursive: true });
  rmSync(join(data, id(8)), { recursive: true });
  const split = { train: [id(1), id(2)], val: [id(3)], test: [id(4)] };
  writeFileSync(join(data, "split.json"), JSON.stringify(split));
  await trainStageOf({ ...SMALL, stage: "teacher", out });
});
test.after(() => rmSync(folder, { recursive: true }));

/** Moves a case to the scans without labels. */
function move(n: number, to: string): void {
  cpSync(join(data, id(n)), join(to, id(n)), { recursive: true });
  rmSync(join(to, id(n), `${id(n)}_seg.nii.gz`));
  rmSync(join(data, id(n)), { recursive: true });
}

const SMALL = { ...TINY, batch: 2, data } satisfies Partial<TrainFlags>;
const TEACHER = join(out, "teacher", FILES.best);
const KD = { ...SMALL, stage: "student", modality: "t1ce", method: "kd", teacher: TEACHER } as const;
const GIVEN = { ...KD, unlabelled: scans } satisfies TrainFlags;
const at = (run: string) => ({ out: join(folder, run) });
const file = (run: string, name: string, method = "kd") => join(folder, run, `student_t1ce_${method}`, name);

test("a student learns from scans without labels, which its records name", async () => {
  const said = await trainStageOf({ ...GIVEN, ...at("first") });
  assert.match(said, /\n {2}2 cases to train, 1 to validate, 1 to test\n/);
  assert.match(said, /\n {2}a batch of each: paired of 2, unlabelled of 3 cases\n/);
  assert.match(said, /epoch 2\/2: loss .* \(crossEntropy .*, dice .*, kd .*, unlabelled\/kd /);
  const lines = readFileSync(file("first", FILES.metrics), "utf8").trim().split("\n");
  const records = lines.map((line) => JSON.parse(line) as EpochRecord);
  assert.ok(records.every(({ losses }) => losses["unlabelled/kd"]! > 0));
  assert.ok(
    Object.keys(records[0]!.gradients ?? {}).length === 0 ||
      "unlabelled/kd" in records[0]!.gradients!["logits"]!,
  );
  const manifest = parseManifest(readFileSync(file("first", FILES.manifest), "utf8"), FILES.manifest);
  const named = manifest.flatMap((one) => (one.unlabelled ? one.id : []));
  assert.equal(named, [5, 6, 7].map(id));
  assert.ok(manifest.every(({ unlabelled, label }) => (label === undefined) === (unlabelled === true)));
  for (const name of [FILES.csv, FILES.progressSvg, FILES.report])
    assert.match(readFileSync(file("first", name), "utf8"), /unlabelled\/kd/, name);
  assert.match(await trainStageOf({ ...GIVEN, ...at("first") }), /already trained with these settings/);
});

test("pseudo-labels and prototypes of the teacher's prediction train, too", async () => {
  const { stdout } = { stdout: await trainStageOf({ ...GIVEN, method: "pseudo", ...at("first") }) };
  assert.match(stdout, /unlabelled\/crossEntropy .*, unlabelled\/dice /);
  assert.match(await trainStageOf({ ...GIVEN, method: "protokd", ...at("first") }), /unlabelled\/prototype /);
});

test("with weight 0 the network is that of a run without them, and the folder is not read", async () => {
  await trainStageOf({ ...KD, ...at("without") });
  await trainStageOf({
    ...GIVEN,
    unlabelledWeight: 0,
    unlabelled: join(folder, "nowhere"),
    ...at("weight-0"),
  });
  assert.equal(tensorText(file("weight-0", FILES.latest)), tensorText(file("without", FILES.latest)));
  assert.not.equal(tensorText(file("first", FILES.latest)), tensorText(file("without", FILES.latest)));
});

test("a run that its time ends is resumed to the same bits, and not with other scans", async () => {
  await trainStageOf({ ...GIVEN, maxTime: "0.001s", ...at("again") });
  const refused = async (flags: TrainFlags) => (await failure(() => trainStageOf(flags, "resume"))).message;
  const others = join(folder, "others");
  cpSync(scans, others, { recursive: true });
  assert.match(
    await refused({ ...GIVEN, unlabelled: others, ...at("again") }),
    /differs in unlabelled \(.* → /,
  );
  assert.match(await refused({ ...KD, ...at("again") }), /differs in unlabelled \(.* → null\)/);
  cpSync(join(folder, "spare", id(8)), join(scans, id(8)), { recursive: true });
  renameSync(join(scans, id(7)), join(folder, "spare", id(7)));
  assert.match(
    await refused({ ...GIVEN, ...at("again") }),
    /began with other scans in .*: expected PHANTOM_005, PHANTOM_006, PHANTOM_007, got PHANTOM_005, PHANTOM_006, PHANTOM_008/,
  );
  rmSync(join(scans, id(8)), { recursive: true });
  renameSync(join(folder, "spare", id(7)), join(scans, id(7)));
  await trainStageOf({ ...GIVEN, ...at("again") }, "resume");
  assert.equal(tensorText(file("again", FILES.latest)), tensorText(file("first", FILES.latest)));
});

test("with threads that load the data the bits are the same", async () => {
  await trainStageOf({ ...GIVEN, workers: 2, cache: 0, ...at("threads") });
  assert.equal(tensorText(file("threads", FILES.latest)), tensorText(file("first", FILES.latest)));
});

test("scans that lack a contrast, no folder, and a method without a teacher are refused by name", async () => {
  const lacking = join(folder, "lacking");
  cpSync(scans, lacking, { recursive: true });
  rmSync(join(lacking, id(6), `${id(6)}_flair.nii.gz`));
  const refused = async (flags: TrainFlags) =>
    (await failure(() => trainStageOf({ ...at("refused"), ...flags }))).message.replaceAll(folder, "");
  assert.is(
    await refused({ ...GIVEN, unlabelled: lacking }),
    "--unlabelled /lacking: expected scans with t1, t2, t1ce and flair, which the student and its teacher see: " +
      "1 lacks flair (PHANTOM_006): remove these from the folder",
  );
  assert.match(
    await refused({ ...GIVEN, unlabelled: join(folder, "nowhere") }),
    /^--unlabelled: \/nowhere: expected a folder, got /,
  );
  const { unlabelled: _, ...without } = GIVEN;
  assert.is(
    await refused({ ...without, method: "pseudo" }),
    "--method pseudo: pseudo-labels need scans without labels: give their folder with --unlabelled",
  );
  const { teacher: __, ...untaught } = GIVEN;
  assert.match(
    await refused({ ...untaught, method: "none" }),
    /^--unlabelled: the method none does not use it$/,
  );
});

test("scans that the stage is validated or tested on are warned of", () => {
  const leaking = join(folder, "leaking");
  cpSync(scans, leaking, { recursive: true });
  cpSync(join(data, id(4)), join(leaking, "renamed"), { recursive: true });
  for (const contrast of ["t1", "t2", "t1ce", "flair", "seg"])
    cpSync(
      join(leaking, "renamed", `${id(4)}_${contrast}.nii.gz`),
      join(leaking, "renamed", `renamed_${contrast}.nii.gz`),
    );
  for (const contrast of ["t1", "t2", "t1ce", "flair", "seg"])
    rmSync(join(leaking, "renamed", `${id(4)}_${contrast}.nii.gz`));
  const flags = ["--stage", "student", "--method", "kd", "--modality", "t1ce", "--teacher", TEACHER];
  const size = ["--filters", "2", "--levels", "2", "--patch", "16", "--batch", "2", "--epochs", "1"];
  const places = ["--data", data, "--unlabelled", leaking, "--out", join(folder, "leak")];
  const { status, stdout, stderr } = command("train", ...flags, ...size, ...places, "--workers", "0");
  assert.is(status, 0, stderr);
  assert.match(
    stdout,
    /--unlabelled .*: 1 of 4 scans are cases that this stage is .* \(renamed\): its scores/,
  );
});

test("a training state keeps the folder's name alone, and the page refuses such a state", async () => {
  const config = await resolveConfig(GIVEN);
  const kept = portable(config);
  assert.is(kept.unlabelled, "scans");
  assert.throws(
    () => settingsIn({ config: JSON.stringify(kept) }, "x"),
    /^x: was trained with the scans without labels "scans", .* The command line can resume it/,
  );
  const { message } = await failure(() => resolveConfig({ resumeFrom: file("first", FILES.latest), data }));
  assert.match(
    message,
    /was trained with the scans without labels "scans", .* give its path with --unlabelled$/,
  );
});

test.run();
