// A network that a method trains beside the deployed one, as barlow's teacher: a checkpoint like any other,
// which teaches, predicts and is exported, and which a resumed run ends with to the same bits.

import { existsSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { exportModel } from "../../cli/export.ts";
import { readModel } from "../../cli/files/models.ts";
import { makePhantom } from "../../cli/files/phantomFolder.ts";
import { fileBeside, FILES } from "../../cli/files/stageFolder.ts";
import { readCandidates } from "../../cli/prediction/candidates.ts";
import { predictFolder } from "../../cli/predict.ts";
import type { TrainFlags } from "../../cli/stages/trainFlags.ts";
import { MODALITIES } from "../../data/datasets/datasets.ts";
import { decodeSafetensors } from "../../model/files/safetensors.ts";
import { device } from "../support/gradcheck.ts";
import { writeSplitOfFour } from "../support/heldOut.ts";
import { silenced } from "../support/quietly.ts";
import { TINY, trainStageOf } from "../support/tinyStages.ts";

const folder = mkdtempSync(join(tmpdir(), "beside-"));
const [data, out] = [join(folder, "data"), join(folder, "run")];
const open = () => Promise.resolve(device);
const test = suite("networks beside");
const STAGE = "student_t1ce+flair_barlow";
const JOINT = {
  ...TINY,
  data,
  out,
  stage: "student",
  method: "barlow",
  levels: 4,
  patch: [32, 32, 16],
} as const satisfies TrainFlags;
const teacher = join(out, STAGE, fileBeside("teacher"));

test.before(async () => {
  await silenced(() => makePhantom({ out: data, cases: 4, size: 20, seed: 5 }));
  writeSplitOfFour(join(data, "split.json"), 4);
  await trainStageOf(JOINT);
});
test.after(() => rmSync(folder, { recursive: true }));

test("barlow's teacher is a checkpoint: the state's weights, without the heads that only training has", async () => {
  const { card, network, values } = await readModel(teacher);
  assert.equal(card!.modalities, [...MODALITIES]);
  assert.equal([card!.stage, card!.role, card!.epoch], [`${STAGE}_teacher`, "teacher", 2]);
  assert.not("deepSupervision" in network);
  const latest = join(out, STAGE, FILES.latest);
  const { tensors: state } = decodeSafetensors(readFileSync(latest), latest);
  const prefix = "role/teacher/";
  const own = Object.keys(state).flatMap((name) =>
    name.startsWith(prefix) ? [name.slice(prefix.length)] : [],
  );
  const heads = own.filter((name) => name.startsWith("deep_supervision."));
  assert.is(heads.length, 2);
  assert.equal(Object.keys(values).sort(), own.filter((name) => !heads.includes(name)).sort());
  for (const [name, { data: numbers }] of Object.entries(values))
    assert.equal([...numbers], [...(state[prefix + name]!.data as Float32Array)], name);
  const best = join(out, STAGE, FILES.best);
  const { metadata } = decodeSafetensors(readFileSync(best), best);
  assert.not("role" in (JSON.parse(metadata["card"]!) as object));
});

test("it teaches a student, predicts without the student's records, and is exported", async () => {
  const said = await trainStageOf({ ...TINY, data, out, stage: "student", method: "kd", teacher, epochs: 1 });
  assert.match(said, /student_t1ce_kd$/m);
  const [candidate] = await readCandidates([teacher], ({ card }) => card!);
  const [member] = candidate!.members;
  assert.equal([member!.dice, member!.postprocessing], [null, null]);
  const output = join(folder, "predicted");
  await silenced(() => predictFolder(open, { model: teacher, input: data, output }));
  assert.ok(existsSync(join(output, "PHANTOM_001.nii.gz")));
  const onnx = join(folder, "teacher.onnx");
  await silenced(() => exportModel({ model: teacher, output: onnx }));
  assert.ok(existsSync(onnx));
});

test("a stopped run that resumes ends with the same file", async () => {
  const stopped = { ...JOINT, out: join(folder, "stopped") };
  await trainStageOf({ ...stopped, maxTime: "0.01s" });
  const path = join(stopped.out, STAGE, fileBeside("teacher"));
  assert.not.equal(readFileSync(path), readFileSync(teacher));
  await trainStageOf(stopped, "resume");
  assert.ok(readFileSync(path).equals(readFileSync(teacher)));
});

test.run();
