// node cli/subsets.js --model RUN --data DIR: the table of fifteen. Every subset of the contrasts is scored
// on the test cases, each with the network that predict.js would choose if only these contrasts were there.

import { openTuned } from "./device/tuning.ts";
import { scoreSubsets, type SubsetsOptions } from "./report/scoreSubsets.ts";
import { isMain, runCommand } from "./terminal/command.ts";
import { withVoices } from "./terminal/console.ts";
import { subsetsProgram } from "./terminal/subsetsFlags.ts";

if (isMain(import.meta.url)) {
  process.exitCode = await runCommand<SubsetsOptions>(withVoices(subsetsProgram()), async (options) => {
    await scoreSubsets(() => openTuned(options), options);
  });
}
