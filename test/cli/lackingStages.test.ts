// Stages on cases that lack contrasts: which cases each uses, what is said about it, that a resumed run ends
// with the same bits, and what is refused.

import { cpSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { makePhantom } from "../../cli/files/phantomFolder.ts";
import { FILES } from "../../cli/files/stageFolder.ts";
import { checkFolder } from "../../cli/check.ts";
import type { TrainFlags } from "../../cli/stages/trainFlags.ts";
import { allFindings } from "../../data/check/check.ts";
import type { CaseRecord } from "../../data/datasets/manifest.ts";
import { run as command } from "../support/command.ts";
import { failure, silenced } from "../support/quietly.ts";
import { tensorText, TINY, trainStageOf } from "../support/tinyStages.ts";

const folder = mkdtempSync(join(tmpdir(), "lacking-stages-"));
const [data, out] = [join(folder, "data"), join(folder, "run")];
const test = suite("lacking stages");

const fileOf = (at: string, id: number, contrast: string) =>
  join(at, `PHANTOM_00${id}`, `PHANTOM_00${id}_${contrast}.nii.gz`);

/** A copy of the data without these files. */
function without(name: string, ...files: (readonly [id: number, contrast: string])[]): string {
  const at = join(folder, name);
  cpSync(data, at, { recursive: true });
  for (const [id, contrast] of files) rmSync(fileOf(at, id, contrast));
  return at;
}

test.before(async () => {
  await silenced(() => makePhantom({ out: data, cases: 8, size: 20, seed: 5 }));
  const ids = (...numbers: number[]) => numbers.map((n) => `PHANTOM_00${n}`);
  const split = { train: ids(1, 2, 3, 4, 5), val: ids(6), test: ids(7, 8) };
  writeFileSync(join(data, "split.json"), JSON.stringify(split));
  rmSync(fileOf(data, 2, "t2"));
  rmSync(fileOf(data, 3, "t1ce"));
  rmSync(fileOf(data, 8, "t1ce"));
});
test.after(() => rmSync(folder, { recursive: true }));

const FLAGS = { ...TINY, batch: 2, epochs: 3, validateEvery: 1, data, out } as const satisfies TrainFlags;
const ALONE = { stage: "student", modality: "t1ce+flair", method: "none" } as const;
const STUDENT = { ...ALONE, teacher: join(out, "teacher", FILES.best) };
const NAME = "student_t1ce+flair";

const trainWith = (more: TrainFlags, unfinished?: "resume") =>
  trainStageOf({ ...FLAGS, ...more }, unfinished);

const tensors = (at: string, stage: string, file: string) => tensorText(join(at, stage, file));

function read<Content>(...path: string[]): Content {
  return JSON.parse(readFileSync(join(out, ...path), "utf8")) as Content;
}

test("--stage all: a teacher of the cases that have all, its student of those that have its contrasts", () => {
  const flags = ["--stage", "all", "--modality", "t1ce+flair", "--method", "kd", "--baselines"];
  const sizes = ["--filters", "2", "--levels", "2", "--batch", "2", "--patch", "16", "--epochs", "3"];
  const { status, stdout, stderr } = command(
    "train",
    ...["--data", data, "--out", out, "--workers", "1", "--validate-every", "1"],
    ...flags,
    ...sizes,
  );
  assert.is(status, 0, stderr + stdout);
  const stages = stdout.split(/^stage \d of 3: /m).slice(1);
  assert.match(
    stages[0]!,
    /\n {2}3 of 5 cases to train, 1 of 1 to validate, 1 of 2 to test have t1, t2, t1ce and flair\n/,
  );
  assert.match(
    stages[0]!,
    /\n {2}not used by this stage: 1 lacks t2 \(PHANTOM_002\), 2 lack t1ce \(PHANTOM_003 and PHANTOM_008\)\n/,
  );
  for (const stage of stages.slice(1))
    assert.match(
      stage,
      /\n {2}4 of 5 cases to train, 1 of 1 to validate, 1 of 2 to test have t1ce and flair\n/,
    );
  const counts = "the teacher's terms count for 3 of 4 cases to train: 1 lacks t2 (PHANTOM_002)";
  assert.equal(
    stages.map((stage) => stage.includes(counts)),
    [false, false, true],
  );
  assert.match(stages[2]!, /epoch 3\/3: .*kd /);
  for (const stage of ["teacher", NAME, `${NAME}_kd`]) {
    const { metric_per_case: scored } = read<{ metric_per_case: unknown[] }>(stage, FILES.summary);
    assert.is(scored.length, 1, stage);
    assert.equal(read<{ absent: string[] }>(stage, FILES.split).absent, [
      "PHANTOM_002 t2",
      "PHANTOM_003 t1ce",
      "PHANTOM_008 t1ce",
    ]);
  }
  const records = read<{ cases: CaseRecord[] }>(`${NAME}_kd`, FILES.manifest).cases;
  const read2 = records.find(({ id }) => id === "PHANTOM_002")!;
  assert.equal([records.length, Object.keys(read2.images)], [6, ["t1", "t1ce", "flair"]]);
  const card = readFileSync(join(out, `${NAME}_kd`, FILES.card), "utf8");
  assert.match(card, /training \| 4 \|/);
  assert.match(card, /those that lack a contrast of this network were not used/);
});

test("without the weight of its teacher, a student ends with the bits of one that has none", async () => {
  const at = join(folder, "weightless");
  await trainWith({ ...STUDENT, method: "kd", kdWeight: 0, out: at });
  for (const file of [FILES.best, FILES.latest])
    assert.is(tensors(at, `${NAME}_kd`, file), tensors(out, NAME, file), file);
  assert.not(tensors(at, `${NAME}_kd`, FILES.best) === tensors(out, `${NAME}_kd`, FILES.best));
});

test("cases are read again, from the disk too, in threads and by a resumed run, with the same bits", async () => {
  for (const lastBatch of ["full", "short"] as const) {
    const flags = { ...STUDENT, method: "protokd", lastBatch };
    const [whole, stopped] = [join(folder, `whole ${lastBatch}`), join(folder, `stopped ${lastBatch}`)];
    await trainWith({ ...flags, out: whole });
    const again = { ...flags, out: stopped, cache: 0, workers: 2 };
    await trainWith({ ...again, cacheDir: join(folder, "cache"), maxTime: "0.001s" });
    const said = await trainWith({ ...again, workers: 1 }, "resume");
    assert.match(said, /resuming after [12] steps?, in epoch 1/);
    for (const file of [FILES.best, FILES.latest])
      assert.is(tensors(stopped, `${NAME}_protokd`, file), tensors(whole, `${NAME}_protokd`, file), file);
    const metrics = (at: string) =>
      readFileSync(join(at, `${NAME}_protokd`, FILES.metrics), "utf8").replaceAll(
        /"(seconds|waited|gpuBytes)":[^,}]*/g,
        "",
      );
    assert.is(metrics(stopped), metrics(whole), "the means of the losses too");
  }
});

