// --modality any from the command line: trained, resumed, taught by others and by itself, scored for every
// subset, and refused where it does not fit.

import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { makePhantom } from "../../cli/files/phantomFolder.ts";
import { readModel } from "../../cli/files/models.ts";
import { FILES, readConfig } from "../../cli/files/stageFolder.ts";
import { readSubsetScores } from "../../cli/prediction/subsetScores.ts";
import { resolveExperiment, runExperiment } from "../../cli/stages/experiment.ts";
import { ofOneStage, resolveConfig, type TrainFlags } from "../../cli/stages/trainFlags.ts";
import { ALL_SUBSETS } from "../../data/datasets/subsets.ts";
import { device } from "../support/gradcheck.ts";
import { writeSplitOfFour } from "../support/heldOut.ts";
import { failure, silenced } from "../support/quietly.ts";
import { tensorText, TINY, trainStageOf } from "../support/tinyStages.ts";

const folder = mkdtempSync(join(tmpdir(), "any-stages-"));
const [data, out] = [join(folder, "data"), join(folder, "run")];
const open = () => Promise.resolve(device);
const test = suite("any stages");

test.before(async () => {
  await silenced(() => makePhantom({ out: data, cases: 4, size: 20, seed: 5 }));
  writeSplitOfFour(join(data, "split.json"), 4);
});
test.after(() => rmSync(folder, { recursive: true }));

const FLAGS = { ...TINY, data, out } as const satisfies TrainFlags;
const ANY = { stage: "student", modality: "any" } as const;
const SELF = { ...ANY, method: "kd", teacher: "self" } as const;

const trainWith = (more: TrainFlags, unfinished?: "resume") =>
  trainStageOf({ ...FLAGS, ...more }, unfinished);
const refused = async (more: TrainFlags) => (await failure(() => trainWith(more))).message;

test("one network for all subsets is trained alone, and its file says what it takes", async () => {
  const said = await trainWith({ ...ANY, method: "none" });
  assert.match(said, /^student \(any of t1, t2, t1ce, flair\) alone -> .*student_any$/m);
  assert.not.match(said, /teacher/);
  const { card, network } = await readModel(join(out, "student_any", FILES.best));
  assert.equal([card!.modalities, card!.any, network.modalities], [["t1", "t2", "t1ce", "flair"], true, 8]);
});

test("its validated score of each of the 15 subsets is kept for predict.js", async () => {
  const scores = (await readSubsetScores(join(out, "student_any", FILES.best)))!;
  assert.equal(Object.keys(scores.subsets), ALL_SUBSETS);
  assert.equal(scores.cases, ["PHANTOM_003"]);
  const validated = ["t1", "t2", "t1ce", "flair", "t1+t2+t1ce+flair"].map(
    (name) => scores.subsets[name]!.mean!,
  );
  const text = readFileSync(join(out, "student_any", FILES.metrics), "utf8")
    .trim()
    .split("\n");
  const { epoch } = (await readModel(join(out, "student_any", FILES.best))).card!;
  const { validation } = JSON.parse(text[epoch - 1]!) as { validation: { mean: number } };
  const mean = validated.reduce((sum, one) => sum + one / validated.length, 0);
  assert.ok(
    Math.abs(validation.mean - mean) < 1e-12,
    "an epoch's score is the mean of each contrast alone and of all",
  );
});

test("taught by itself it has a folder of its own, and resumes to the same bits", async () => {
  const said = await trainWith(SELF);
  assert.match(said, /^student \(any of .*\) with pixel KD, taught by itself -> .*student_any_kd_self$/m);
  const config = (await readConfig(join(out, "student_any_kd_self")))!;
  assert.equal([config.teacher, config.selfTaught], [null, true]);
  const stopped = join(folder, "stopped");
  await trainWith({ ...SELF, out: stopped, maxTime: "0.01s" });
  assert.match(await trainWith({ ...SELF, out: stopped }, "resume"), /resuming after \d+ step/);
  for (const file of [FILES.latest, FILES.best])
    assert.is(
      tensorText(join(stopped, "student_any_kd_self", file)),
      tensorText(join(out, "student_any_kd_self", file)),
    );
  const again = await resolveConfig({ config: join(out, "student_any_kd_self", FILES.config) });
  assert.equal(again, { ...config, tuning: again.tuning }, "config.json describes the same run");
});

test("a teacher of all contrasts is trained for it where none is there", async () => {
  const said = await trainWith({ ...ANY, dropWeights: "t1=0.8", out: join(folder, "taught") });
  assert.match(said, /^teacher \(t1, t2, t1ce, flair\) -> /m);
  assert.match(said, /^student \(any of t1, t2, t1ce, flair\) with ProtoKD -> .*student_any_protokd$/m);
  assert.match(
    readFileSync(join(folder, "taught", "student_any_protokd", FILES.metrics), "utf8"),
    /"prototype":/,
  );
  assert.match(await refused({ ...ANY, dropWeights: "t1=0.7", out: join(folder, "taught") }), /dropWeights/);
});

