// The options of predict.js, as commander reads them.

import { Command, Option } from "commander";
import { MODALITIES } from "../../data/datasets/datasets.ts";
import { CONVENTION_NAMES } from "../../data/datasets/labels.ts";
import { examples, RETUNE_HELP } from "./command.ts";
import { choiceOption, modelOptions } from "./modelFlags.ts";
import { FAST_HELP } from "../../trainer/settings/settings.ts";

/** The command with its options and help; the caller adds the action. */
export function predictProgram(): Command {
  const shared = modelOptions();
  return new Command("predict")
    .description(
      "Segments new cases with the best model that each case's modalities allow; label maps have the grid and affine of their source.",
    )
    .addOption(shared.model)
    .requiredOption(
      "--input <folder>",
      "BraTS folders, one case's folder, nnU-Net or Decathlon data; no labels needed",
    )
    .requiredOption("--output <folder>", "where <case>.nii.gz and predictions.json are written")
    .option("--with <names>", "use these modalities alone, such as t1ce+flair (default: all that a case has)")
    .addOption(new Option("--available <names>", "older name of --with").hideHelp())
    .addOption(
      choiceOption(
        "--labels <convention>",
        "meaning of the label values to write (default: by the input's names, or the model's)",
        CONVENTION_NAMES,
      ),
    )
    .addOption(shared.affine)
    .addOption(shared.window)
    .addOption(shared.step)
    .addOption(shared.tta)
    .addOption(
      choiceOption(
        "--translate <contrast>",
        "write the images in this contrast, instead of label maps, by a stage of several contrasts of --method uagan",
        MODALITIES,
      ),
    )
    .option("--save-probabilities", "also write <case>_probabilities.nii.gz: float32, one volume per class")
    .addOption(shared.postprocessing)
    .addOption(shared.modality)
    .addOption(shared.background)
    .addOption(shared.patch)
    .option("--continue", "keep existing predictions and predict the remaining cases")
    .option("--overwrite", "replace existing predictions")
    .option("--skip-bad", "skip cases that cannot be read, list them at the end, and exit with 3")
    .option("--fast", FAST_HELP)
    .option("--retune", RETUNE_HELP)
    .addHelpText(
      "after",
      examples(
        "node cli/predict.js --model runs/brats --input NEW --output predictions",
        "node cli/predict.js --model runs/brats --with t1ce+flair --input NEW --output predictions",
        "node cli/predict.js --model runs/brats/student_each_uagan --translate flair --input NEW --output images",
        "node cli/predict.js --model runs/a/teacher --model runs/b/teacher --tta --input NEW --output predictions",
      ),
    );
}