test("a file that comes or goes after a run began is noticed", async () => {
  const at = without("changing");
  const flags = { ...ALONE, data: at, out: join(folder, "changed") };
  await trainWith({ ...flags, maxTime: "0.01s" });
  cpSync(fileOf(data, 1, "t1ce"), fileOf(at, 3, "t1ce"));
  const { message } = await failure(() => trainWith(flags, "resume"));
  assert.match(message, /absent \(without PHANTOM_003 t1ce\)/);
});

test("a run that no case can train is refused before anything is read", async () => {
  const refused = async (more: TrainFlags) => {
    const { name, message } = await failure(() => trainWith({ out: join(folder, "none"), ...more }));
    assert.is(name, "DataError", message);
    return message;
  };
  const noT2 = without("no T2", ...[1, 3, 4, 5, 6, 7, 8].map((id) => [id, "t2"] as const));
  const lack5 = "5 lack t2 (PHANTOM_001, PHANTOM_002, PHANTOM_003 and 2 more)";
  assert.is(
    await refused({ stage: "student", modality: "t2", method: "none", data: noT2 }),
    `no case to train on has t2: ${lack5}: choose another --modality`,
  );
  assert.is(
    await refused({ stage: "student", modality: "t2", data: noT2 }),
    `no case to train on has t2, which a student sees: ${lack5}: choose other students`,
  );
  assert.is(
    await refused({ ...STUDENT, method: "kd", data: noT2 }),
    `pixel KD: no case to train on has all that the teacher sees (t1, t2, t1ce and flair): ` +
      "4 lack t2 (PHANTOM_001, PHANTOM_002, PHANTOM_004 and 1 more): choose a teacher of fewer contrasts, or train " +
      "with --method none",
  );
  const parted = without("parted", [1, "t1"], [4, "flair"], [5, "flair"]);
  assert.match(
    await refused({ stage: "teacher", data: parted }),
    /^no case to train on has t1, t2, t1ce and flair, which the teacher sees: 1 lacks t1 \(PHANTOM_001\), .*: choose fewer with --teacher-modality$/,
  );
});

test("a teacher of less than half of the cases comes with a warning, and a better choice", async () => {
  const few = without("few", [1, "t2"], [4, "t2"]);
  const said = await trainWith({ stage: "teacher", data: few, epochs: 1, out: join(folder, "few run") });
  assert.match(
    said,
    /the teacher trains on 1 of 5 cases alone, those that have t1, t2, t1ce and flair: 3 lack t2 \(.*\), 1 lacks t1ce \(PHANTOM_003\): with --teacher-modality t1\+t1ce\+flair it trains on 4/,
  );
});

test("the check says which contrasts are absent; training uses a case for what it has", async () => {
  const lines: string[] = [];
  const report = await checkFolder({ data, quiet: true }, (line) => lines.push(line));
  assert.equal(allFindings(report, "problems"), []);
  assert.match(
    lines.join("\n"),
    /some cases lack contrasts: 1 lacks t2 \(PHANTOM_002\), 2 lack t1ce \(PHANTOM_003 and PHANTOM_008\): a network trains on the cases that have what it sees/,
  );
  const strict = await checkFolder({ data, quiet: true, modality: "t1ce" }, () => undefined);
  assert.is(allFindings(strict, "problems").length, 2);
});

test("a network that takes any contrasts trains on all cases, taught where the teacher sees all", async () => {
  const at = join(folder, "any");
  const said = await trainWith({ ...STUDENT, modality: "any", method: "kd", out: at });
  assert.match(said, /the teacher's terms count for 3 of 5 cases to train: 1 lacks t2 .*, 1 lacks t1ce/);
  assert.match(said, /\n {2}5 cases to train, 1 to validate, 2 to test\n/);
  const alone = await trainWith({ stage: "student", modality: "any", method: "none", out: at });
  assert.match(alone, /3 of 5 cases to train have all contrasts; 1 lacks t2 \(PHANTOM_002\), 1 lacks t1ce/);
  const { metric_per_case: scored } = JSON.parse(
    readFileSync(join(at, "student_any", FILES.summary), "utf8"),
  ) as { metric_per_case: unknown[] };
  assert.is(scored.length, 2);
});

test.run();
