// The options of predict.js, as commander reads them.

import { Command, InvalidArgumentError, Option } from "commander";
import { MODALITIES } from "../../data/datasets/datasets.ts";
import { CONVENTION_NAMES } from "../../data/datasets/labels.ts";
import { TILING } from "../../model/inference/windows.ts";
import { examples, RETUNE_HELP } from "./command.ts";
import { AFFINES } from "../../data/preparation/grids.ts";
import { AFFINE_HELP, FAST_HELP } from "../../trainer/settings/settings.ts";
import { DEFAULTS, PARITY } from "../../trainer/settings/config.ts";

/** The command with its options and help; the caller adds the action. */
export function predictProgram(): Command {
  const option = (flags: string, text: string, choices: readonly string[]) =>
    new Option(flags, text).choices([...choices]);
  return new Command("predict")
    .description(
      "Segments new cases with the best model that each case's modalities allow; label maps have the grid and affine of their source.",
    )
    .requiredOption(
      "--model <path>",
      "folder of a run or a stage, or a checkpoint (a published one too); repeat it to average several",
      (path: string, before: string[] | undefined) => [...(before ?? []), path],
    )
    .requiredOption(
      "--input <folder>",
      "BraTS folders, one case's folder, nnU-Net or Decathlon data; no labels needed",
    )
    .requiredOption("--output <folder>", "where <case>.nii.gz and predictions.json are written")
    .option("--available <names>", "use these modalities alone, such as t1,t2 (default: all that a case has)")
    .addOption(
      option(
        "--labels <convention>",
        "meaning of the label values to write (default: by the input's names, or the model's)",
        CONVENTION_NAMES,
      ),
    )
    .addOption(option("--affine <whose>", AFFINE_HELP, AFFINES).default("file"))
    .addOption(
      option("--window <how>", "weights and places of windows (default: as the model was validated)", [
        "gaussian",
        "uniform",
      ]),
    )
    .option("--step <share>", "distance of windows, as a share of the window", share, TILING.step)
    .option("--tta", "average over the volume's eight reflections: takes eight times as long")
    .option("--save-probabilities", "also write <case>_probabilities.nii.gz: float32, one volume per class")
    .option("--no-postprocessing", "skip the post-processing chosen on the model's validation cases")
    .addOption(option("--modality <name>", "input of a published model of one modality", MODALITIES))
    .addOption(
      option("--background <how>", `a published model's background (default: ${PARITY.background})`, [
        "zero",
        "shifted",
      ]),
    )
    .option("--patch <d,h,w>", `window of a published model, in voxels (default: ${DEFAULTS.patch})`)
    .option("--continue", "keep existing predictions and predict the remaining cases")
    .option("--overwrite", "replace existing predictions")
    .option("--skip-bad", "skip cases that cannot be read, list them at the end, and exit with 3")
    .option("--fast", FAST_HELP)
    .option("--retune", RETUNE_HELP)
    .addHelpText(
      "after",
      examples(
        "node cli/predict.js --model runs/brats --input NEW --output predictions",
        "node cli/predict.js --model runs/brats --available t1,t2 --input NEW --output predictions",
        "node cli/predict.js --model runs/a/teacher --model runs/b/teacher --tta --input NEW --output predictions",
      ),
    );
}

/** Parses the distance of windows. */
export function share(text: string): number {
  const value = Number(text);
  if (text.trim() !== "" && value > 0 && value <= 1) return value;
  throw new InvalidArgumentError("expected a number above 0, at most 1.");
}
