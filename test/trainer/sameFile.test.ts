// One file for the command line and the page: the page resumes what train.js saves within a training, and
// ends with the bits that the command line ends with on the same device; and the other way round.

import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { DEFAULTS, limits, portable } from "../../trainer/settings/config.ts";
import { type ModelCard, stateNotes } from "../../trainer/stages/stage.ts";
import { folderSource } from "../../cli/files/folderSource.ts";
import { makePhantom } from "../../cli/files/phantomFolder.ts";
import type { TrainConfig } from "../../trainer/settings/settings.ts";
import { FILES } from "../../cli/files/stageFolder.ts";
import { resolveConfig, type TrainFlags } from "../../cli/stages/trainFlags.ts";
import { train } from "../../cli/stages/training.ts";
import { openDataset, type Source } from "../../data/datasets/datasets.ts";
import { decodeSafetensors } from "../../model/files/safetensors.ts";
import { decodeTraining, encodeTraining } from "../../trainer/loop/state.ts";
import { configOf, settingsIn } from "../../web/train/pageSettings.ts";
import { loadStage } from "../../web/train/loadStage.ts";
import { device } from "../support/gradcheck.ts";
import { SETTINGS, stageOf } from "../support/pageTraining.ts";
import { failure, silenced, trainQuietly } from "../support/quietly.ts";

const folder = mkdtempSync(join(tmpdir(), "same-file-"));
const [data, out] = [join(folder, "data"), join(folder, "run")];
const test = suite("same file");
test.after(() => rmSync(folder, { recursive: true }));

const NETWORK = { filters: 2, levels: 2, batch: 1, epochs: 2, lr: 3e-3, seed: 4, validateEvery: 2 } as const;
const PATCH = [16, 16, 16] as const;

test("the page resumes the command line's file, and both end with the same tensors", async () => {
  await silenced(() => makePhantom({ out: data, cases: 8, size: 20, seed: 5 }));
  await trainQuietly({
    ...NETWORK,
    stage: "teacher",
    data,
    out,
    patch: PATCH,
    saveEvery: "1",
    workers: 0,
  });
  const read = async (file: string) => decodeTraining(readFileSync(join(out, "teacher", file)), file);
  const [last, before] = [await read(FILES.latest), await read(FILES.previous)];
  assert.is(last.position.epoch, 3);
  assert.is(before.position.epoch, 2);
  assert.ok(before.position.done > 0, "within the epoch");

  const config = configOf("teacher", { ...SETTINGS, ...NETWORK, patch: PATCH });
  const source = await folderSource(data);
  const stage = await stageOf({ source, dataset: await openDataset(source) }, config, { state: before });
  let steps = 0;
  for await (const { type } of stage.trainer.run()) steps += Number(type === "step");
  assert.is(steps, stage.stepsPerEpoch - before.position.done);
  for (const [name, { data }] of Object.entries(await stage.params.read()))
    assert.equal([...data], [...last.tensors[name]!.data], name);
  stage.free();
});

