// The options of subsets.js, as commander reads them.

import { Command, InvalidArgumentError, Option } from "commander";
import { MODALITIES } from "../../data/datasets/datasets.ts";
import { CONVENTION_NAMES as LABEL_NAMES } from "../../data/datasets/labels.ts";
import { AFFINES } from "../../data/preparation/grids.ts";
import { TILING } from "../../model/inference/windows.ts";
import { CONVENTION_NAMES } from "../../model/scoring/conventions.ts";
import { DEFAULTS, PARITY } from "../../trainer/settings/config.ts";
import { AFFINE_HELP, FAST_HELP } from "../../trainer/settings/settings.ts";
import { examples, RETUNE_HELP } from "./command.ts";
import { share } from "./predictFlags.ts";

/** The command with its options and help; the caller adds the action. */
export function subsetsProgram(): Command {
  const option = (flags: string, text: string, choices: readonly string[]) =>
    new Option(flags, text).choices([...choices]);
  return new Command("subsets")
    .description(
      "Scores all 15 subsets of t1, t2, t1ce and flair on the test cases, each with the network that predict.js " +
        "would choose if only these contrasts were there. A second call computes only what is missing.",
    )
    .requiredOption(
      "--model <path>",
      "folder of a run or a stage, or a checkpoint (a published one too); repeat it to average several",
      (path: string, before: string[] | undefined) => [...(before ?? []), path],
    )
    .requiredOption("--data <folder>", "data set with labels: BraTS folders, nnU-Net or Decathlon data")
    .addOption(option("--cases <which>", "cases to score", ["test", "all"]).default("test"))
    .option("--split <file>", "split with the test cases (default: the run's own, else as train.js)")
    .option("--fold <n>", "test cases of this fold of nnU-Net's cross-validation", fold)
    .addOption(
      option("--labels <convention>", "meaning of the label values (default: by the names)", LABEL_NAMES),
    )
    .addOption(option("--affine <whose>", AFFINE_HELP, AFFINES).default("file"))
    .addOption(
      option("--convention <name>", "scores of regions that are empty in a map", CONVENTION_NAMES).default(
        "brats",
      ),
    )
    .option("--out <folder>", "where the table is written (default: subsets in the folder of the run)")
    .option("--against <folder>", "another run with a finished table, to compare with case by case")
    .addOption(
      option("--window <how>", "weights and places of windows (default: as the model was validated)", [
        "gaussian",
        "uniform",
      ]),
    )
    .option("--step <share>", "distance of windows, as a share of the window", share, TILING.step)
    .option("--tta", "average over the volume's eight reflections: takes eight times as long")
    .option("--no-postprocessing", "skip the post-processing chosen on the model's validation cases")
    .addOption(option("--modality <name>", "input of a published model of one modality", MODALITIES))
    .addOption(
      option("--background <how>", `a published model's background (default: ${PARITY.background})`, [
        "zero",
        "shifted",
      ]),
    )
    .option("--patch <d,h,w>", `window of a published model, in voxels (default: ${DEFAULTS.patch})`)
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

function fold(text: string): number | "all" {
  if (text === "all" || /^\d+$/.test(text)) return text === "all" ? text : Number(text);
  throw new InvalidArgumentError("expected an integer of at least 0, or all.");
}
