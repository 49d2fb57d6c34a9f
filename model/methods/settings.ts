// Settings that methods share.

import { PROTOKD } from "../losses/losses.ts";
import { number } from "../settings/kinds.ts";
import { row } from "../settings/rows.ts";

export const kdWeight = row(number(), {
  help: "weight of the pixel-wise distillation",
  default: PROTOKD.kdWeight,
  page: { label: "Weight of pixel KD" },
});

export const prototypeWeight = row(number(), {
  help: "weight of the prototype distillation",
  default: PROTOKD.prototypeWeight,
  page: { label: "Weight of prototypes" },
});

export const temperature = row(number(1e-3), {
  help: "divides the logits that are compared, which softens both predictions",
  default: PROTOKD.temperature,
  page: { label: "Temperature" },
});