test("train --resume-from resumes the file of a page, with its settings, to the same tensors", async () => {
  const file = join(folder, "teacher_checkpoint_latest.safetensors");
  const before = readFileSync(join(out, "teacher", FILES.previous));
  const { metadata, ...state } = await decodeTraining(before, file);
  const config = configOf("teacher", { ...SETTINGS, ...NETWORK, patch: PATCH });
  const notes = stateNotes(JSON.parse(metadata["card"]!) as ModelCard, config);
  writeFileSync(file, await encodeTraining(state, notes)); // as the page does
  const flags = { resumeFrom: file, data, out: join(folder, "imported"), workers: 0 };
  const lines = await trainImported(flags);
  assert.ok(
    lines.some((line) => /resuming after \d+ steps, in epoch 2/.test(line)),
    lines.join("\n"),
  );
  const [first, second] = await Promise.all(
    [out, flags.out].map((run) => decodeTraining(readFileSync(join(run, "teacher", FILES.latest)), run)),
  );
  assert.equal(second!.tensors, first!.tensors);
  const metrics = readFileSync(join(flags.out, "teacher", FILES.metrics), "utf8")
    .trim()
    .split("\n");
  assert.is(metrics.length, 1, "the epoch that was to come");
  const written = JSON.parse(readFileSync(join(flags.out, "teacher", FILES.config), "utf8")) as TrainConfig;
  assert.equal([written.lr, written.epochs, written.patch], [NETWORK.lr, NETWORK.epochs, [...PATCH]]);
  assert.ok(readFileSync(join(flags.out, "teacher", FILES.report)).length > 0);

  const over = join(out, "teacher", FILES.latest);
  const ended = { ...flags, resumeFrom: over, out: join(folder, "ended") };
  await trainImported(ended);
  const best = decodeSafetensors(readFileSync(join(ended.out, "teacher", FILES.best)), "best").tensors;
  assert.equal(best["out_conv.weight"]!.data, first!.tensors["out_conv.weight"]!.data, "scored as it is");
  const says = async (more: TrainFlags) =>
    (await failure(() => trainImported({ ...flags, ...more }))).message;
  assert.match(await says({}), /^--resume-from: .*imported\/teacher holds a run already: .*--overwrite/);
  const elsewhere = { out: join(folder, "elsewhere") };
  assert.match(await says({ ...elsewhere, filters: 3 }), /of another training: expected \S+ \[/);
  assert.match(await says({ stage: "student" }), /^--stage student: .* holds the training of a teacher$/);
  assert.match(await says({ config: "x.json" }), /^--resume-from, --config: use one of them, not both$/);
  assert.match(
    await says({ resumeFrom: join(folder, "no") }),
    /expected a training's checkpoint, got no file$/,
  );
  const network = join(out, "teacher", FILES.best);
  assert.match(await says({ ...elsewhere, resumeFrom: network }), /expected the state of a training/);
  writeFileSync(file, await encodeTraining(state, { ...notes, config: '{"learningRate":1}' }));
  assert.match(await says(elsewhere), /settings are not known here: learningRate: no setting has this name/);
  writeFileSync(file, await encodeTraining(state, { ...notes, config: "7" }));
  assert.match(await says(elsewhere), /expected its settings as a JSON object, got other text$/);
});

const trainImported = (flags: TrainFlags) =>
  silenced(async () =>
    train(() => Promise.resolve(device), await resolveConfig(flags), { from: flags.resumeFrom }),
  );

test("a folder's split.json divides its cases in the page as on the command line, in its order", async () => {
  const ids = (numbers: number[]) => numbers.map((n) => `PHANTOM_00${n}`);
  const split = { train: ids([7, 2, 5]), val: ids([3]), test: ids([1]) };
  const folders = await folderSource(data);
  const source: Source = {
    name: "with a split",
    list: async () => [...(await folders.list()), "split.json"],
    read: (path) =>
      path === "split.json" ? Promise.resolve(Buffer.from(JSON.stringify(split))) : folders.read(path),
  };
  const study = { source, dataset: await openDataset(folders) };
  const { training, validation } = await loadStage(study, configOf("teacher", SETTINGS), []);
  const named = (cases: readonly { id: string }[]) => cases.map(({ id }) => id);
  assert.equal([named(training), named(validation)], [split.train, split.val]);
});

test("the page trains with every setting of a file but a split of its own, and names what it refuses", () => {
  const config = { ...DEFAULTS, ...portable(configOf("student", SETTINGS)) };
  const noted = (changed: object) => ({ config: JSON.stringify({ ...config, ...changed }) });
  const own = settingsIn(noted({}), "x");
  for (const name of ["epochs", "lr", "patch", "optimizer", "augment", "patience"] as const)
    assert.equal(own[name], config[name], name);
  const other = { optimizer: "sgd", augment: "nnunet", norm: "batch", patience: 7, maxTime: "1h" };
  const asked = settingsIn(noted(other), "x");
  for (const [name, value] of Object.entries(other)) assert.is(asked[name as keyof typeof asked], value);
  const trained = configOf("student", {
    ...SETTINGS,
    ...asked,
    teacher: null,
    modality: "flair",
    method: "kd",
  });
  assert.equal([trained.optimizer, trained.patience, trained.maxTime], ["sgd", 7, "1h"]);
  assert.equal(limits(trained), { epochs: SETTINGS.epochs, patience: 7, maxSeconds: 3600 });
  const refused = (changed: object) => {
    try {
      settingsIn(noted(changed), "x");
    } catch (error) {
      return (error as Error).message;
    }
    return "nothing";
  };
  assert.match(
    refused({ split: "mine.json", fold: 2 }),
    /^x: was trained with split "mine.json", fold 2, where/,
  );
  assert.match(
    refused({ control: "twin" }),
    /^x: was trained with the control twin, .* The command line can/,
  );
  assert.is(
    configOf("student", {
      ...SETTINGS,
      ...settingsIn(noted({ control: "shuffled" }), "x"),
      teacher: null,
      modality: "flair",
      method: "kd",
    }).control,
    "shuffled",
  );
  assert.match(refused({ epochs: -1 }), /^x: its settings are not known here: epochs: expected an integer/);
  assert.match(refused({ modality: null }), /: modality: a student's cannot be null$/);
  assert.match(refused({ learningRate: 1 }), /: learningRate: no setting has this name/);
  assert.throws(() => settingsIn({}, "x"), /^x: holds no settings$/);
});

test.run();
