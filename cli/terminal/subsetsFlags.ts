// The options of subsets.js, as commander reads them.

import { Command } from "commander";
import { CONVENTION_NAMES as LABEL_NAMES } from "../../data/datasets/labels.ts";
import { CONVENTION_NAMES } from "../../model/scoring/conventions.ts";
import { foldNumber } from "../../model/settings/kinds.ts";
import { FAST_HELP } from "../../trainer/settings/settings.ts";
import { examples, RETUNE_HELP } from "./command.ts";
import { numberOption } from "./kindOption.ts";
import { choiceOption, modelOptions } from "./modelFlags.ts";

/** The command with its options and help; the caller adds the action. */
export function subsetsProgram(): Command {
  const shared = modelOptions();
  return new Command("subsets")
    .description(
      "Scores all 15 subsets of t1, t2, t1ce and flair on the test cases, each with the network that predict.js " +
        "would choose if only these contrasts were there. A second call computes only what is missing.",
    )
    .addOption(shared.model)
    .requiredOption("--data <folder>", "data set with labels: BraTS folders, nnU-Net or Decathlon data")
    .addOption(choiceOption("--cases <which>", "cases to score", ["test", "all"]).default("test"))
    .option("--split <file>", "split with the test cases (default: the run's own, else as train.js)")
    .addOption(
      numberOption("--fold <n>", "test cases of this fold of nnU-Net's cross-validation", foldNumber()),
    )
    .addOption(
      choiceOption(
        "--labels <convention>",
        "meaning of the label values (default: by the names)",
        LABEL_NAMES,
      ),
    )
    .addOption(shared.affine)
    .addOption(
      choiceOption(
        "--convention <name>",
        "scores of regions that are empty in a map",
        CONVENTION_NAMES,
      ).default("brats"),
    )
    .option("--out <folder>", "where the table is written (default: subsets in the folder of the run)")
    .option("--against <folder>", "another run with a finished table, to compare with case by case")
    .addOption(shared.window)
    .addOption(shared.step)
    .addOption(shared.tta)
    .addOption(shared.postprocessing)
    .addOption(shared.modality)
    .addOption(shared.background)
    .addOption(shared.patch)
    .option("--overwrite", "compute everything again")
    .option("--fast", FAST_HELP)
    .option("--retune", RETUNE_HELP)
    .addHelpText(
      "after",
      examples(
        "node cli/subsets.js --model runs/brats --data BraTS2021",
        "node cli/subsets.js --model runs/brats --data BraTS2021 --against runs/other --convention acn",
      ),
    );
}
