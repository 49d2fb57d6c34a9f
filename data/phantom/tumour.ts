// The tumour of version 1: one or two foci in the white matter of one hemisphere. Nested regions around them
// depend on the distance to a focus, made irregular by smooth noise: necrosis, an enhancing rim, and oedema
// that creeps along white matter, spares grey matter and rarely crosses the midline.

import type { Random } from "../../engine/autograd/random.ts";
import { type Anatomy, fromVentricle, type Point, ramp, type Tissue, tissueAt } from "./anatomy.ts";
import { type Field, sample, smoothField } from "./field.ts";

/**
 * One tumour; lengths in mm. `reach` of a focus is 1 for the main one; a larger one makes a smaller tumour.
 */
export type Tumour = {
  foci: (Point & { reach: number })[];
  radius: number; // of the oedema, before noise
  core: number; // radius of the core, before noise
  rim: number; // mean thickness of the enhancing rim; 0: none
  necrosis: boolean;
  water: number; // -0.3..0.1: makes oedema and rim darker or brighter in T2 and FLAIR
  uptake: number; // contrast agent in the rim, added to T1ce's signal
  push: number; // displacement of the anatomy around the core
  lobes: Field;
  fingers: Field;
  thickness: Field;
};

/** The part of a tumour that pushes tissue aside: a core of `core` mm at the first focus, by `push` mm. */
type Pushing = { foci: readonly Point[]; core: number; push: number };

/** The share of each nested region in a voxel: necrosis <= core <= whole; the rim is core minus necrosis. */
export type Regions = { whole: number; core: number; necrosis: number; rim: number };

/** Draws a tumour. Its centre is 15 mm or more below the surface and away from midline and ventricles. */
export function drawTumour(random: Random, head: Anatomy): Tumour {
  const radius = 23.5 + 8 * random.next();
  const core = radius * (0.55 + 0.17 * random.next());
  const kind = random.integer(16); // one case in sixteen lacks the rim, one necrosis, as some real cases do
  const first = drawFocus(random, head);
  const foci = [{ ...first, reach: 1 }];
  if (random.integer(6) === 0) {
    const second = { ...first, y: first.y + (random.next() < 0.5 ? -1 : 1) * (radius + 4 * random.next()) };
    foci.push({ ...second, z: second.z + 16 * (random.next() - 0.5), reach: 1.5 + 0.3 * random.next() });
  }
  return {
    foci,
    radius,
    core,
    rim: kind === 0 ? 0 : 3 + 2.5 * random.next(),
    necrosis: kind !== 1,
    water: 0.4 * random.next() - 0.3,
    uptake: 0.6 + 0.7 * random.next(),
    push: 0.2 * core * (0.5 + random.next()),
    lobes: smoothField(random, 13),
    fingers: smoothField(random, 9),
    thickness: smoothField(random, 8),
  };
}

/**
 * Returns how far the tumour has pushed the tissue at a point outwards, as a fraction of the distance to the
 * first focus.
 */
export function pull(tumour: Pushing, { x, y, z }: Point): number {
  const { x: cx, y: cy, z: cz } = tumour.foci[0]!;
  const far = 2.4 * tumour.core;
  const squared = ((x - cx) * (x - cx) + (y - cy) * (y - cy) + (z - cz) * (z - cz)) / (far * far);
  if (squared >= 1) return 0;
  return ((1 - squared) * (1 - squared) * tumour.push) / tumour.core;
}

/** Writes the regions at a point to `out`, for the tissue there and boundaries of `softness` mm. */
export function regionsAt(
  tumour: Tumour,
  { x, y, z }: Point,
  tissue: Tissue,
  softness: number,
  out: Regions,
): void {
  out.whole = out.core = out.necrosis = out.rim = 0;
  let distance = Infinity;
  for (const focus of tumour.foci) {
    const dx = x - focus.x;
    const dy = y - focus.y;
    const dz = z - focus.z;
    distance = Math.min(distance, focus.reach * Math.sqrt(dx * dx + dy * dy + dz * dz));
  }
  if (distance > 1.8 * tumour.radius || tissue.depth < 0) return;

  const lobes = sample(tumour.lobes, x, y, z);
  const core = tumour.core - distance * (1 + 0.26 * lobes);
  const across = Math.max(0, -x * Math.sign(tumour.foci[0]!.x));
  const barriers = 9 * tissue.grey + 2 * across;
  const spread = distance * (1 + 0.1 * lobes + 0.22 * sample(tumour.fingers, x, y, z)) + barriers;
  const margin = Math.max(2.5, 1.6 * softness);
  const whole = Math.max(tumour.radius - spread, core + margin);
  out.core = ramp(core, softness);
  out.whole = Math.max(out.core, ramp(whole, softness) * (1 - tissue.fluid));
  if (!tumour.necrosis) {
    out.rim = out.core;
    return;
  }
  const vary = Math.max(0.35, 1 + 0.4 * sample(tumour.thickness, x, y, z));
  const rim = tumour.rim === 0 ? 0 : Math.max(1.5 * softness, tumour.rim * vary);
  out.necrosis = ramp(core - rim, softness);
  out.rim = out.core - out.necrosis;
}

function drawFocus(random: Random, head: Anatomy): Point {
  const tissue = { depth: 0, fluid: 0, grey: 0, white: 0 };
  for (;;) {
    const x = (random.next() < 0.5 ? -1 : 1) * (18 + 26 * random.next());
    const point = { x, y: -48 + 96 * random.next(), z: -6 + 44 * random.next() };
    tissueAt(head, point, 1, tissue);
    if (tissue.depth > 15 && fromVentricle(head, point) > 5) return point;
  }
}
