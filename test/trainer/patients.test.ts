// Patients in a training: they stay together, or the run, its report and its card say which are parted; a
// network that has seen a test patient gives a warning, from wherever it comes; older runs keep their split.

import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { openRunData } from "../../cli/files/cases.ts";
import { folderSource } from "../../cli/files/folderSource.ts";
import { FILES } from "../../cli/files/stageFolder.ts";
import { resolveConfig, type TrainFlags } from "../../cli/stages/trainFlags.ts";
import { train } from "../../cli/stages/training.ts";
import { openDataset } from "../../data/datasets/datasets.ts";
import { partedPatients, patientsBy } from "../../data/datasets/patients.ts";
import type { Split } from "../../data/datasets/splits.ts";
import { decodeTraining, encodeTraining, SETTINGS_NOTE } from "../../trainer/loop/state.ts";
import { loadStage } from "../../web/train/loadStage.ts";
import { device } from "../support/gradcheck.ts";
import { failure, silenced, trainQuietly } from "../support/quietly.ts";
import { makeTimePoints } from "../support/timePoints.ts";

const folder = mkdtempSync(join(tmpdir(), "patients-"));
const data = join(folder, "data");
const auto = patientsBy("auto");
const test = suite("patients in training");
test.before(async () => {
  const ids = [1, 2, 3, 4, 5].flatMap((n) => [`X-0000${n}-000`, `X-0000${n}-001`]);
  await silenced(() => makeTimePoints(data, ids));
});
test.after(() => rmSync(folder, { recursive: true }));

const SMALL = {
  filters: 2,
  levels: 2,
  batch: 1,
  epochs: 1,
  patch: "8",
  validateEvery: 1,
  workers: 0,
} as const;
const flags = (run: string, more: TrainFlags = {}): TrainFlags => {
  return { ...SMALL, stage: "teacher", data, out: join(folder, run), ...more };
};
const read = (...path: string[]) => readFileSync(join(folder, ...path), "utf8");
const splitOf = (run: string, stage = "teacher") => JSON.parse(read(run, stage, FILES.split)) as Split;
const resume = (run: string, more: TrainFlags = {}) =>
  silenced(async () => {
    const config = await resolveConfig(flags(run, more));
    return train(() => Promise.resolve(device), config, { unfinished: "resume" });
  });

/** Trains a little without regard to patients, and makes its files those of a version without the setting. */
async function beginOlder(run: string): Promise<void> {
  await trainQuietly(flags(run, { patients: "none", maxTime: "0.001s", epochs: 9 }));
  const path = join(folder, run, "teacher", FILES.config);
  const { patients: _, ...config } = JSON.parse(readFileSync(path, "utf8")) as Record<string, unknown>;
  writeFileSync(path, JSON.stringify(config));
  rmSync(join(folder, run, "teacher", FILES.report));
}

test("a run divides its cases by patient; with a line in its output, report and card", async () => {
  const said = await trainQuietly(flags("whole"));
  const sentence = "10 cases of 5 patients, split by patient";
  assert.ok(said.includes(`  ${sentence}`), said.join("\n"));
  assert.equal(partedPatients(splitOf("whole"), auto), []);
  for (const file of [FILES.report, FILES.card])
    assert.ok(read("whole", "teacher", file).includes(`${sentence}.`), file);
  assert.is((JSON.parse(read("whole", "teacher", FILES.config)) as TrainFlags).patients, "auto");
});

test("a split that is given stays, and a parted patient is a warning in the same places", async () => {
  const split = { train: ["X-00001-000", "X-00003-000"], val: ["X-00003-001"], test: ["X-00001-001"] };
  const file = join(folder, "parted.json");
  writeFileSync(file, JSON.stringify(split));
  const said = await trainQuietly(flags("parted", { split: file }));
  const words =
    /the split parts X-00001 \(X-00001-000 in train, X-00001-001 in test\), X-00003 \(.* in val\)/;
  assert.match(said.join("\n"), words);
  assert.match(read("parted", "teacher", FILES.report), words);
  assert.match(read("parted", "teacher", FILES.card), words);
  const { train: trained, test: tested } = splitOf("parted");
  assert.equal([trained, tested], [split.train, split.test]);
});

test("the page divides the cases as the command does", async () => {
  const source = await folderSource(data);
  const study = { source, dataset: await openDataset(source) };
  for (const patients of ["auto", "none", "^X-(\\d+)"]) {
    const config = await resolveConfig(flags("", { patients }));
    const { split } = await openRunData(config);
    const { training, validation } = await loadStage(study, config, []);
    const found = [training, validation].map((cases) => cases.map(({ id }) => id));
    assert.equal(found, [split.train, split.val], patients);
  }
  const config = await resolveConfig(flags("", { patients: "^Y(\\d)" }));
  const { message } = await failure(() => openRunData(config));
  assert.match(
    message,
    /^--patients \^Y\(\\d\): expected a patient in every case's id, got none in X-00001-000/,
  );
  assert.is((await failure(() => loadStage(study, config, []))).message, message);
});

