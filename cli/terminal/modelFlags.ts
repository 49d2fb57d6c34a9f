// The options of networks and their predictions, which predict.js and subsets.js share.

import { Option } from "commander";
import { MODALITIES } from "../../data/datasets/datasets.ts";
import { AFFINES } from "../../data/preparation/grids.ts";
import { TILING } from "../../model/inference/windows.ts";
import { extent, positiveShare } from "../../model/settings/kinds.ts";
import { DEFAULTS, PARITY } from "../../trainer/settings/config.ts";
import { AFFINE_HELP } from "../../trainer/settings/settings.ts";
import { numberOption } from "./kindOption.ts";

/** Returns an option with choices. */
export function choiceOption(flags: string, text: string, choices: readonly string[]): Option {
  return new Option(flags, text).choices([...choices]);
}

/** Returns the options by name, for one command. */
export function modelOptions() {
  return {
    /** Several times for the mean of several networks. */
    model: new Option(
      "--model <path>",
      "folder of a run or a stage, or a checkpoint (a published one too); repeat it to average several",
    )
      .argParser((path: string, before: string[] | undefined) => [...(before ?? []), path])
      .makeOptionMandatory(),
    affine: choiceOption("--affine <whose>", AFFINE_HELP, AFFINES).default("file"),
    window: choiceOption(
      "--window <how>",
      "weights and places of windows (default: as the model was validated)",
      ["gaussian", "uniform"],
    ),
    step: numberOption(
      "--step <share>",
      "distance of windows, as a share of the window",
      positiveShare(),
    ).default(TILING.step),
    tta: new Option("--tta", "average over the volume's eight reflections: takes eight times as long"),
    postprocessing: new Option(
      "--no-postprocessing",
      "skip the post-processing chosen on the model's validation cases",
    ),
    modality: choiceOption("--modality <name>", "input of a published model of one modality", MODALITIES),
    background: choiceOption(
      "--background <how>",
      `a published model's background (default: ${PARITY.background})`,
      ["zero", "shifted"],
    ),
    patch: new Option(
      "--patch <d,h,w>",
      `window of a published model, in voxels (${extent().limits}; default: ${DEFAULTS.patch})`,
    ),
  };
}
