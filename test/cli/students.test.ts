// Students that teach another one of the same run: --stage all trains them first and once; a student whose
// teachers are missing tells how to train each.

import { mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { makePhantom } from "../../cli/files/phantomFolder.ts";
import { FILES } from "../../cli/files/stageFolder.ts";
import { EXPERIMENT } from "../../cli/report/experimentReport.ts";
import { resolveExperiment, runExperiment, stagesOf } from "../../cli/stages/experiment.ts";
import { resolveConfig } from "../../cli/stages/trainFlags.ts";
import { stageName } from "../../trainer/settings/config.ts";
import { withTeacherNames } from "../../trainer/settings/teachers.ts";
import { device } from "../support/gradcheck.ts";
import { failure, silenced } from "../support/quietly.ts";
import { tensorText, TINY, trainStageOf } from "../support/tinyStages.ts";

const test = suite("students that teach");
const folder = mkdtempSync(join(tmpdir(), "students-"));
const data = join(folder, "data");
const out = join(folder, "run");
const tiny = { ...TINY, data, out, teachers: "t1,t1ce" };

test.before(async () => {
  await makePhantom({ out: data, cases: 3, size: 24, seed: 5 });
  const [train, val, held] = [1, 2, 3].map((n) => [`PHANTOM_00${n}`]);
  writeFileSync(join(data, "split.json"), JSON.stringify({ train, val, test: held }));
});
test.after(() => rmSync(folder, { recursive: true }));

test("missing teachers are named with the commands that train them, before any case is read", async () => {
  const error = await failure(() => trainStageOf({ ...tiny, stage: "student", method: "amtml", lr: 0.01 }));
  const [head, ...lines] = error.message.replaceAll(folder, "").split("\n");
  assert.is(error.name, "UsageError");
  assert.match(head!, /^--teachers: AMTML-KD learns from other students of this run, and 2 of its teachers/);
  const command = (modality: string) =>
    `    node cli/train.js --stage student --method none --modality ${modality} --data /data --out /run --filters 2 ` +
    "--levels 2 --epochs 2 --batch 1 --patch 16,16,16 --lr 0.01 --workers 0";
  const folders = lines.filter((line) => /^ {2}\S/.test(line));
  assert.equal(
    folders,
    ["t1", "t1ce"].map((one) => `  /run/student_${one}: is missing; to train it:`),
  );
  const commands = lines.filter((line) => line.includes("node"));
  for (const [i, one] of ["t1", "t1ce"].entries()) {
    assert.equal(commands[i]!.trim().split(" --").sort(), command(one).trim().split(" --").sort());
  }
});

test("wrong lists of teachers are mistakes of usage", async () => {
  const of = (flags: object) =>
    failure(() => resolveConfig({ ...TINY, data, stage: "student", method: "amtml", ...flags }));
  assert.match((await of({ teachers: "t1,t1" })).message, /^--teachers t1,t1: names t1 twice$/);
  assert.match((await of({ teachers: "t1,t9" })).message, /^--teachers: expected contrasts .*, got t9$/);
  assert.match((await of({ epochs: 1 })).message, /^--epochs 1: too few for the method's phases/);
  assert.match(
    (await of({ teacher: "a.safetensors" })).message,
    /^--teacher: the method amtml uses no teacher unless --teachers names it/,
  );
});

test("the stages of an experiment: teaching students first, whatever the students and methods", async () => {
  const planned = async (flags: object) => {
    const { methods, ...rest } = await resolveExperiment({ ...TINY, data, out, ...flags });
    const named = methods.map((config) => withTeacherNames(config, ["t1", "t2", "t1ce", "flair"]));
    return stagesOf({ ...rest, methods: named }).map(stageName);
  };
  const singles = ["t1", "t2", "t1ce", "flair"].map((one) => `student_${one}`);
  assert.equal(await planned({ method: "amtml", modality: "t1ce" }), [...singles, "student_t1ce_amtml"]);
  assert.equal(await planned({ methods: "none,amtml,kd", modality: "t1ce" }), [
    "teacher",
    ...singles,
    "student_t1ce_amtml",
    "student_t1ce_kd",
  ]);
  const joined = { methods: "amtml", teachers: "flair+t1ce,teacher", modality: "t1" };
  assert.equal(await planned(joined), ["teacher", "student_t1ce+flair", "student_t1_amtml"]);
});

test("--stage all trains the teaching students once, and compares; each ends as if trained alone", async () => {
  const flags = { ...tiny, methods: "none,amtml", modality: "t1ce" };
  const all = async () => {
    const experiment = await resolveExperiment(flags);
    return silenced(() => runExperiment(() => Promise.resolve(device), experiment, {}));
  };
  await all();
  const stages = ["student_t1", "student_t1ce", "student_t1ce_amtml"];
  const { rows } = JSON.parse(readFileSync(join(out, EXPERIMENT.json), "utf8")) as {
    rows: { method: string; modality: string }[];
  };
  assert.equal(
    rows.map(({ method, modality }) => `${modality} ${method}`),
    ["t1 none", "t1ce none", "t1ce amtml"],
  );
  const times = stages.map((stage) => statSync(join(out, stage, FILES.latest)).mtimeMs);
  const again = (await all()).join("\n");
  assert.is(again.match(/finished before/g)?.length, 3);
  assert.equal(
    stages.map((stage) => statSync(join(out, stage, FILES.latest)).mtimeMs),
    times,
  );
  const [before] = [tensorText(join(out, "student_t1ce_amtml", FILES.best))];
  rmSync(join(out, "student_t1ce_amtml"), { recursive: true });
  await trainStageOf({ ...tiny, stage: "student", method: "amtml" });
  assert.is(tensorText(join(out, "student_t1ce_amtml", FILES.best)), before);

  const read = (name: string) => readFileSync(join(out, "student_t1ce_amtml", name), "utf8");
  const [first] = read(FILES.metrics).split("\n");
  const { observed } = JSON.parse(first!) as { observed: Record<string, number> };
  assert.equal(Object.keys(observed), ["teacherWeight/t1", "teacherWeight/t1ce"]);
  assert.match(read(FILES.report), /Teacher weight \(mean of an epoch, not a loss\)/);
  assert.match(read(FILES.csv), /observed\.teacherWeight\/t1ce/);
  assert.match(
    read(FILES.card),
    /from labels and the networks of student_t1, student_t1ce \(method: amtml; Liu et al\./,
  );
  const inputs = JSON.parse(read(FILES.inputs)) as { networks: Record<string, string> };
  assert.equal(Object.keys(inputs.networks), ["student_t1", "student_t1ce"]);
});

test.run();
