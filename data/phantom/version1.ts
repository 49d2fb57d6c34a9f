// Version 1 of the phantom: a head (anatomy.ts) with a tumour (tumour.ts), scanned (scanner.ts) with four
// contrasts. The rim is bright in T1ce only, oedema in T2 and FLAIR only, necrosis dark in T1 and T1ce: no
// single contrast shows what all four show. Vessels (T1ce) and old lesions (T2, FLAIR) are bright but not
// tumour. All cases have the same kind of tumour, tissues hardly overlap, and the label is exact.

import type { Random } from "../../engine/autograd/random.ts";
import type { Vec3 } from "../nifti/geometry.ts";
import { type Anatomy, drawAnatomy, tissueAt } from "./anatomy.ts";
import { type Field, sample, smoothField } from "./field.ts";
import type { Drawn } from "./case.ts";
import { BOX, centreOf, drawPose, type Pose, toHead } from "./pose.ts";
import { acquire } from "./scanner.ts";
import { drawTumour, pull, type Regions, regionsAt, type Tumour } from "./tumour.ts";

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
  pose: Pose;
  texture: Field;
};

/** Draws a case of version 1: its images and its label. */
export function drawVersion1(random: Random, size: Vec3): Drawn {
  const head = drawAnatomy(random);
  const tumour = drawTumour(random, head);
  const pose = drawPose(random, [head.scale, head.scale, head.scale]);
  const scan: Scan = { head, tumour, pose, texture: smoothField(random, 5) };
  const { planes, mask, label } = render(scan, size);
  const [t1, t2, t1ce, flair] = planes.map((plane) => acquire(random, plane, mask, size));
  return { images: { t1: t1!, t2: t2!, t1ce: t1ce!, flair: flair! }, label };
}

// Returns an ideal scan: signals relative to white matter, the mask of the brain, and the label.
function render({ head, tumour, pose, texture }: Scan, size: Vec3) {
  const [D, H, W] = size;
  const voxels = D * H * W;
  const planes = [0, 1, 2, 3].map(() => new Float32Array(voxels));
  const mask = new Uint8Array(voxels);
  const label = new Uint8Array(voxels);
  const softness = 0.5 + (0.6 * BOX * (1 / D + 1 / H + 1 / W)) / 3;
  const centre = { x: 0, y: 0, z: 0 };
  const here = { x: 0, y: 0, z: 0 }; // in the head's coordinates
  const before = { x: 0, y: 0, z: 0 }; // where its tissue lay before the tumour grew
  const tissue = { depth: 0, fluid: 0, grey: 0, white: 0 };
  const regions = { whole: 0, core: 0, necrosis: 0, rim: 0 };
  const focus = tumour.foci[0]!;

  for (let at = 0; at < voxels; at++) {
    centreOf(at, size, centre);
    toHead(pose, centre, here);
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
