// The raters of version 2. Three people label the training cases, one of them each case, and each has habits:
// one draws oedema generously, one sparingly, one hastily. On top of these each label has errors of its own:
// a boundary that wanders smoothly by about a voxel of a 2 mm scan, and islands that were not seen. Habits
// and errors are zero on average: where nobody errs is the consensus.

import type { Random } from "../../engine/autograd/random.ts";
import type { Point } from "./anatomy.ts";
import { bell, chance } from "./draw.ts";
import { type Field, sample, smoothField } from "./field.ts";
import type { Glioma, Reading } from "./glioma.ts";

/** A rater's habits; lengths in mm. */
type Habits = {
  oedema: number; // added to the oedema on all sides
  core: number; // added to the core
  wander: number; // deviation of the boundary, along each axis
  misses: number; // the share of islands that are not seen
};

const RATERS: readonly Habits[] = [
  { oedema: 1.8, core: 0.4, wander: 1.3, misses: 0.15 },
  { oedema: -1.8, core: -0.4, wander: 1.3, misses: 0.5 },
  { oedema: 0, core: 0, wander: 2.1, misses: 0.35 },
];

/** How one case is labelled: the rater's reading of the tumour, and how far the boundaries wander. */
export type Rating = { reading: Reading; wander: number; shifts: readonly Field[] };

/** Returns the rating of the consensus, which has no errors. */
export function consensusOf({ foci }: Glioma): Rating {
  return { reading: { oedema: 0, core: 0, rim: 1, sees: foci.map(() => true) }, wander: 0, shifts: [] };
}

/** Draws one of the three raters, and the errors in this case's label. */
export function drawRating(random: Random, { foci }: Glioma): Rating {
  const { oedema, core, wander, misses } = RATERS[random.integer(RATERS.length)]!;
  const sees = foci.map((_, i) => i === 0 || !chance(random, misses));
  const reading = {
    oedema: oedema + 0.7 * bell(random),
    core: core + 0.3 * bell(random),
    rim: 1 + 0.15 * bell(random),
    sees,
  };
  return { reading, wander, shifts: [0, 1, 2].map(() => smoothField(random, 11, 2)) };
}

/** Writes the point that the rater takes for a point to `out`. */
export function wanderTo({ wander, shifts }: Rating, { x, y, z }: Point, out: Point): void {
  const [dx, dy, dz] = shifts;
  out.x = dx ? x + wander * sample(dx, x, y, z) : x;
  out.y = dy ? y + wander * sample(dy, x, y, z) : y;
  out.z = dz ? z + wander * sample(dz, x, y, z) : z;
}
