// Settings of a network's input, of prediction and of scores; and what a run records about itself.

import * as v from "valibot";
import { PREPARATION } from "../../data/preparation/preprocess.ts";
import { AFFINES } from "../../data/preparation/grids.ts";
import { SAMPLING } from "../../data/sampling/patches.ts";
import type { Tuning } from "../../engine/index.ts";
import { TILING } from "../../model/inference/windows.ts";
import { CONVENTION_NAMES } from "../../model/scoring/conventions.ts";
import { choice, optional } from "../../model/settings/kinds.ts";
import { group, row } from "../../model/settings/rows.ts";

/** Help of --affine, in every command that has it. */
export const AFFINE_HELP =
  "affine of a volume: its file's, or, where shapes agree, that of the case's first image";

export const INPUT_SETTINGS = {
  ...group("Input and scores", {
    /** "image" is for files with correct voxels but a wrong header. */
    affine: row(choice(AFFINES, "whose"), {
      help: AFFINE_HELP,
      default: "file",
      page: { label: "Affine" },
    }),
    background: row(choice(["zero", "shifted"]), {
      help: "values outside the brain: 0, or shifted like all others",
      default: PREPARATION.background,
      parity: "shifted",
    }),
    crop: row(choice(["brain", "published"]), {
      help: "crop to the brain, or to the published code's box",
      default: PREPARATION.crop,
      parity: "published",
    }),
    padding: row(choice(["background", "zero"]), {
      help: "values around a volume smaller than the patch",
      default: PREPARATION.padding,
      parity: "zero",
    }),
    offsets: row(choice(["inclusive", "exclusive"]), {
      help: "whether patches are drawn from the last possible position too",
      default: SAMPLING.offsets,
      parity: "exclusive",
    }),
    /** How the windows of validation and test are placed and weighted. */
    window: row(choice(["gaussian", "uniform"], "how"), {
      help: "how the windows of a prediction are weighted",
      default: TILING.weighting,
      parity: "uniform",
    }),
    /**
     * "validation": removes small pieces from test predictions where this raises the validation cases' Dice.
     */
    postprocessing: row(choice(["validation", "none"], "by"), {
      help: "choose the post-processing of test predictions by the validation cases, or use none",
      default: "validation",
      parity: "none",
    }),
    /** "source": test cases are scored in their whole grid; "crop": in the part that the network saw. */
    scoring: row(choice(["source", "crop"]), {
      help: "score test cases in their whole grid, or in the crop",
      default: "source",
      parity: "crop",
    }),
    convention: row(choice(CONVENTION_NAMES), {
      help: "how empty regions are scored",
      default: "brats",
      parity: "protokd",
    }),
  }),

  ...group("Recorded by the run", {
    /** The convolution kernels in use; null until the device is open. */
    tuning: row(
      optional({
        schema: v.custom<Tuning>(areChoices), // the device checks the rest
        expected: "a choice of kernels",
        argument: "kernels",
        parse: (text) => text,
      }),
      { help: "the convolution kernels in use", default: null, flag: false, counts: false },
    ),
  }),
};

/** Tells whether a value names a kernel, or one for each class of calls, for each family. */
function areChoices(value: unknown): boolean {
  const isTuned = (tuned: unknown): boolean =>
    isRecord(tuned) &&
    (isRecord(Object.values(tuned)[0]) ? Object.values(tuned).every(isKernel) : isKernel(tuned));
  return isRecord(value) && Object.values(value).every(isTuned);
}

const isRecord = (value: unknown): value is Record<string, unknown> =>
  typeof value === "object" && value !== null;
const isKernel = (value: unknown): boolean => isRecord(value) && typeof value["kernel"] === "string";
