// --control: a stage with it from end to end, what its folder says, and what is refused.

import { cpSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { makePhantom } from "../../cli/files/phantomFolder.ts";
import { FILES } from "../../cli/files/stageFolder.ts";
import { resolveExperiment, stagesOf } from "../../cli/stages/experiment.ts";
import { resolveConfig, type TrainFlags } from "../../cli/stages/trainFlags.ts";
import type { TrainConfig } from "../../trainer/settings/config.ts";
import { writeSplitOfFour } from "../support/heldOut.ts";
import { failure, silenced } from "../support/quietly.ts";
import { tensorText, TINY, trainStageOf } from "../support/tinyStages.ts";

const folder = mkdtempSync(join(tmpdir(), "controls-"));
const [data, split] = [join(folder, "data"), join(folder, "split.json")];
const out = join(folder, "run");
const test = suite("controls");

test.before(async () => {
  await silenced(() => makePhantom({ out: data, cases: 4, size: 20, seed: 5 }));
  writeSplitOfFour(split, 4);
  await trainStageOf({ ...SMALL, stage: "teacher", out });
  for (const seed of [0, 1])
    await trainStageOf({ ...STUDENT, method: "none", seed, out: join(folder, `plain-${seed}`) });
});
test.after(() => rmSync(folder, { recursive: true }));

const SMALL = { ...TINY, batch: 2, data, split } satisfies Partial<TrainFlags>;
const STUDENT = { ...SMALL, stage: "student", modality: "t1ce" } satisfies TrainFlags;
const KD = { ...STUDENT, method: "kd", teacher: join(out, "teacher", FILES.best) } satisfies TrainFlags;
const plain = (seed: number) => join(folder, `plain-${seed}`, "student_t1ce", FILES.best);

const text = (run: string, stage: string, file: string) =>
  readFileSync(join(folder, run, stage, file), "utf8");
const latest = (run: string, stage: string) => tensorText(join(folder, run, stage, FILES.latest));

test("a stage with a shuffled teacher has a folder of its own, and resumes to the same bits", async () => {
  const whole = { ...KD, out: join(folder, "shuffled"), control: "shuffled" } as const;
  const stage = "student_t1ce_kd_shuffled";
  assert.match(await trainStageOf(whole), /^student \(t1ce\) with pixel KD, shuffled teacher -> /m);
  assert.is((JSON.parse(text("shuffled", stage, FILES.config)) as TrainConfig).control, "shuffled");
  assert.match(text("shuffled", stage, FILES.card), /as a control: the shuffled teacher lacks/);
  await trainStageOf({ ...KD, out: join(folder, "usual") });
  assert.not.equal(latest("shuffled", stage), latest("usual", "student_t1ce_kd"));
  const again = { ...whole, out: join(folder, "again") };
  await trainStageOf({ ...again, maxTime: "0.001s" });
  cpSync(join(folder, "again"), join(folder, "copy"), { recursive: true });
  await trainStageOf(again, "resume");
  assert.equal(latest("again", stage), latest("shuffled", stage));
});

test("a student of the same contrasts and another seed is a twin", async () => {
  const twin = { ...KD, out: join(folder, "twin"), control: "twin", teacher: plain(1) } as const;
  await trainStageOf(twin);
  await trainStageOf({ ...KD, out: join(folder, "untrained"), control: "untrained" });
  const runs = ["twin/student_t1ce_kd_twin", "untrained/student_t1ce_kd_untrained", "usual/student_t1ce_kd"];
  const tensors = runs.map((stage) => tensorText(join(folder, stage, FILES.latest)));
  assert.is(new Set(tensors).size, 3);
});

const refusal = async (flags: TrainFlags) => {
  const { name, message } = await failure(() => trainStageOf({ out: join(folder, "refused"), ...flags }));
  assert.is(name, "UsageError", message);
  return message;
};

test("a control that does not go with a stage, a method or a batch is refused by name", async () => {
  for (const method of ["none", "barlow", "uagan"] as const) {
    const modality = method === "uagan" ? "t1+t1ce" : "t1ce";
    assert.match(
      await refusal({ ...STUDENT, levels: 4, method, modality, control: "shuffled" }),
      /^--control shuffled: changes networks that were trained before, .* choose a method with a teacher/,
    );
  }
  assert.match(
    await refusal({ ...SMALL, stage: "teacher", control: "untrained" }),
    /^--control untrained: goes with/,
  );
  assert.match(await refusal({ ...KD, control: "shuffled", batch: 1 }), /: use --batch 2 or more$/);
  assert.match(await refusal({ ...KD, control: "shuffled", lastBatch: "short" }), /: use --last-batch full$/);
  assert.match(
    await refusal({ ...KD, modality: "any", teacher: "self", control: "untrained" }),
    /learns from no such network/,
  );
});

test("a twin is refused that is missing, sees other contrasts, was taught, or has the student's seed", async () => {
  const { teacher, ...untaught } = KD;
  const twin = { ...untaught, control: "twin" } as const;
  assert.match(
    await refusal(twin),
    /needs a teacher that sees t1ce alone: train it with --method none --modality t1ce and another --seed/,
  );
  assert.match(
    await refusal({ ...twin, teacher }),
    /--control twin expects a network that sees t1ce alone, got one of t1, t2, t1ce, flair$/,
  );
  const taught = join(folder, "usual", "student_t1ce_kd", FILES.best);
  assert.match(
    await refusal({ ...twin, seed: 3, teacher: taught }),
    /expects a student that learned from labels alone \(student_t1ce\), got student_t1ce_kd$/,
  );
  assert.match(
    await refusal({ ...twin, teacher: plain(0) }),
    /was drawn from the seed 0, as this student is/,
  );
});

test("with several methods a control applies to those with a teacher", async () => {
  const flags = { ...SMALL, modality: "t1ce", methods: "none,kd", control: "shuffled", out } as const;
  const stages = stagesOf(await resolveExperiment({ ...flags, stage: "all" }));
  assert.equal(
    stages.map(({ stage, method, control }) => [stage, method, control]),
    [
      ["teacher", "none", "none"],
      ["student", "none", "none"],
      ["student", "kd", "shuffled"],
    ],
  );
  assert.is((await resolveConfig(STUDENT)).control, "none");
});

test.run();
