// npm start: the whole method once, on a phantom: trains a teacher of four modalities, a student of one
// alone, and the same student with ProtoKD, scores them on cases that none of them was trained on, and says
// what the difference between the two students shows. Finished stages are kept: a second run prints the
// results at once.

import { join } from "node:path";
import { Command } from "commander";
import type { Device } from "../engine/index.ts";
import { DEFAULT_METHOD, PLAIN } from "../model/methods/index.ts";
import { examples, isMain, RETUNE_HELP, runCommand } from "./terminal/command.ts";
import { FAST_HELP } from "../trainer/settings/settings.ts";
import type { TrainConfig } from "../trainer/settings/config.ts";
import { emit, result, say, withVoices } from "./terminal/console.ts";
import { duration } from "./terminal/progress.ts";
import { compareStages } from "./report/comparison.ts";
import { scoreTable, writeReport } from "./report/runReport.ts";
import { FILES } from "./files/stageFolder.ts";
import { train } from "./stages/training.ts";
import { resolveConfig, type TrainFlags } from "./stages/trainFlags.ts";
import { openTuned } from "./device/tuning.ts";

// Two cores need about two minutes. Half of the patches show a tumour, for a short training sees few.
const SHORT: TrainFlags = { patch: [24, 24, 24], foreground: 0.5, epochs: 9, validateEvery: 9 };
const STAGES: readonly TrainFlags[] = [
  { stage: "teacher", ...SHORT },
  { stage: "student", modality: "t1ce", method: PLAIN, ...SHORT },
  { stage: "student", modality: "t1ce", method: DEFAULT_METHOD, ...SHORT },
];

async function main({ fast = false, retune = false }: { fast?: boolean; retune?: boolean }): Promise<void> {
  const started = performance.now();
  let device: Device | null = null;
  const open = async () => (device ??= await openTuned({ fast, retune }));
  const done: TrainConfig[] = [];
  for (const flags of STAGES)
    done.push(
      await train(open, await resolveConfig({ ...flags, ...(fast && { fast }) }), { unfinished: "replace" }),
    );

  const report = join(done[0]!.out, FILES.report);
  const [alone, distilled] = done.slice(-2) as [TrainConfig, TrainConfig];
  const found = await compareStages(distilled, alone);
  const notes = found ? [`${found.line}.`, found.reach] : [];
  await writeReport(report, "ProtoKD on the phantom", done, notes);
  const seconds = (performance.now() - started) / 1000;
  result(`\n${await scoreTable(done)}\n`);
  if (found) result(`${found.line}\n${found.reach}\n`);
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
