// node cli/train.js --stage teacher|student|pretrain|all: trains one stage, or all stages of an experiment.
// Without data it makes the phantom; without a teacher it takes the last one trained on the data, or trains
// one.

import { join } from "node:path";
import type { Version } from "../data/phantom/phantom.ts";
import type { Device } from "../engine/index.ts";
import { isMain, runCommand } from "./terminal/command.ts";
import { classifies } from "../model/methods/index.ts";
import { stageName, type TrainConfig } from "../trainer/settings/config.ts";
import { yieldedStages } from "../trainer/settings/eachContrast.ts";
import { emit, result } from "./terminal/console.ts";
import { resolveExperiment, runExperiment } from "./stages/experiment.ts";
import { scoreTable } from "./report/runReport.ts";
import { FILES } from "./files/stageFolder.ts";
import { type CommandFlags, ofOneStage, resolveConfig, trainCommand } from "./stages/trainFlags.ts";
import { type Existing, teacherStages, train } from "./stages/training.ts";
import { openTuned } from "./device/tuning.ts";

async function main(flags: CommandFlags): Promise<void> {
  const { retune = false, overwrite = false, resume = false, resumeFrom: from } = flags;
  let device: Device | null = null;
  const opener =
    ({ fast, tuning }: TrainConfig) =>
    async () =>
      (device ??= await openTuned({ fast, recorded: tuning, retune }));
  const phantom = flags.phantom === undefined ? undefined : (Number(flags.phantom) as Version);
  const existing = (unfinished: Existing["unfinished"]): Existing =>
    overwrite ? { finished: "replace", unfinished: "replace", from, phantom } : { unfinished, from, phantom };
  if (flags.stage === "all") {
    const experiment = await resolveExperiment(flags);
    return runExperiment(opener(experiment.shared), experiment, existing(resume ? "continue" : "refuse"));
  }
  const config = await resolveConfig(ofOneStage(flags));
  const done = await train(opener(config), config, existing(resume ? "resume" : "refuse"));
  const folder = join(done.out, stageName(done));
  if (done.stage === "pretrain") result(`the encoder, for --init-encoder: ${join(folder, FILES.best)}`);
  else if (!classifies(done.method))
    result(await scoreTable([...(await teacherStages(done)), ...yieldedStages(done)]));
  const report = join(folder, FILES.report);
  result(`report: ${report}`);
  emit("end", { report });
}

if (isMain(import.meta.url)) process.exitCode = await runCommand<CommandFlags>(trainCommand(), main);
