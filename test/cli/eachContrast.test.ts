// --method ummkd from the command line: trained on each contrast, resumed, a stage for each contrast, chosen
// by predict.js as any other, and refused where it does not fit.

import { cpSync, existsSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { makePhantom } from "../../cli/files/phantomFolder.ts";
import { readModel } from "../../cli/files/models.ts";
import { FILES, readConfig } from "../../cli/files/stageFolder.ts";
import { choose, readCandidates } from "../../cli/prediction/candidates.ts";
import { resolveExperiment, runExperiment, stagesOf } from "../../cli/stages/experiment.ts";
import { ofOneStage, resolveConfig, type TrainFlags } from "../../cli/stages/trainFlags.ts";
import { vnetToOnnx } from "../../model/files/onnx.ts";
import type { EpochRecord } from "../../trainer/loop/records.ts";
import { stageName } from "../../trainer/settings/config.ts";
import { configOf } from "../../web/train/pageSettings.ts";
import { device } from "../support/gradcheck.ts";
import { writeSplitOfFour } from "../support/heldOut.ts";
import { failure, silenced } from "../support/quietly.ts";
import { tensorText, TINY, trainStageOf } from "../support/tinyStages.ts";

const folder = mkdtempSync(join(tmpdir(), "each-contrast-"));
const [data, out] = [join(folder, "data"), join(folder, "run")];
const WHOLE = "student_each-t1ce+flair_ummkd";
const ALONE = ["student_t1ce_ummkd", "student_flair_ummkd"] as const;
const test = suite("each contrast");

test.before(async () => {
  await silenced(() => makePhantom({ out: data, cases: 4, size: 20, seed: 5 }));
  writeSplitOfFour(join(data, "split.json"), 4);
});
test.after(() => rmSync(folder, { recursive: true }));

const FLAGS = { ...TINY, data, out, stage: "student", method: "ummkd", modality: "flair+t1ce" } as const;
const trainWith = (more: TrainFlags = {}, unfinished?: "resume") =>
  trainStageOf({ ...FLAGS, ...more }, unfinished);
const refused = async (more: TrainFlags) => (await failure(() => trainWith(more))).message;
const records = (stage: string) =>
  readFileSync(join(out, stage, FILES.metrics), "utf8")
    .trim()
    .split("\n")
    .map((line) => JSON.parse(line) as EpochRecord);

test("one training of each contrast yields an ordinary stage of each", async () => {
  const said = await trainWith();
  assert.match(said, /^student \(each of t1ce, flair\) with UMMKD -> .*student_each-t1ce\+flair_ummkd$/m);
  assert.match(said, /^ {2}a batch of each: t1ce of 2, flair of 2 cases$/m);
  for (const [i, contrast] of (["t1ce", "flair"] as const).entries()) {
    const stage = ALONE[i]!;
    const at = join(out, stage);
    const { card, network, values } = await readModel(join(at, FILES.best));
    assert.equal([card!.modalities, card!.each, card!.stage], [[contrast], undefined, stage]);
    assert.is(network.modalities, 1);
    assert.ok(Object.keys(values).every((name) => !name.startsWith("bank.")));
    for (const file of [FILES.summary, FILES.card, FILES.report, FILES.split, FILES.manifest])
      assert.ok(existsSync(join(at, file)), `${stage}: ${file}`);
    const config = (await readConfig(at))!;
    assert.equal({ ...config, modality: "each:t1ce+flair" }, await readConfig(join(out, WHOLE)));
    assert.ok(vnetToOnnx({ config: network, values }).length > 1000);
  }
});

test("an epoch's score is the mean of each contrast's, and each stage has its own", () => {
  const whole = records(WHOLE);
  const alone = ALONE.map(records);
  let validated = 0;
  for (const [i, { validation, contrasts }] of whole.entries()) {
    assert.equal(Object.keys(contrasts ?? {}), validation ? ["t1ce", "flair"] : []);
    if (!validation) continue;
    validated++;
    assert.equal(
      alone.map((own) => own[i]!.validation),
      [contrasts!["t1ce"], contrasts!["flair"]],
    );
    const mean = (contrasts!["t1ce"]!.mean + contrasts!["flair"]!.mean) / 2;
    assert.ok(Math.abs(mean - validation.mean) < 1e-12);
  }
  assert.ok(validated > 0);
});

test("predict.js chooses the stage of a case's contrast, and names it for who gives the whole", async () => {
  const useOf = ({ card }: Awaited<ReturnType<typeof readModel>>) => card!;
  const candidates = await readCandidates([out], useOf);
  assert.equal(candidates.map(({ name }) => name).sort(), [...ALONE].sort());
  assert.is(choose(candidates, ["t1", "flair"])!.candidate.name, "student_flair_ummkd");
  const { message } = await failure(() => readCandidates([join(out, WHOLE)], useOf));
  assert.match(
    message,
    /holds one network for each of t1ce, flair: use .* student_t1ce_ummkd beside student_each-t1ce\+flair_ummkd$/,
  );
});

test("cut off in the middle, it resumes to the same bits", async () => {
  const stopped = join(folder, "stopped");
  await trainWith({ out: stopped, maxTime: "0.01s" });
  assert.match(await trainWith({ out: stopped }, "resume"), /resuming after \d+ step/);
  for (const file of [FILES.latest, FILES.best])
    assert.is(tensorText(join(stopped, WHOLE, file)), tensorText(join(out, WHOLE, file)), file);
  for (const stage of ALONE)
    assert.is(tensorText(join(stopped, stage, FILES.best)), tensorText(join(out, stage, FILES.best)), stage);
  assert.match(await trainWith({ out: stopped }), /already trained with these settings/);
});

test("unpaired it says the cases of each contrast; shared norms give one network for both", async () => {
  const unpaired = join(folder, "unpaired");
  const said = await trainWith({ out: unpaired, unpaired: true, normBanks: "shared", norm: "batch" });
  assert.match(said, /^ {2}a batch of each: t1ce of 1, flair of 1 cases$/m);
  const [one, other] = ALONE.map((stage) => tensorText(join(unpaired, stage, FILES.best)));
  assert.is(one, other);
});

test("deep supervision, low memory and gradients of limited norm work as for other methods", async () => {
  const deep = { levels: 4, deepSupervision: true, lowMemory: true, clip: 1, epochs: 1 } as const;
  const said = await trainWith({ ...deep, out: join(folder, "deep") });
  assert.match(said, /t1ce\.crossEntropyHalf/);
  const { values } = await readModel(join(folder, "deep", ALONE[0], FILES.best));
  assert.ok(Object.keys(values).every((name) => !name.startsWith("deep_supervision.")));
});

test("without --modality it takes what the data have", async () => {
  assert.is((await resolveConfig({ ...FLAGS, modality: undefined as never })).modality, "each");
  const { modality } = await resolveConfig(ofOneStage({ ...FLAGS, modality: "each:flair+t1" }));
  assert.is(modality, "each:t1+flair");
});

test("in an experiment it is trained once for all contrasts, and compared on each", async () => {
  const { stage: _, method: __, ...flags } = { ...FLAGS, out: join(folder, "experiment"), epochs: 1 };
  const experiment = await resolveExperiment({ ...flags, modality: "t1ce,flair", methods: "none,ummkd" });
  const names = stagesOf(experiment).map(stageName);
  assert.equal(names, ["student_t1ce", WHOLE, "student_flair"]);
  const open = () => Promise.resolve(device);
  const said = (await silenced(() => runExperiment(open, experiment, {}))).join("\n");
  for (const row of ["t1ce", "flair"])
    assert.match(said, new RegExp(`^ *(${row} +)?alone .*\\n *(${row} +)?UMMKD `, "m"), row);
  assert.is(said.match(/UMMKD - alone/g)!.length, 4, "Dice and HD95 of each contrast");
  const again = (await silenced(() => runExperiment(open, experiment, {}))).join("\n");
  assert.is(again.match(/finished before/g)!.length, 3);
  await failure(() => resolveExperiment({ ...flags, modality: "t1ce", methods: "none,ummkd" })).then(
    ({ message }) =>
      assert.match(message, /expected two contrasts or more to share a network, got t1ce alone/),
  );
});

test("contrasts, first weights and folders that do not fit are refused", async () => {
  assert.match(await refused({ modality: "t1ce" }), /UMMKD shares a network between two contrasts or more/);
  assert.match(
    await refused({ modality: "any" }),
    /^--modality any: UMMKD trains one network on each contrast/,
  );
  assert.match(
    await refused({ method: "none", modality: "each" }),
    /^--modality each: goes with --method ummkd or uagan: the network of alone sees all its contrasts together$/,
  );
  const init = join(out, ALONE[0], FILES.best);
  assert.match(await refused({ init }), /^--init .*: UMMKD trains its contrasts together from the beginning/);
  assert.match(
    await refused({ modality: "t1+flair" }),
    /student_each-t1ce\+flair_ummkd: trains flair too, .*choose another --out$/,
  );
  assert.match(
    await refused({ klWeight: 0.25 }),
    /holds another run, which differs in klWeight \(0.5 → 0.25\)/,
  );
  const taken = join(folder, "taken");
  cpSync(data, join(taken, ALONE[1]), { recursive: true });
  assert.match(
    await refused({ out: taken }),
    /student_flair_ummkd: holds .*, but no run: choose another --out/,
  );
});

test("the page takes and refuses the same contrasts", () => {
  const config = (modality: string, method = "ummkd") =>
    configOf("student", { ...TINY, stages: "student", method, modality } as never);
  assert.is(config("t1ce+flair").modality, "each:t1ce+flair");
  assert.is(stageName(config("each")), "student_each_ummkd");
  assert.throws(() => config("t1ce"), /UMMKD shares a network between two contrasts or more/);
  assert.throws(() => config("each", "kd"), /--modality each: goes with --method ummkd/);
});

test.run();
