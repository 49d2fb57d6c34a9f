// Files that the program wrote itself and reads back, damaged: one error names the file and the remedy before
// anything is trained, and a report says once what it skips.

import {
  appendFileSync,
  copyFileSync,
  cpSync,
  existsSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { readInputs } from "../../cli/files/inputs.ts";
import { FILES, readConfig } from "../../cli/files/stageFolder.ts";
import { readSplit } from "../../cli/files/storedSplit.ts";
import { readSummary } from "../../cli/prediction/evaluation.ts";
import { readPostprocessing } from "../../cli/prediction/postprocessing.ts";
import { checkResults } from "../../cli/report/stageResults.ts";
import { resolveConfig, type TrainFlags } from "../../cli/stages/trainFlags.ts";
import { train } from "../../cli/stages/training.ts";
import { parseManifest } from "../../data/datasets/manifest.ts";
import { device } from "../support/gradcheck.ts";
import { READERS } from "../support/ownReaders.ts";
import { failure, silenced } from "../support/quietly.ts";
import { makeThreeCases } from "../support/threeCases.ts";
import { TINY } from "../support/tinyStages.ts";

const test = suite("ownFiles");
const root = mkdtempSync(join(tmpdir(), "own-files-"));
test.after(() => rmSync(root, { recursive: true }));

const [data, out, damaged] = [join(root, "data"), join(root, "run"), join(root, "damaged")];
const STAGE = "teacher";
const flags = { data, stage: STAGE, ...TINY, epochs: 1 } as const satisfies TrainFlags;

test.before(async () => {
  await makeThreeCases(data);
  await trained({ ...flags, out });
});

/** Trains as the command does, with --resume; returns what is printed. */
async function trained(given: TrainFlags, unfinished: "refuse" | "resume" = "refuse"): Promise<string[]> {
  const config = await resolveConfig(given);
  return silenced(() => train(() => Promise.resolve(device), config, { unfinished }));
}

for (const [name, read] of Object.entries(READERS))
  test(`${name}, damaged: the error names the file, and shows nothing of it`, async () => {
    const path = join(root, name);
    for (const text of ["", "root:x:0:0:secret", '{"secret":', "{}", "[]", "null", '"secret"', "7"]) {
      writeFileSync(path, text);
      const { name: kind, message } = await failure(() => read(root));
      assert.match(kind, /^(DataError|CheckpointError|UsageError)$/, `${text}: ${message}`);
      assert.ok(message.startsWith(`${path}: expected `), `${text}: ${message}`);
      assert.match(message, /: .*[:;] .*(restore|remove|delete|move|make|--no-postprocessing)/, text);
      assert.not.match(message, /secret|root:/, text);
    }
    rmSync(path);
  });

test("each file that a stage writes is read back as it is", async () => {
  const folder = join(out, STAGE);
  assert.is((await readConfig(folder))!.epochs, 1);
  assert.is((await readSplit(folder))!.train.length, 1);
  assert.ok((await readInputs(folder))!.data);
  assert.is((await readSummary(folder))!.metric_per_case.length, 1);
  const manifest = join(folder, FILES.manifest);
  assert.is(parseManifest(readFileSync(manifest, "utf8"), manifest).length, 3);
  await readPostprocessing(join(folder, FILES.best));
  await checkResults(folder);
});

for (const [file, content] of [
  [FILES.split, '{"train":['],
  [FILES.split, '{"train":5}'],
  [FILES.manifest, "{}"],
  [FILES.inputs, "{"],
  [FILES.config, "{"],
] as const)
  test(`${file} of a stopped run is ${content}: --resume names it, and trains nothing`, async () => {
    cpSync(out, damaged, { recursive: true });
    const folder = join(damaged, STAGE);
    rmSync(join(folder, FILES.report));
    const state = readFileSync(join(folder, FILES.latest));
    writeFileSync(join(folder, file), content);
    const { name, message } = await failure(() => trained({ ...flags, out: damaged }, "resume"));
    assert.is(name, "DataError", message);
    assert.ok(message.startsWith(`${join(folder, file)}: expected `), message);
    assert.equal(readFileSync(join(folder, FILES.latest)), state);
    copyFileSync(join(out, STAGE, file), join(folder, file));
    await trained({ ...flags, out: damaged }, "resume");
    assert.ok(existsSync(join(folder, FILES.report)), "and with the file restored it ends");
    rmSync(damaged, { recursive: true });
  });

test("a finished stage whose summary is damaged is refused before the stages after it are trained", async () => {
  cpSync(out, damaged, { recursive: true });
  const path = join(damaged, STAGE, FILES.summary);
  writeFileSync(path, "{}");
  const { message } = await failure(() => trained({ ...flags, out: damaged }));
  assert.ok(message.startsWith(`${path}: expected the scores of a stage, got other content`), message);
  rmSync(damaged, { recursive: true });
});

test("a student's report is made without its teacher's damaged metrics and scores, with a line each", async () => {
  cpSync(out, damaged, { recursive: true });
  const folder = join(damaged, STAGE);
  appendFileSync(join(folder, FILES.metrics), "{\n");
  writeFileSync(join(folder, FILES.summary), "{}");
  const lines = await trained({ ...flags, stage: "student", modality: "t1", method: "kd", out: damaged });
  const said = (file: string) => lines.filter((line) => line.includes(join(folder, file)));
  assert.is(said(FILES.metrics).length, 1, lines.join("\n"));
  assert.is(said(FILES.summary).length, 1, lines.join("\n"));
  assert.ok(existsSync(join(damaged, "student_t1_kd", FILES.report)));
  rmSync(damaged, { recursive: true });
});

test("the command line parses JSON in its readers alone", () => {
  const cli = fileURLToPath(new URL("../../cli", import.meta.url));
  const found = readdirSync(cli, { recursive: true, encoding: "utf8" })
    .filter((path) => path.endsWith(".ts") && readFileSync(join(cli, path), "utf8").includes("JSON.parse("))
    .map((path) => path.replaceAll("\\", "/"));
  assert.equal(found.sort(), [
    "device/tuning.ts", // a cache: measured again where it is damaged
    "files/lock.ts", // the lock of a process that is gone may be damaged
    "prediction/besideCheckpoint.ts",
    "prediction/gains.ts", // what a sentence is made of
    "prediction/predictionRecord.ts",
    "prediction/subsetAgainst.ts",
    "prediction/subsetResults.ts", // lines of a run that goes on: a damaged one is predicted again
    "study.ts", // package.json
    "terminal/configFile.ts",
  ]);
});

test.run();
