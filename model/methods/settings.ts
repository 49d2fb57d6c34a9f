// Settings that methods share.

import { KD_UNITS, PROTOKD } from "../losses/losses.ts";
import { choice, number, onOff, share } from "../settings/kinds.ts";
import { row } from "../settings/rows.ts";
import { SEGMENTATIONS } from "./segmentation.ts";

export const kdWeight = row(number(), {
  help: "weight of the pixel-wise distillation",
  default: PROTOKD.kdWeight,
  defaultHelp: `${PROTOKD.kdWeight}; 1 with --kd-units hinton`,
  teaches: true,
  page: { label: "Weight of pixel KD" },
});

/** The default of kdWeight in Hinton's units. */
export const HINTON_WEIGHT = 1;

export const kdUnits = row(choice(KD_UNITS, "units"), {
  help:
    "units of the pixel-wise distillation: the published code's mean over voxels and classes, or Hinton's, " +
    "temperature² times the mean over voxels",
  default: "published",
  page: { label: "Units of pixel KD" },
});

export const prototypeWeight = row(number(), {
  help: "weight of the prototype distillation",
  default: PROTOKD.prototypeWeight,
  teaches: true,
  page: { label: "Weight of prototypes" },
});

export const temperature = row(number(1e-3, 1e3), {
  help: "divides the logits that are compared, which softens both predictions",
  default: PROTOKD.temperature,
  page: { label: "Temperature" },
});

export const unpaired = row(onOff(), {
  help: "a patient shows one contrast alone: in the order of the case ids each the next one in turn",
  default: false,
});

/** The terms of L_seg: see segmentation.ts. */
export const segmentation = row(choice(SEGMENTATIONS, "of"), {
  help:
    "the labels' term L_seg: cross-entropy and Dice of the classes, as in every method; cross-entropy alone " +
    "(ce), as in barlow's paper; or cross-entropy and Dice of the regions, as in kdnet's",
  default: "classes",
  page: { label: "Loss of labels" },
});

export const softWeight = row(share(), {
  help: "share of the teachers' soft labels in the loss; the labels have the rest",
  default: 0.75,
  teaches: true,
  page: { label: "Share of soft labels" },
});