test("a run that an older version began is resumed with its split; other cases are refused as before", async () => {
  await beginOlder("older");
  const before = splitOf("older");
  assert.not.equal(partedPatients(before, auto), [], "the test would show nothing");
  const said = await resume("older", { epochs: 9, maxTime: "0.002s" });
  assert.match(said.join("\n"), /the split parts .*resuming after \d+ step/s);
  assert.equal(splitOf("older"), before);
  assert.match(read("older", "teacher", FILES.report), /the split parts/);
  writeFileSync(
    join(folder, "older", "teacher", FILES.split),
    JSON.stringify({ ...before, test: before.train.slice(0, 1) }),
  );
  const { message } = await failure(() => resume("older", { epochs: 9, maxTime: "1s" }));
  assert.match(message, /holds another run, which differs in .*test \(/);
});

test("networks that have seen a test patient give a warning: --teacher, --init and --resume-from", async () => {
  const [held, ...others] = [1, 2, 3, 4].map((n) => `X-0000${n}-00`);
  const write = (name: string, split: Split) => {
    writeFileSync(join(folder, name), JSON.stringify(split));
    return join(folder, name);
  };
  const all = others.map((id) => `${id}0`);
  const seen = write("seen.json", {
    train: [`${held}0`, "X-00002-001", "X-00003-001"],
    val: [],
    test: ["X-00004-001"],
  });
  const split = write("now.json", { train: all, val: [], test: [`${held}1`] });
  const same = write("same.json", { train: all, val: [], test: [`${held}0`] });
  await trainQuietly(flags("seen", { split: seen }));
  const [best, latest] = [FILES.best, FILES.latest].map((file) => join(folder, "seen", "teacher", file));
  const student = { stage: "student", modality: "t1", teacher: best! } as const;
  const lines = async (run: string, more: TrainFlags) => (await trainQuietly(flags(run, more))).join("\n");
  const others1 =
    /trained on a case, or other cases of their patients, that (the student|this stage) is tested/;
  const same1 =
    /trained on a case that (the student|this stage) is tested on \(X-00001-000\): its scores will/;
  for (const [name, file, words] of [
    ["time", split, others1],
    ["case", same, same1],
  ] as const) {
    const taught = await lines(`${name}-teacher`, { ...student, split: file });
    assert.match(taught, new RegExp(`--teacher ${best}: ${words.source}`));
    const begun = await lines(`${name}-init`, { init: best!, split: file });
    assert.match(begun, new RegExp(`--init ${best}: ${words.source}`));
    const from = async () =>
      train(() => Promise.resolve(device), await resolveConfig(moved), { from: latest });
    const moved = flags(`${name}-from`, { resumeFrom: latest!, split: file, epochs: 2 });
    assert.match((await silenced(from)).join("\n"), new RegExp(`--resume-from ${latest}: ${words.source}`));
  }
  assert.not.match(await lines("none-init", { init: best!, split: seen }), /--init/);
  const fold = join(folder, "fold.json");
  writeFileSync(fold, JSON.stringify([{ train: all, val: [`${held}0`] }]));
  await trainQuietly(flags("fold", { split: fold, fold: 0 }));
  const ofFold = { init: join(folder, "fold", "teacher", FILES.best), split: fold, fold: 0 };
  assert.not.match(
    await lines("fold-init", ofFold),
    /--init/,
    "a fold's validation cases are its test cases",
  );
});

test("--resume-from warns of a file whose version divided cases without regard to patients", async () => {
  const state = await decodeTraining(readFileSync(join(folder, "whole", "teacher", FILES.latest)), "whole");
  const { patients, ...settings } = JSON.parse(state.metadata[SETTINGS_NOTE]!) as Record<string, unknown>;
  assert.is(patients, "auto");
  mkdirSync(join(folder, "away"));
  for (const [name, note] of [
    ["older", settings],
    ["newer", { ...settings, patients }],
  ] as const) {
    const path = join(folder, "away", `${name}.safetensors`);
    const { training: _, training_format: __, sampler: ___, sha256: ____, ...notes } = state.metadata;
    writeFileSync(path, await encodeTraining(state, { ...notes, [SETTINGS_NOTE]: JSON.stringify(note) }));
    const given = { resumeFrom: path, data, out: join(folder, `from-${name}`), workers: 0, epochs: 2 };
    const said = await silenced(async () =>
      train(() => Promise.resolve(device), await resolveConfig(given), { from: path }),
    );
    const warned = said.some((line) => line.includes(`${path}: comes from a version that divided cases`));
    assert.is(warned, name === "older", said.join("\n"));
  }
});

test.run();
