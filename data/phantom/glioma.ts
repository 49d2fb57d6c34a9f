// The tumour of version 2: one focus or several, each with a core and oedema. Tumours differ in size from
// tiny to a sixth of the brain, in their place, and in how much of the core takes up contrast agent: a ring
// around necrosis, a solid nodule, spots in a wide oedema, or nothing at all.

import type { Random } from "../../engine/autograd/random.ts";
import { type Anatomy, fromVentricle, type Point, ramp, type Tissue, tissueAt } from "./anatomy.ts";
import { bell, chance, within } from "./draw.ts";
import { type Field, sample, smoothField } from "./field.ts";

/** One focus; lengths in mm, before noise. */
export type Focus = Point & {
  radius: number; // of the oedema; 0: the core alone
  core: number; // radius of the core; 0: none
  rim: number; // thickness of the part that enhances; 0: none
};

/** One tumour. The first focus is the largest, and pushes the brain aside by `push` mm around its core. */
export type Glioma = {
  foci: Focus[];
  core: number;
  push: number;
  shell: number; // mm of oedema at least around a core
  fade: number; // mm over which the oedema fades in the images; its label ends in the middle
  raggedness: number; // how much the rim's thickness varies
  lobes: Field;
  fingers: Field;
  thickness: Field;
};

/**
 * How a rater reads a tumour: mm that are added to the oedema and to the core, a factor of the rim, and which
 * foci the rater sees.
 */
export type Reading = { oedema: number; core: number; rim: number; sees: readonly boolean[] };

/**
 * The share of each nested region in a voxel: necrosis <= core <= whole; the rim is core minus necrosis. In
 * the images oedema has the share `glow`.
 */
export type Regions = { whole: number; core: number; necrosis: number; rim: number; glow: number };

const KINDS = ["ring", "ring", "ring", "solid", "solid", "spots", "plain"] as const;

// The radius of the core, as a part of the oedema's: lowest and highest.
const CORES = { ring: [0.5, 0.8], solid: [0.35, 0.65], spots: [0.15, 0.3], plain: [0.5, 0.9] } as const;

/** Draws a tumour. */
export function drawGlioma(random: Random, head: Anatomy): Glioma {
  const kind = KINDS[random.integer(KINDS.length)]!;
  const radius = chance(random, 0.1) ? within(random, 10, 15) : within(random, 21, 38);
  const place = drawPlace(random, head, radius > 20 ? 12 : 6);
  const [low, high] = CORES[kind];
  const core = Math.max(4.5, radius * within(random, low, high));
  const rim = { ring: within(random, 2, 6), solid: core, spots: core, plain: 0 }[kind];
  const foci: Focus[] = [{ ...place, radius, core, rim }];
  if (kind === "spots") addNodules(random, foci);
  if (chance(random, 0.35)) addIslands(random, head, foci, rim);
  return {
    foci,
    core,
    push: kind === "spots" ? 1 : within(random, 0.1, 0.3) * core,
    shell: within(random, 0, 3),
    fade: within(random, 2, 7),
    raggedness: within(random, 0.3, 0.9),
    lobes: smoothField(random, 13, 2),
    fingers: smoothField(random, 9, 2),
    thickness: smoothField(random, 8, 2),
  };
}

// Adds one to three small nodules inside the first focus' oedema.
function addNodules(random: Random, foci: Focus[]): void {
  const { x, y, z, radius } = foci[0]!;
  for (let left = 1 + random.integer(3); left > 0; left--) {
    const core = within(random, 4, 7);
    const step = () => 0.24 * radius * bell(random);
    foci.push({ x: x + step(), y: y + step(), z: z + step(), radius: 0, core, rim: core });
  }
}

// Adds one to three islands: near the first focus or anywhere, each with oedema and perhaps a core.
function addIslands(random: Random, head: Anatomy, foci: Focus[], rim: number): void {
  const first = foci[0]!;
  for (let left = 1 + random.integer(3); left > 0; left--) {
    const radius = within(random, 7, 14);
    const place = drawPlace(random, head, 5, chance(random, 0.6) ? first : undefined);
    const core = chance(random, 0.7) ? radius * within(random, 0.35, 0.6) : 0;
    foci.push({ ...place, radius, core, rim: Math.min(rim, core) });
  }
}

