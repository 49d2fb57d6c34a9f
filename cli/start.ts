// npm start: the whole method once, on a phantom: trains a teacher of four modalities, a student of one
// alone, and the same student with ProtoKD, and scores them on cases that none of them was trained on.
// Finished stages are kept: a second run prints the results at once.

import { join } from "node:path";
import { Command } from "commander";
import type { Device } from "../engine/index.ts";
import { DEFAULT_METHOD, PLAIN } from "../model/methods/index.ts";
import { examples, isMain, RETUNE_HELP, runCommand } from "./terminal/command.ts";
import { FAST_HELP } from "../trainer/settings/settings.ts";
import { PHANTOM, type TrainConfig } from "../trainer/settings/config.ts";
import { emit, result, say, withVoices } from "./terminal/console.ts";
import { duration } from "./terminal/progress.ts";
import { scoreTable, writeReport } from "./report/runReport.ts";
import { exists } from "./files/files.ts";
import { makePhantom } from "./files/phantomFolder.ts";
import { FILES } from "./files/stageFolder.ts";
import { train } from "./stages/training.ts";
import { resolveConfig, type TrainFlags } from "./stages/trainFlags.ts";
import { openTuned } from "./device/tuning.ts";

const STAGES: readonly TrainFlags[] = [
  { stage: "teacher" },
  { stage: "student", modality: "t1ce", method: PLAIN },
  { stage: "student", modality: "t1ce", method: DEFAULT_METHOD },
];

async function main({ fast = false, retune = false }: { fast?: boolean; retune?: boolean }): Promise<void> {
  const started = performance.now();
  const { folder } = PHANTOM;
  if (!(await exists(folder))) await makePhantom({ ...PHANTOM, out: folder, version: 1, report: say });
  let device: Device | null = null;
  const open = async () => (device ??= await openTuned({ fast, retune }));
  const done: TrainConfig[] = [];
  for (const flags of STAGES)
    done.push(
      await train(open, await resolveConfig({ ...flags, ...(fast && { fast }) }), { unfinished: "replace" }),
    );

  const report = join(done[0]!.out, FILES.report);
  const notes = [
    "One seed and a handful of phantom cases show that training works; they do not show that a method helps.",
  ];
  await writeReport(report, "ProtoKD on the phantom", done, notes);
  const seconds = (performance.now() - started) / 1000;
  result(`\n${await scoreTable(done)}\n`);
  result(`done in ${duration(seconds)}; the report: ${report}`);
  emit("end", { report, seconds });
  say(`
Next, on your own data (BraTS folders, nnU-Net raw or Decathlon):
  node cli/train.js --stage teacher --data DIR
  node cli/train.js --stage student --data DIR --modality t1ce
  node cli/predict.js --model runs/NAME/student_t1ce_protokd/${FILES.best} --input DIR --output predictions`);
}

const command = new Command("start")
  .description("Trains and scores a teacher and two students on a phantom.")
  .addHelpText("after", examples("npm start", "node cli/start.js --fast"))
  .option("--fast", FAST_HELP)
  .option("--retune", RETUNE_HELP);

if (isMain(import.meta.url))
  process.exitCode = await runCommand<{ fast?: boolean; retune?: boolean }>(withVoices(command), main);
