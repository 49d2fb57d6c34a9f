// A seeded generator of BraTS-like cases, so that everything runs without patient data: a head (anatomy.ts)
// with a tumour (tumour.ts), scanned (scanner.ts) with four contrasts that differ as real ones do. The rim is
// bright in T1ce only, oedema in T2 and FLAIR only, necrosis dark in T1 and T1ce: no single contrast shows
// what all four show. Vessels (T1ce) and old lesions (T2, FLAIR) are bright but not tumour. Shapes are
// functions of millimetres in a box of 160 mm: a case looks the same at every size.

import { Random } from "../../engine/autograd/random.ts";
import type { Vec3 } from "../nifti/geometry.ts";
import { type Anatomy, drawAnatomy, tissueAt } from "./anatomy.ts";
import { type Field, sample, smoothField } from "./field.ts";
import { acquire, BOX } from "./scanner.ts";
import { drawTumour, pull, type Regions, regionsAt, type Tumour } from "./tumour.ts";
import type { Modality } from "../datasets/source.ts";

/** The version of the generator: increase it with every change of the voxels of a given seed. */
export const PHANTOM_VERSION = 1;

/**
 * One case. Volumes [D,H,W], x fastest; background exactly 0. Label: 0, 1 necrosis, 2 oedema, 4 enhancing.
 * The affine maps a voxel (x, y, z) to RAS mm.
 */
export type PhantomCase = {
  images: Record<Modality, Int16Array>;
  label: Uint8Array;
  size: Vec3;
  affine: number[][];
};

// Signals in t1, t2, t1ce, flair; white matter is 1. Oedema turns white matter into `oedema` and grey matter
// into `swollen`; the rim looks like oedema except for its contrast agent. A tumour's own water and uptake
// are added, weighted by `wet` and `uptake`.
const SIGNAL = {
  fluid: [0.3, 3.1, 0.33, 0.35],
  grey: [0.8, 1.4, 0.84, 1.15],
  oedema: [0.96, 1.95, 0.95, 1.75],
  swollen: [0.79, 1.95, 0.82, 1.75],
  wet: [0, 0.95, 0, 0.75],
  necrosis: [0.58, 2.6, 0.5, 1.2],
  uptake: [0, 0, 1, 0],
  lesion: [-0.1, 0.8, -0.08, 0.6], // added to white matter
  vessel: [0, 0, 0.9, 0], // added to anything
} as const;

type Scan = {
  head: Anatomy;
  tumour: Tumour;
  turn: number[];
  shift: number[];
  warps: Field[];
  texture: Field;
};

/**
 * Returns case `index` of the data set `seed`, at `size` ([D,H,W], or one number for a cube; 16 to 512 per
 * side). Equal options give equal bytes on every machine. Throws for a size, seed or index outside its range.
 */
export function phantomCase(options: { seed: number; index: number; size: number | Vec3 }): PhantomCase {
  const { seed, index } = options;
  const edge = options.size;
  const size: Vec3 = typeof edge === "number" ? [edge, edge, edge] : edge;
  checkInteger("seed", seed, 0, 2 ** 32 - 1);
  checkInteger("index", index, 0, 2 ** 20 - 1);
  for (const length of size) checkInteger("size", length, 16, 512);

  const random = new Random(seed * 2 ** 20 + index);
  const head = drawAnatomy(random);
  const scan: Scan = {
    head,
    tumour: drawTumour(random, head),
    turn: drawRotation(random),
    shift: [4 * (random.next() - 0.5), 4 * (random.next() - 0.5), 4 * (random.next() - 0.5) + 1],
    warps: [smoothField(random, 26), smoothField(random, 26), smoothField(random, 26)],
    texture: smoothField(random, 5),
  };
  const { planes, mask, label } = render(scan, size);
  const [t1, t2, t1ce, flair] = planes.map((plane) => acquire(random, plane, mask, size));
  return { images: { t1: t1!, t2: t2!, t1ce: t1ce!, flair: flair! }, label, size, affine: affineOf(size) };
}

