// Version 2 of the phantom, as hard as real scans: heads of many ages (anatomy.ts) with varied tumours
// (glioma.ts), tissues that overlap as in patients (signals.ts), another scanner for each case (scanners.ts),
// and labels by raters (raters.ts). Each part draws from a generator of its own.

import type { Random } from "../../engine/autograd/random.ts";
import type { Vec3 } from "../nifti/geometry.ts";
import { type Anatomy, drawVariedAnatomy, type Point, ramp, tissueAt } from "./anatomy.ts";
import type { Drawn } from "./case.ts";
import { fork, within } from "./draw.ts";
import { type Field, sample, smoothField } from "./field.ts";
import { drawGlioma, type Glioma, gliomaAt, isNear, labelAt, type Regions } from "./glioma.ts";
import { BOX, centreOf, drawPose, type Pose, toHead } from "./pose.ts";
import { consensusOf, drawRating, type Rating, wanderTo } from "./raters.ts";
import { drawScanner, scan } from "./scanners.ts";
import { drawSignals, type Signals, type Tone } from "./signals.ts";
import { pull } from "./tumour.ts";

type Scene = { head: Anatomy; glioma: Glioma; pose: Pose; signals: Signals; textures: Field[] };

// Loadings of each contrast's texture on three random fields: water (T2 and FLAIR), cells (T1 and T1ce), and
// what T1ce alone has. They correlate about as they do within oedema on real scans.
const LOADINGS = [
  [-0.4, 0.9, 0.17],
  [0.95, 0.1, 0.05],
  [-0.45, 0.45, 0.77],
  [0.9, 0.37, -0.21],
] as const;

/** Draws a case of version 2: its images, and its label by a rater or by the consensus. */
export function drawVersion2(random: Random, size: Vec3, byRater: boolean): Drawn {
  const [anatomy, tumour, rater, scanner] = [fork(random), fork(random), fork(random), fork(random)];
  const head = drawVariedAnatomy(anatomy);
  const glioma = drawGlioma(tumour, head);
  const stretch = (low: number, high: number) => head.scale * within(anatomy, low, high);
  const scene: Scene = {
    head,
    glioma,
    pose: drawPose(anatomy, [stretch(0.9, 0.98), stretch(1.01, 1.06), stretch(0.96, 1.04)]),
    signals: drawSignals(tumour),
    textures: [7, 7, 6].map((knot) => smoothField(tumour, knot, 2)),
  };
  const rating = byRater ? drawRating(rater, glioma) : consensusOf(glioma);
  const { planes, mask, label } = render(scene, rating, size);
  const machine = drawScanner(scanner);
  const [t1, t2, t1ce, flair] = planes.map((plane) => scan(scanner, machine, plane, mask, size));
  return { images: { t1: t1!, t2: t2!, t1ce: t1ce!, flair: flair! }, label };
}

// Returns an ideal scan: signals relative to white matter, the mask of the brain, and the label.
function render(scene: Scene, rating: Rating, size: Vec3) {
  const { head, glioma, pose, signals } = scene;
  const [D, H, W] = size;
  const voxels = D * H * W;
  const planes = [0, 1, 2, 3].map(() => new Float32Array(voxels));
  const mask = new Uint8Array(voxels);
  const label = new Uint8Array(voxels);
  const voxel = (BOX * (1 / D + 1 / H + 1 / W)) / 3; // mm
  const softness = 0.5 + 0.6 * voxel;
  const centre = { x: 0, y: 0, z: 0 };
  const here = { x: 0, y: 0, z: 0 }; // in the head's coordinates
  const before = { x: 0, y: 0, z: 0 }; // where its tissue lay before the tumour grew
  const taken = { x: 0, y: 0, z: 0 }; // the point that the rater takes it for
  const tissue = { depth: 0, fluid: 0, grey: 0, white: 0 };
  const regions = { whole: 0, core: 0, necrosis: 0, rim: 0, glow: 0 };
  const truth = consensusOf(glioma).reading;
  const focus = glioma.foci[0]!;

  for (let at = 0; at < voxels; at++) {
    centreOf(at, size, centre);
    if (isFarOutside(centre)) continue;
    toHead(pose, centre, here);
    const pulled = pull(glioma, here);
    before.x = here.x - pulled * (here.x - focus.x);
    before.y = here.y - pulled * (here.y - focus.y);
    before.z = here.z - pulled * (here.z - focus.z);
    tissueAt(head, before, softness, tissue);
    const cover = ramp(tissue.depth, 1.6 * voxel); // the rest of the voxel is air
    if (cover < 0.1) continue;
    mask[at] = 1;
    const near = isNear(glioma, here);
    gliomaAt(glioma, here, tissue, softness, truth, regions);
    const spared = 1 - regions.glow;
    const { white, grey, fluid } = tissue;
    const lesion = white > 0 ? white * sample(head.lesions, before.x, before.y, before.z) : 0;
    const vessel = sample(head.vessels, before.x, before.y, before.z);
    const grain = 1 + 0.02 * sample(head.folds, here.y, here.z, here.x);
    for (let m = 0; m < 4; m++) {
      const solid = grain * (white + signals.grey[m]! * grey) + signals.lesion[m]! * lesion;
      const healthy = solid + signals.fluid[m]! * fluid + signals.vessel[m]! * vessel;
      planes[m]![at] = cover * spared * healthy;
    }
    if (!near) continue;
    if (regions.glow > 0) addTumour(scene, here, fluid, cover, regions, planes, at);
    wanderTo(rating, here, taken);
    gliomaAt(glioma, taken, tissue, softness, rating.reading, regions);
    label[at] = labelAt(regions);
  }
  return { planes, mask, label };
}

// Adds the tumour's part of a voxel to the planes.
function addTumour(
  { signals, textures }: Scene,
  { x, y, z }: Point,
  fluid: number,
  cover: number,
  { glow, core, necrosis, rim }: Regions,
  planes: readonly Float32Array[],
  at: number,
): void {
  const waters = sample(textures[0]!, x, y, z);
  const cells = sample(textures[1]!, x, y, z);
  const own = sample(textures[2]!, x, y, z);
  for (let m = 0; m < 4; m++) {
    const loading = LOADINGS[m]!;
    const texture = loading[0] * waters + loading[1] * cells + loading[2] * own;
    const wet = toneAt(signals.oedema, m, texture) * (1 - fluid) + signals.fluid[m]! * fluid;
    const inner = necrosis * toneAt(signals.necrosis, m, texture) + rim * toneAt(signals.rim, m, texture);
    planes[m]![at]! += cover * Math.max(0, (glow - core) * wet + inner);
  }
}

function toneAt({ signal, texture: deviation }: Tone, m: number, texture: number): number {
  return signal[m]! + deviation[m]! * texture;
}

// Tells whether a point of the box lies outside every head.
function isFarOutside({ x, y, z }: Point): boolean {
  return (x * x) / 6000 + (y * y) / 8000 + (z * z) / 6800 > 1;
}
