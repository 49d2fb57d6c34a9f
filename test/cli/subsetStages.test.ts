// Students of several contrasts and teachers of fewer than four: trained, resumed, chosen by the files that a
// case has, exported, and refused where contrasts do not fit.

import { cpSync, existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { exportModel } from "../../cli/export.ts";
import { makePhantom } from "../../cli/files/phantomFolder.ts";
import { readModel } from "../../cli/files/models.ts";
import { FILES, readConfig } from "../../cli/files/stageFolder.ts";
import { predictFolder } from "../../cli/predict.ts";
import { EXPERIMENT } from "../../cli/report/experimentReport.ts";
import { resolveExperiment, runExperiment } from "../../cli/stages/experiment.ts";
import { withContrasts } from "../../cli/stages/teacherSees.ts";
import { type CommandFlags, resolveConfig, type TrainFlags } from "../../cli/stages/trainFlags.ts";
import { MODALITIES, type Modality } from "../../data/datasets/datasets.ts";
import { device } from "../support/gradcheck.ts";
import { writeSplitOfFour } from "../support/heldOut.ts";
import { failure, silenced } from "../support/quietly.ts";
import { tensorText, TINY, trainStageOf } from "../support/tinyStages.ts";

const folder = mkdtempSync(join(tmpdir(), "subset-stages-"));
const [data, out] = [join(folder, "data"), join(folder, "run")];
const open = () => Promise.resolve(device);
const test = suite("subset stages");

test.before(async () => {
  await silenced(() => makePhantom({ out: data, cases: 4, size: 20, seed: 5 }));
  writeSplitOfFour(join(data, "split.json"), 4);
});
test.after(() => rmSync(folder, { recursive: true }));

const FLAGS = { ...TINY, data, out } as const satisfies TrainFlags;
const PAIR = { stage: "student", modality: "flair+t1ce" } as const;

const trainWith = (more: TrainFlags, unfinished?: "resume") =>
  trainStageOf({ ...FLAGS, ...more }, unfinished);
const best = (stage: string, run = out) => join(run, stage, FILES.best);

test("a teacher of three contrasts teaches a student of two of them; both say what they see", async () => {
  const said = await trainWith({ ...PAIR, teacherModality: "flair+T1+t1ce" });
  assert.match(said, /^teacher \(t1, t1ce, flair\) -> /m);
  assert.match(said, /^student \(t1ce, flair\) with ProtoKD -> .*student_t1ce\+flair_protokd$/m);
  assert.is((await readConfig(join(out, "teacher")))!.teacherModality, "t1+t1ce+flair");
  const student = (await readConfig(join(out, "student_t1ce+flair_protokd")))!;
  assert.equal([student.modality, student.teacherModality], ["t1ce+flair", null]);
  assert.is(student.teacher, best("teacher"));
  assert.equal((await readModel(best("teacher"))).card!.modalities, ["t1", "t1ce", "flair"]);
  const { card, network } = await readModel(best("student_t1ce+flair_protokd"));
  assert.equal([card!.modalities, network.modalities], [["t1ce", "flair"], 2]);
  const text = readFileSync(join(out, "student_t1ce+flair_protokd", FILES.card), "utf8");
  assert.match(text, /Its only inputs are t1ce, flair: it cannot find what only other contrasts show/);
  assert.match(await trainWith(PAIR), /already trained with these settings/);
  assert.match(await trainWith({ stage: "teacher" }), /already trained/, "a run keeps its contrasts");
});

test("a stopped student of two contrasts resumes to the same bits, alone and with ProtoKD", async () => {
  for (const method of ["none", "protokd"]) {
    const flags = { ...PAIR, method, ...(method === "protokd" && { teacher: best("teacher") }) };
    const name = method === "none" ? "student_t1ce+flair" : "student_t1ce+flair_protokd";
    const stopped = join(folder, "stopped");
    if (method === "none") await trainWith(flags);
    await trainWith({ ...flags, out: stopped, maxTime: "0.01s" });
    assert.match(await trainWith({ ...flags, out: stopped }, "resume"), /resuming after \d+ step/);
    for (const file of [FILES.latest, FILES.best])
      assert.is(tensorText(join(stopped, name, file)), tensorText(join(out, name, file)), `${name} ${file}`);
  }
});

test("each case gets the network that its files allow", async () => {
  const input = join(folder, "new");
  const files: Record<string, Modality[]> = {
    PHANTOM_001: [...MODALITIES],
    PHANTOM_002: ["t2", "t1ce", "flair"],
  };
  for (const [id, images] of Object.entries(files)) {
    mkdirSync(join(input, id), { recursive: true });
    for (const one of images)
      cpSync(join(data, id, `${id}_${one}.nii.gz`), join(input, id, `${id}_${one}.nii.gz`));
  }
  const output = join(folder, "predicted");
  const said = (await silenced(() => predictFolder(open, { model: out, input, output }))).join("\n");
  assert.match(said, /teacher \(t1, t1ce, flair\), with t1, t2, t1ce, flair: it sees t1, t1ce, flair/);
  assert.match(said, /student_t1ce\+flair\w* \(t1ce, flair\), with t2, t1ce, flair: Dice in validation/);
  for (const id of Object.keys(files)) assert.ok(existsSync(join(output, `${id}.nii.gz`)), id);
});

test("a network of two contrasts is exported with their names", async () => {
  const output = join(folder, "student.onnx");
  const said = await silenced(() => exportModel({ model: best("student_t1ce+flair"), output }));
  assert.match(said.join("\n"), /t1ce.*flair/);
  assert.ok(readFileSync(output).includes("t1ce"));
});

test("a teacher that cannot see what its student sees is refused before anything is loaded", async () => {
  const refused = async (more: TrainFlags) => {
    const { name, message } = await failure(() => trainWith({ ...PAIR, ...more }));
    assert.is(name, "UsageError", message);
    return message.replaceAll(folder, "");
  };
  const teacher = best("teacher");
  const nowhere = { teacher, data: join(folder, "nowhere"), out: join(folder, "none") };
  assert.is(
    await refused({ ...nowhere, modality: "t2+t1" }),
    `--teacher /run/teacher/${FILES.best}: expected one that sees t1, t2, got one of t1, t1ce, flair`,
  );
  assert.match(
    await refused({ ...nowhere, teacherModality: "t1ce+flair" }),
    /: sees t1, t1ce, flair, and not t1ce\+flair as --teacher-modality has it$/,
  );
  assert.match(
    await refused({ modality: "t2", teacherModality: "t1+flair" }),
    /^--teacher-modality t1\+flair: the student sees t2, and its teacher must see t2 too$/,
  );
  assert.match(
    await refused({ modality: "t2+t1" }),
    /teacher: holds a teacher of t1, t1ce, flair, and a student sees t1, t2: choose another --out$/,
    "the folder of the run holds a teacher that has not seen T2",
  );
});

test("without --teacher-modality, a teacher sees what the data have, and the user reads why", async () => {
  const at = join(folder, "uneven");
  const write = (id: string, images: readonly string[]) => {
    mkdirSync(join(at, id), { recursive: true });
    for (const one of [...images, "seg"]) writeFileSync(join(at, id, `${id}_${one}.nii.gz`), "");
  };
  const ids = ["A", "B", "C", "D", "E"];
  for (const id of ids) write(id, ["t1", "t1ce", "flair"]);
  const config = await resolveConfig({ stage: "teacher", data: at, out: join(folder, "uneven-run") });
  const said = await silenced(async () =>
    assert.is((await withContrasts(config)).teacherModality, "t1+t1ce+flair"),
  );
  assert.match(said.join("\n"), /the teacher sees t1, t1ce, flair: no case to train on has t2/);
  const split = { train: ids.slice(0, 3), val: ["D"], test: ["E"] };
  writeFileSync(join(at, "split.json"), JSON.stringify(split));
  write("A", MODALITIES);
  const warned = await silenced(async () => assert.is((await withContrasts(config)).teacherModality, null));
  assert.match(
    warned.join("\n"),
    /trains on 1 of 3 cases alone, .*: 2 lack t2 \(B and C\): with --teacher-modality t1\+t1ce\+flair it trains on 3/,
  );
  rmSync(join(at, "A", "A_t2.nii.gz"));
  write("E", MODALITIES);
  const { message } = await failure(() => withContrasts(config, { students: [["t1"], ["t2", "flair"]] }));
  assert.is(
    message,
    "no case to train on has t2 and flair, which a student sees: 3 lack t2 (A, B and C): choose other students",
  );
  rmSync(at, { recursive: true });
  for (const id of ids) write(id, ["flair"]);
  const one = await failure(() => withContrasts(config));
  assert.is(one.name, "DataError");
  assert.match(
    one.message,
    /^a teacher sees two contrasts or more, .* flair alone: .*--method none --modality flair$/,
  );
});

test("--stage all trains single contrasts and pairs, and reports them in this order", async () => {
  const flags: CommandFlags = { ...FLAGS, stage: "all", epochs: 1, modality: "t1ce+flair,t1" };
  const at = join(folder, "all");
  await silenced(async () =>
    runExperiment(open, await resolveExperiment({ ...flags, out: at, method: "kd" }), {}),
  );
  const { rows } = JSON.parse(readFileSync(join(at, EXPERIMENT.json), "utf8")) as {
    rows: { modality: string | null; method: string }[];
  };
  assert.equal(
    rows.map(({ modality, method }) => [modality, method]),
    [
      [null, "teacher"],
      ["t1", "kd"],
      ["t1ce+flair", "kd"],
    ],
  );
  const page = readFileSync(join(at, EXPERIMENT.report), "utf8");
  assert.match(page, /student \(t1ce, flair\) with/);
  assert.match(page, /T1ce \(a student(&#39;|')s input\)/);
});

test.run();