/** Tells whether a point is so near to a tumour that a rater could draw it there. */
export function isNear({ foci }: Glioma, { x, y, z }: Point): boolean {
  return foci.some((focus) => {
    const [dx, dy, dz] = [x - focus.x, y - focus.y, z - focus.z];
    const reach = reachOf(focus) + 10;
    return dx * dx + dy * dy + dz * dz < reach * reach;
  });
}

// The distance in mm from a focus beyond which it leaves no trace.
function reachOf({ radius, core }: Focus): number {
  return 1.7 * Math.max(radius, core) + 6;
}

/** Writes the regions at a point to `out`, for the tissue there and boundaries of `softness` mm. */
export function gliomaAt(
  glioma: Glioma,
  { x, y, z }: Point,
  tissue: Tissue,
  softness: number,
  reading: Reading,
  out: Regions,
): void {
  out.whole = out.core = out.necrosis = out.rim = out.glow = 0;
  if (tissue.depth < 0) return;
  let lobes = NaN;
  let fingers = 0;
  let core = -Infinity; // depth below the core's surface, mm
  let whole = -Infinity; // depth below the oedema's
  let rim = 0;
  for (let i = 0; i < glioma.foci.length; i++) {
    const focus = glioma.foci[i]!;
    const dx = x - focus.x;
    const dy = y - focus.y;
    const dz = z - focus.z;
    const distance = Math.sqrt(dx * dx + dy * dy + dz * dz);
    if (!reading.sees[i] || distance > reachOf(focus)) continue;
    if (Number.isNaN(lobes)) {
      lobes = sample(glioma.lobes, x, y, z);
      fingers = sample(glioma.fingers, x, y, z);
    }
    if (focus.core > 0) {
      const depth = focus.core - distance * (1 + 0.26 * lobes);
      if (depth > core) rim = focus.rim;
      core = Math.max(core, depth);
    }
    const across = Math.max(0, -x * Math.sign(focus.x) - 4); // past the midline
    const barriers = 5 * tissue.grey + 1.5 * across;
    const spread = distance * (1 + 0.12 * lobes + 0.2 * fingers) + barriers;
    if (focus.radius > 0) whole = Math.max(whole, focus.radius - spread);
  }
  core += reading.core;
  whole = Math.max(whole + reading.oedema, core + glioma.shell);
  if (whole < -softness - glioma.fade) return;
  const dry = 1 - tissue.fluid;
  out.core = ramp(core, softness);
  out.whole = Math.max(out.core, ramp(whole, softness) * dry);
  out.glow = Math.max(out.core, ramp(whole, softness + glioma.fade) * dry);
  if (out.core === 0) return;
  const vary = Math.max(0, 1 + glioma.raggedness * sample(glioma.thickness, x, y, z));
  out.necrosis = rim > 0 ? ramp(core - rim * vary * reading.rim, softness) : out.core;
  out.necrosis = Math.min(out.necrosis, out.core);
  out.rim = out.core - out.necrosis;
}

/** Returns BraTS's label of a voxel: 0, 1 necrosis, 2 oedema, 4 enhancing. */
export function labelAt({ whole, core, necrosis, rim }: Regions): number {
  if (core > 0.5) return rim >= necrosis ? 4 : 1;
  return whole > 0.5 ? 2 : 0;
}

// Draws a place in white matter, `depth` mm or more below the surface: anywhere, or near a focus.
function drawPlace(random: Random, head: Anatomy, depth: number, near?: Focus): Point {
  const tissue = { depth: 0, fluid: 0, grey: 0, white: 0 };
  for (let tries = 0; ; tries++) {
    const side = chance(random, 0.5) ? 1 : -1;
    const reach = near && tries < 40 ? near.radius + 12 : 0;
    const point = {
      x: reach ? near!.x + reach * within(random, -1, 1) : side * within(random, 7, 46),
      y: reach ? near!.y + reach * within(random, -1, 1) : within(random, -52, 52),
      z: reach ? near!.z + reach * within(random, -1, 1) : within(random, -30, 44),
    };
    tissueAt(head, point, 1, tissue);
    if (tissue.depth > depth && tissue.white > 0.5 && fromVentricle(head, point) > 3) return point;
  }
}