// Returns an ideal scan: signals relative to white matter, the mask of the brain, and the label.
function render(scan: Scan, [D, H, W]: Vec3) {
  const { head, tumour, turn, shift, warps, texture } = scan;
  const voxels = D * H * W;
  const planes = [0, 1, 2, 3].map(() => new Float32Array(voxels));
  const mask = new Uint8Array(voxels);
  const label = new Uint8Array(voxels);
  const softness = 0.5 + (0.6 * BOX * (1 / D + 1 / H + 1 / W)) / 3;
  const here = { x: 0, y: 0, z: 0 }; // in the head's coordinates
  const before = { x: 0, y: 0, z: 0 }; // where its tissue lay before the tumour grew
  const tissue = { depth: 0, fluid: 0, grey: 0, white: 0 };
  const regions = { whole: 0, core: 0, necrosis: 0, rim: 0 };
  const [wx, wy, wz] = warps as [Field, Field, Field];
  const focus = tumour.foci[0]!;

  for (let at = 0; at < voxels; at++) {
    const px = (((at % W) + 0.5) / W - 0.5) * BOX;
    const py = (((Math.floor(at / W) % H) + 0.5) / H - 0.5) * BOX;
    const pz = ((Math.floor(at / (W * H)) + 0.5) / D - 0.5) * BOX;
    const ux = (px - shift[0]! + 1.7 * sample(wx, px, py, pz)) / head.scale;
    const uy = (py - shift[1]! + 1.7 * sample(wy, px, py, pz)) / head.scale;
    const uz = (pz - shift[2]! + 1.7 * sample(wz, px, py, pz)) / head.scale;
    here.x = turn[0]! * ux + turn[1]! * uy + turn[2]! * uz;
    here.y = turn[3]! * ux + turn[4]! * uy + turn[5]! * uz;
    here.z = turn[6]! * ux + turn[7]! * uy + turn[8]! * uz;
    const pulled = pull(tumour, here);
    before.x = here.x - pulled * (here.x - focus.x);
    before.y = here.y - pulled * (here.y - focus.y);
    before.z = here.z - pulled * (here.z - focus.z);
    tissueAt(head, before, softness, tissue);
    if (tissue.depth < -0.3) continue;
    mask[at] = 1;
    regionsAt(tumour, here, tissue, softness, regions);
    label[at] = labelOf(regions);

    const spared = 1 - regions.whole;
    const oedema = regions.whole - regions.core;
    const lesion = sample(head.lesions, before.x, before.y, before.z) * tissue.white * spared;
    const vessel = sample(head.vessels, before.x, before.y, before.z) * spared;
    const grain = 1 + 0.045 * sample(texture, here.x, here.y, here.z);
    for (let m = 0; m < planes.length; m++) {
      const fluid = SIGNAL.fluid[m]! * tissue.fluid;
      const water = SIGNAL.wet[m]! * tumour.water;
      const healthy = tissue.white + SIGNAL.grey[m]! * tissue.grey + fluid + SIGNAL.lesion[m]! * lesion;
      const swollen = SIGNAL.oedema[m]! * tissue.white + SIGNAL.swollen[m]! * tissue.grey;
      const wet = swollen + fluid + water * (1 - tissue.fluid);
      const rim = SIGNAL.oedema[m]! + water + SIGNAL.uptake[m]! * tumour.uptake;
      const core = SIGNAL.necrosis[m]! * regions.necrosis + rim * regions.rim;
      planes[m]![at] = grain * (spared * healthy + oedema * wet + core) + SIGNAL.vessel[m]! * vessel;
    }
  }
  return { planes, mask, label };
}

function labelOf(regions: Regions): number {
  if (regions.necrosis > 0.5) return 1;
  if (regions.core > 0.5) return regions.rim > 0 ? 4 : 1;
  return regions.whole > 0.5 ? 2 : 0;
}

// Draws a small rotation about each axis. It uses the tangent of half the angle, and needs no sine.
function drawRotation(random: Random): number[] {
  let turn = [1, 0, 0, 0, 1, 0, 0, 0, 1];
  for (let axis = 0; axis < 3; axis++) {
    const t = 0.07 * (random.next() - 0.5); // +-4 degrees
    const cosine = (1 - t * t) / (1 + t * t);
    const sine = (2 * t) / (1 + t * t);
    const a = (axis + 1) % 3;
    const b = (axis + 2) % 3;
    const next = [...turn];
    for (let column = 0; column < 3; column++) {
      next[3 * a + column] = cosine * turn[3 * a + column]! - sine * turn[3 * b + column]!;
      next[3 * b + column] = sine * turn[3 * a + column]! + cosine * turn[3 * b + column]!;
    }
    turn = next;
  }
  return turn;
}

// Returns the affine: indices run to the left, to the back and up, as in BraTS; the box lies 40 mm inside
// BraTS's 240 mm frame.
function affineOf([D, H, W]: Vec3): number[][] {
  const [dz, dy, dx] = [BOX / D, BOX / H, BOX / W];
  return [
    [-dx, 0, 0, -39.5 - dx / 2],
    [0, -dy, 0, 199.5 - dy / 2],
    [0, 0, dz, dz / 2 - 0.5],
    [0, 0, 0, 1],
  ];
}

function checkInteger(name: string, value: number, low: number, high: number): void {
  if (Number.isInteger(value) && value >= low && value <= high) return;
  throw new Error(`phantomCase: ${name}: expected an integer from ${low} to ${high}, got ${value}`);
}