test("on data of two contrasts it takes any of those; on data of one it is refused", async () => {
  const at = join(folder, "two");
  const write = (id: string, images: readonly string[]) => {
    mkdirSync(join(at, id), { recursive: true });
    for (const one of [...images, "seg"])
      writeFileSync(join(at, id, `${id}_${one}.nii.gz`), readFileSync(join(data, id, `${id}_${one}.nii.gz`)));
  };
  const ids = ["PHANTOM_001", "PHANTOM_002", "PHANTOM_003", "PHANTOM_004"];
  for (const id of ids) write(id, ["flair"]);
  const flags = { ...ANY, method: "none", data: at, out: join(folder, "two-run") };
  assert.is(
    await refused(flags),
    "--modality any: expected cases of two contrasts or more, got flair alone: train a student with --modality flair",
  );
  for (const id of ids) write(id, ["t1ce"]);
  const said = await trainWith(flags);
  assert.match(said, /--modality any: takes any of t1ce, flair: no case to train on has t1 or t2/);
  const { card, network } = await readModel(join(folder, "two-run", "student_any-t1ce+flair", FILES.best));
  assert.equal([card!.modalities, network.modalities], [["t1ce", "flair"], 4]);
});

test("settings that do not fit are refused before anything is loaded", async () => {
  const nowhere = { data: join(folder, "nowhere"), out: join(folder, "none") };
  const cases: [TrainFlags, RegExp][] = [
    [
      { ...ANY, modality: "any:t1" },
      /^--modality: expected two contrasts or more to take any of, got t1 alone: use --modality t1$/,
    ],
    [{ ...ANY, modality: "any:t1+t1" }, /^--modality: expected .* got t1 twice in t1\+t1$/],
    [{ ...ANY, modality: "t1+any" }, /^--modality: expected contrasts joined by \+ .* got any in t1\+any$/],
    [
      { ...ANY, modality: "t1", method: "none", dropWeights: "t1=0.5" },
      /^--drop-weights: goes with --modality any, and the student sees t1$/,
    ],
    [{ stage: "teacher", dropWeights: "t1=0.5" }, /^--drop-weights: .* a teacher sees all its contrasts$/],
    [{ ...ANY, method: "none", dropWeights: "t1=1" }, /^--drop-weights: expected .* below 1, .* got t1=1$/],
    [{ ...ANY, method: "none", dropWeights: "t3=0.5" }, /^--drop-weights: .* got t3=0.5$/],
    [{ ...ANY, method: "none", dropWeights: "t1=0.5,T1=0.4" }, /^--drop-weights: .* got t1 twice$/],
    [
      { ...SELF, modality: "t1ce" },
      /^--teacher self: goes with --modality any, .* the student sees t1ce: give a teacher/,
    ],
    [{ ...SELF, method: "none" }, /^--teacher: the method none uses no teacher$/],
    [
      { ...SELF, teacherModality: "t1+t2+t1ce+flair" },
      /^--teacher-modality: --teacher self sees what the network sees/,
    ],
  ];
  for (const [flags, wanted] of cases) assert.match(await refused({ ...nowhere, ...flags }), wanted);
  assert.throws(() => ofOneStage({ ...ANY, modality: "any,t1" }), /several students go with --stage all/);
});

test("--stage all ends with the table of fifteen, each row by the network that predict.js would choose", async () => {
  const at = join(folder, "all");
  const flags = { ...FLAGS, stage: "all", epochs: 1, modality: "any,t1ce", method: "none", out: at } as const;
  const said = (await silenced(async () => runExperiment(open, await resolveExperiment(flags), {}))).join(
    "\n",
  );
  assert.match(said, /stage 1 of 2: student \(t1ce\) alone/);
  assert.match(said, /stage 2 of 2: student \(any of t1, t2, t1ce, flair\) alone/);
  assert.match(said, /the table of fifteen/);
  const { rows } = JSON.parse(readFileSync(join(at, "subsets", "subsets.json"), "utf8")) as {
    rows: { subset: string[]; network: string }[];
  };
  assert.is(rows.length, 15);
  const by = (name: string) => rows.filter(({ network }) => network === name).length;
  assert.is(by("student_any") + by("student_t1ce"), 15);
  assert.ok(by("student_any") >= 14);
  await silenced(async () => {
    const single = { ...flags, modality: "t1", out: join(folder, "single") };
    await runExperiment(open, await resolveExperiment(single), {});
  });
  assert.not.ok(existsSync(join(folder, "single", "subsets")), "single contrasts have the report's table");
});

test("--stage all refuses --teacher self beside students of fixed contrasts", async () => {
  const flags = { ...FLAGS, stage: "all", modality: "t1,any", method: "kd", teacher: "self" } as const;
  assert.match(
    (await failure(() => resolveExperiment(flags))).message,
    /^--teacher self: .* the student sees t1:/,
  );
  const { methods, modalities } = await resolveExperiment({ ...flags, modality: "any", baselines: true });
  assert.equal(modalities, ["any"]);
  assert.equal(
    methods.map(({ method, selfTaught }) => [method, selfTaught]),
    [
      ["none", false],
      ["kd", true],
    ],
  );
});

test.run();
