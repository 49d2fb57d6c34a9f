// node cli/train.js --stage all: which stages an experiment has, and the whole of one as a user runs it.

import { spawnSync } from "node:child_process";
import { existsSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { resolveExperiment, stagesOf } from "../../cli/stages/experiment.ts";
import { EXPERIMENT } from "../../cli/report/experimentReport.ts";
import { makePhantom } from "../../cli/files/phantomFolder.ts";
import { ALL_SUBSETS } from "../../data/datasets/subsets.ts";
import { FILES } from "../../cli/files/stageFolder.ts";
import type { TrainConfig } from "../../trainer/settings/config.ts";

const folder = mkdtempSync(join(tmpdir(), "stage-all-"));
const data = join(folder, "data");
const out = join(folder, "run");
const network = ["--patch", "16", "--levels", "2", "--filters", "2", "--batch", "1", "--epochs", "1"];

const test = suite("stage all");
test.before(async () => {
  await makePhantom({ out: data, cases: 3, size: 24, seed: 5 });
  const [train, val, held] = [1, 2, 3].map((n) => [`PHANTOM_00${n}`]);
  writeFileSync(join(data, "split.json"), JSON.stringify({ train, val, test: held }));
});
test.after(() => rmSync(folder, { recursive: true }));

/** The stages, as "folder method<teacher's folder". */
async function planned(flags: Parameters<typeof resolveExperiment>[0]): Promise<string[]> {
  return stagesOf(await resolveExperiment({ data, out: "run", ...flags })).map(
    ({ out, modality, method, seed, teacher }) =>
      `${out} ${modality ?? "teacher"} ${method} ${seed}${teacher ? ` of ${teacher}` : ""}`,
  );
}

test("a teacher comes first, then its students, modality by modality", async () => {
  const of = `of run/teacher/${FILES.best}`;
  assert.equal(await planned({}), [
    "run teacher none 0",
    ...["t1", "t2", "t1ce", "flair"].map((modality) => `run ${modality} protokd 0 ${of}`),
  ]);
  assert.equal(await planned({ modality: "flair,t1", baselines: true, seed: 3 }), [
    "run teacher none 3",
    ...["t1", "flair"].flatMap((modality) => [
      ...[`run ${modality} none 3`, `run ${modality} kd 3 ${of}`, `run ${modality} protokd 3 ${of}`],
    ]),
  ]);
});

test("--methods trains a list of methods, each with the flags that it uses", async () => {
  const of = `of run/teacher/${FILES.best}`;
  const flags = { modality: "t1", methods: "protokd,none, kdnet", prototypeWeight: 2, softWeight: 0.5 };
  assert.equal(await planned(flags), [
    "run teacher none 0",
    ...[`run t1 protokd 0 ${of}`, "run t1 none 0", `run t1 kdnet 0 ${of}`],
  ]);
  const { methods } = await resolveExperiment({ data, ...flags });
  assert.equal(
    methods.map(({ prototypeWeight, softWeight }) => [prototypeWeight, softWeight]),
    [
      [2, 0.75],
      [0.1, 0.75],
      [0.1, 0.5],
    ],
  );
  assert.equal(await planned({ modality: "t1", methods: "none" }), ["run t1 none 0"]);
});

test("no method's own defaults change the shared teacher, and a given one teaches all", async () => {
  const flags = { modality: "t1ce+flair", methods: "none,kd,barlow" };
  const stages = stagesOf(await resolveExperiment({ data, ...flags }));
  assert.equal(
    stages.map(({ stage, method, deepSupervision }) => [stage, method, deepSupervision]),
    [
      ["teacher", "none", false],
      ["student", "none", false],
      ["student", "kd", false],
      ["student", "barlow", true],
    ],
  );
  const seen = { ...flags, teacherModality: "t2+t1ce+flair" };
  const [{ teacherModality }] = stagesOf(await resolveExperiment({ data, ...seen })) as [TrainConfig];
  assert.is(teacherModality, "t2+t1ce+flair");
  assert.equal(await planned({ ...flags, teacher: "a.safetensors" }), [
    "run t1ce+flair none 0",
    "run t1ce+flair kd 0 of a.safetensors",
    "run t1ce+flair barlow 0",
  ]);
});

test("students of several contrasts come after the single ones; all of one teacher", async () => {
  const of = `of run/teacher/${FILES.best}`;
  assert.equal(await planned({ modality: "flair+T1ce,t2,t1" }), [
    "run teacher none 0",
    ...["t1", "t2", "t1ce+flair"].map((modality) => `run ${modality} protokd 0 ${of}`),
  ]);
  const subsets = await planned({ modality: "subsets", method: "none" });
  assert.equal(
    subsets.map((stage) => stage.split(" ")[1]),
    ALL_SUBSETS.slice(0, 14),
  );
  assert.is((await planned({ modality: "all,t1+t2+t1ce+flair" })).length, 1 + 5);
});

test("several seeds have folders of their own, and teachers of their own unless one is given", async () => {
  const of = (seed: number) => `of run/seed_${seed}/teacher/${FILES.best}`;
  assert.equal(await planned({ modality: "t2", seeds: "7,1" }), [
    ...["run/seed_7 teacher none 7", `run/seed_7 t2 protokd 7 ${of(7)}`],
    ...["run/seed_1 teacher none 1", `run/seed_1 t2 protokd 1 ${of(1)}`],
  ]);
  assert.equal(await planned({ modality: "t2", teacher: "a.safetensors" }), [
    "run t2 protokd 0 of a.safetensors",
  ]);
  assert.equal(await planned({ modality: "t2", method: "none" }), ["run t2 none 0"]);
});

test("what an experiment cannot be is a mistake of usage", async () => {
  for (const [flags, message] of [
    [{ modality: "t1,t3" }, /--modality: expected contrasts joined by \+ \(t1, t2, t1ce, flair\), got t3$/],
    [{ modality: "t1," }, /--modality: expected contrasts joined by \+ .*, got none$/],
    [{ modality: "t1+t1ce+t1" }, /--modality: .*, got t1 twice in t1\+t1ce\+t1$/],
    [{ modality: "t1ce+t1,t2,t1+t1ce" }, /--modality .*: names the student of t1\+t1ce twice$/],
    [{ modality: "all,t2" }, /names the student of t2 twice/],
    [
      { modality: "t1,t2+flair", teacherModality: "flair+t1ce+t1" },
      /--teacher-modality t1\+t1ce\+flair: the student sees t2\+flair, and its teacher must see t2 too$/,
    ],
    [
      { teacherModality: "t1" },
      /--teacher-modality t1: a teacher sees two contrasts or more: .* --method none/,
    ],
    [{ method: "none", teacherModality: "t1+t2" }, /--teacher-modality: the method none uses no teacher/],
    [{ seeds: "0,0" }, /--seeds: expected different integers from 0 to 2147483647, like 0,1,2, got 0,0/],
    [{ seeds: "" }, /--seeds: expected different integers/],
    [{ seeds: "1", seed: 2 }, /--seed, --seeds: use one of them/],
    [{ methods: "none,kt" }, /--methods: expected some of none, kd, protokd, .*, got kt$/],
    [{ methods: "kd,kd" }, /--methods kd,kd: names kd twice$/],
    [{ methods: "kd", method: "none" }, /--methods, --method: use one of them, not both$/],
    [{ methods: "kd", baselines: true }, /--methods, --baselines: use one of them, not both$/],
    [{ methods: "none,kd", prototypeWeight: 1 }, /--prototype-weight: none of the methods none,kd uses it$/],
  ] as const) {
    const error = await resolveExperiment({ data, ...flags }).catch((error: unknown) => error);
    assert.match(String(error), message);
  }
  for (const [args, message] of [
    [["--stage", "student", "--seeds", "1"], /--seeds: goes with --stage all/],
    [
      ["--stage", "student", "--modality", "subsets"],
      /--modality subsets: several students go with --stage all/,
    ],
    [["--stage", "student", "--modality", "t2+"], /--modality: expected .*, got an empty name in t2\+/],
    [["--stage", "student", "--methods", "kd"], /--methods: goes with --stage all/],
    [["--stage", "teacher", "--baselines"], /--baselines: goes with --stage all/],
    [
      ["--stage", "student", "--modality", "t1,t2"],
      /--modality t1,t2: several students go with --stage all; .* like t1ce\+flair/,
    ],
  ] as const) {
    const { status, stderr } = run(...args);
    assert.is(status, 2);
    assert.match(stderr, message);
  }
});

test("all stages are trained, scored and reported; what is finished is not trained again", () => {
  const args = [
    "--stage",
    "all",
    "--modality",
    "t1ce",
    "--baselines",
    "--data",
    data,
    "--out",
    out,
    ...network,
  ];
  const first = run(...args);
  assert.is(first.status, 0, first.stderr);
  const stages = ["teacher", "student_t1ce", "student_t1ce_kd", "student_t1ce_protokd"];
  for (const stage of stages) assert.ok(existsSync(join(out, stage, FILES.summary)), stage);
  for (const file of Object.values(EXPERIMENT)) assert.ok(existsSync(join(out, file)), file);
  const { rows } = JSON.parse(readFileSync(join(out, EXPERIMENT.json), "utf8")) as {
    rows: { method: string }[];
  };
  assert.equal(
    rows.map(({ method }) => method),
    ["teacher", "none", "kd", "protokd"],
  );

  const times = stages.map((stage) => statSync(join(out, stage, FILES.latest)).mtimeMs);
  rmSync(join(out, "student_t1ce_kd"), { recursive: true });
  const second = run(...args);
  assert.is(second.status, 0, second.stderr);
  assert.is(second.stdout.match(/finished before/g)?.length, 3);
  assert.equal(
    stages.map((stage, i) => statSync(join(out, stage, FILES.latest)).mtimeMs === times[i]),
    [true, true, false, true],
  );

  const other = run(...args, "--lr", "1e-4");
  assert.is(other.status, 2);
  assert.match(other.stderr, /differs in lr/);
});

function run(...args: string[]) {
  const command = fileURLToPath(new URL("../../cli/train.js", import.meta.url));
  return spawnSync(process.execPath, [command, ...args], { encoding: "utf8", cwd: folder });
}

test.run();
