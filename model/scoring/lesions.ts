// Lesion-wise Dice and HD95 as in the BraTS 2023 evaluation: each reference lesion is scored by itself; a
// missed lesion and a false one score a Dice of 0 and a fixed distance. Reference pieces that grow together
// when the mask is dilated are one lesion. A predicted piece belongs to each lesion whose dilated extent it
// touches.
//
// A lesion's extent is its component of the dilated mask, so one dilation and one labelling suffice. Both
// masks may be cut to their common box first: clamping a voxel into the box brings it closer to all marked
// ones, so pieces that grow together outside the box do so inside it as well.

import { hausdorff95, surface } from "./hausdorff.ts";
import type { MaskPair } from "./masks.ts";
import type { Vec3 } from "./regions.ts";

/** How lesions are separated and scored. */
export interface LesionRule {
  /** Steps of dilation, each to the 18 voxels that share a face or an edge. */
  growth: number;
  /** Reference lesions of at most this volume in mm³ are not scored. */
  ignoredVolume: number;
  /** HD95 in mm of a missed lesion and of a false one. */
  penalty: number;
}

/**
 * The rule for glioma (BraTS-GLI, and SSA and PED) of the 2023 evaluation, the same for WT, TC and ET.
 * Source: github.com/rachitsaluja/BraTS-2023-Metrics (eval.py: 26-connected pieces, dilation 3, 50 mm³, 374).
 * It measures distances between meshed surfaces; ours are between voxels (hausdorff.ts).
 */
export const BRATS_2023: LesionRule = { growth: 3, ignoredVolume: 50, penalty: 374 };

/** Scores of the lesions of one region of one case. */
export interface LesionMetrics {
  /** Mean over scored lesions and false ones; 1 where there are neither. */
  dice: number;
  /** Mean over scored lesions and false ones in mm; 0 where there are neither. */
  hd95: number;
  /** Scored reference lesions that a predicted piece touches. */
  tp: number;
  /** Predicted pieces that touch no reference lesion, whatever their size. */
  fp: number;
  /** Scored reference lesions that no predicted piece touches. */
  fn: number;
  /** Reference lesions too small to be scored. */
  ignored: number;
}

/** The labelled connected pieces of a mask. */
export interface Components {
  /** 1 to count in the voxels of each piece, 0 elsewhere. */
  labels: Int32Array;
  count: number;
}

/**
 * A reference lesion: its number of voxels, how many of them are predicted, and the pieces that touch its
 * extent.
 */
interface Lesion {
  voxels: number;
  hits: number;
  pieces: Set<number>;
}

/** Lesion-wise scores of two masks; `spacing` is the size [D,H,W] of a voxel in mm. */
export function lesionMetrics(pair: MaskPair, spacing: Vec3, rule: LesionRule = BRATS_2023): LesionMetrics {
  const { prediction, reference, size } = pair;
  const pieces = components(prediction, size);
  const extents = components(dilate(reference, size, rule.growth), size);
  const pieceVoxels = new Uint32Array(pieces.count + 1);
  const lesions = Array.from({ length: extents.count }, (): Lesion => ({
    voxels: 0,
    hits: 0,
    pieces: new Set(),
  }));
  for (let i = 0; i < reference.length; i++) {
    const piece = pieces.labels[i]!;
    pieceVoxels[piece]!++;
    const lesion = lesions[extents.labels[i]! - 1];
    if (lesion === undefined) continue;
    lesion.voxels += reference[i]!;
    if (piece === 0) continue;
    lesion.hits += reference[i]!;
    lesion.pieces.add(piece);
  }

  const touching = new Set(lesions.flatMap((lesion) => [...lesion.pieces]));
  const fp = pieces.count - touching.size;
  const voxel = spacing[0] * spacing[1] * spacing[2];
  const scored = [...lesions.entries()].filter(([, { voxels }]) => voxels * voxel > rule.ignoredVolume);
  const found = scored.filter(([, lesion]) => lesion.pieces.size > 0);
  const fn = scored.length - found.length;
  const ignored = lesions.length - scored.length;
  const counts = { tp: found.length, fp, fn, ignored };
  const all = scored.length + fp;
  if (all === 0) return { dice: 1, hd95: 0, ...counts };

  let [dice, hd95] = [0, (fn + fp) * rule.penalty];
  for (const [i, lesion] of found) {
    const predicted = [...lesion.pieces].reduce((sum, piece) => sum + pieceVoxels[piece]!, 0);
    dice += (2 * lesion.hits) / (lesion.voxels + predicted);
    const chosen = Uint8Array.from(pieceVoxels, (_, piece) => (lesion.pieces.has(piece) ? 1 : 0));
    const alone = {
      prediction: Uint8Array.from(pieces.labels, (piece) => chosen[piece]!),
      reference: reference.map((marked, at) => (extents.labels[at] === i + 1 ? marked : 0)),
      size,
    };
    hd95 += hausdorff95(alone, spacing);
  }
  return { dice: dice / all, hd95: hd95 / all, ...counts };
}

/** The 26-connected pieces of a mask: voxels that share a face, an edge or a corner. */
export function components(mask: Uint8Array, size: Vec3): Components {
  const labels = new Int32Array(mask.length);
  const spread = neighbourhood(size, 3);
  const open: number[] = [];
  let count = 0;
  const label = (at: number): void => {
    if (mask[at] === 0 || labels[at] !== 0) return;
    labels[at] = count;
    open.push(at);
  };
  for (let start = 0; start < mask.length; start++) {
    if (mask[start] === 0 || labels[start] !== 0) continue;
    count++;
    label(start);
    for (let at = open.pop(); at !== undefined; at = open.pop()) spread(at, label);
  }
  return { labels, count };
}

/** The mask and all voxels within `steps` steps of it over shared faces or edges. */
export function dilate(mask: Uint8Array, size: Vec3, steps: number): Uint8Array {
  const grown = mask.slice();
  const spread = neighbourhood(size, 2);
  // Starting from the surface suffices: an edge neighbour of an inner voxel is a face neighbour of a surface
  // voxel.
  let front: number[] = [];
  surface(mask, size).forEach((marked, at) => marked && front.push(at));
  for (let step = 0; step < steps; step++) {
    const reached: number[] = [];
    const reach = (at: number): void => {
      if (grown[at] !== 0) return;
      grown[at] = 1;
      reached.push(at);
    };
    for (const at of front) spread(at, reach);
    front = reached;
  }
  return grown;
}

/**
 * Returns a function that visits a voxel's neighbours: 18 that differ along at most 2 axes, or 26 for at most
 * 3.
 */
function neighbourhood([D, H, W]: Vec3, axes: 2 | 3) {
  const steps = [-1, 0, 1];
  const moves = steps
    .flatMap((d) => steps.flatMap((h) => steps.map((w) => [d, h, w] as const)))
    .filter((move) => {
      const changed = move.filter((step) => step !== 0).length;
      return changed > 0 && changed <= axes;
    });
  return (at: number, visit: (neighbour: number) => void): void => {
    const w = at % W;
    const h = Math.floor(at / W) % H;
    const d = Math.floor(at / (W * H));
    for (const [dd, dh, dw] of moves) {
      const inside = d + dd >= 0 && d + dd < D && h + dh >= 0 && h + dh < H && w + dw >= 0 && w + dw < W;
      if (inside) visit(at + (dd * H + dh) * W + dw);
    }
  };
}
