// The options of predict.js, as commander reads them.

import { Command, InvalidArgumentError, Option } from "commander";
import { MODALITIES } from "../../data/datasets/datasets.ts";
import { CONVENTION_NAMES } from "../../data/datasets/labels.ts";
import { TILING } from "../../model/inference/windows.ts";
import { examples, RETUNE_HELP } from "./command.ts";
import { FAST_HELP } from "../../trainer/settings/settings.ts";
import { DEFAULTS, PARITY } from "../../trainer/settings/config.ts";

/** The command, without what it does. */
export function predictProgram(): Command {
  const option = (flags: string, text: string, choices: readonly string[]) =>
    new Option(flags, text).choices([...choices]);
  return new Command("predict")
    .description(
      "Label maps of new cases, in each source's own grid and affine, by the best model that each case allows.",
    )
    .requiredOption(
      "--model <path>",
      "a run's folder, a stage's, or a checkpoint (a published one too); again, to average several",
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
        "what the numbers written mean (default: by the input's names, or the model's)",
        CONVENTION_NAMES,
      ),
    )
    .addOption(
      option("--window <how>", "how windows are laid and weighed (default: as the model was validated)", [
        "gaussian",
        "uniform",
      ]),
    )
    .option("--step <share>", "from window to window, as a share of the window", share, TILING.step)
    .option("--tta", "average over the volume's eight reflections: takes eight times as long")
    .option("--save-probabilities", "write <case>_probabilities.nii.gz too: float32, a volume a class")
    .option("--no-postprocessing", "leave out what was chosen on the model's validation cases")
    .addOption(option("--modality <name>", "what a published model of one modality sees", MODALITIES))
    .addOption(
      option("--background <how>", `how a published model's input was made (default: ${PARITY.background})`, [
        "zero",
        "shifted",
      ]),
    )
    .option("--patch <d,h,w>", `voxels of a published model's window (default: ${DEFAULTS.patch})`)
    .option("--continue", "leave predictions that are there, and go on with the rest")
    .option("--overwrite", "replace predictions that are there")
    .option("--skip-bad", "predict the cases that can be, name the others at the end, and exit with 3")
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

function share(text: string): number {
  const value = Number(text);
  if (text.trim() !== "" && value > 0 && value <= 1) return value;
  throw new InvalidArgumentError("expected a number above 0, at most 1.");
}
