// One row for each configuration of each op: the tests check its value and gradients.

import type { OpCase } from "./gradcheck.ts";
import { activations } from "./cases/activations.ts";
import { convolutions } from "./cases/convolutions.ts";
import { distances } from "./cases/distances.ts";
import { jointLosses } from "./cases/jointLosses.ts";
import { losses } from "./cases/losses.ts";
import { norms } from "./cases/norms.ts";
import { paired } from "./cases/paired.ts";
import { presence } from "./cases/presence.ts";
import { regions } from "./cases/regions.ts";
import { resampling } from "./cases/resampling.ts";
import { batches } from "./cases/samples.ts";
import { softTargets } from "./cases/softTargets.ts";
import { teachers } from "./cases/teachers.ts";

export const cases: OpCase[] = [
  ...activations,
  ...convolutions,
  ...norms,
  ...resampling,
  ...batches,
  ...losses,
  ...jointLosses,
  ...regions,
  ...distances,
  ...teachers,
  ...paired,
  ...softTargets,
  ...presence,
];
