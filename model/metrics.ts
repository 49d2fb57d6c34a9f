// Dice and HD95 of a predicted class map against a reference, per region, and their summary over cases.
// A measure that an empty region leaves undefined stays `null` per region; only the summary turns it into a
// number, by a convention that it names.
import { squaredDistances } from "./distance.ts";
import { type Region, REGIONS, REGION_NAMES, type Vec3 } from "./regions.ts";

/** What one region of one case measures. Counts are voxels. */
export interface RegionMetrics {
  /** 2 |P∩R| / (|P| + |R|); `null` where both are empty. */
  dice: number | null;
  /** 95th percentile of the pooled surface distances in mm; `null` where one or both are empty. */
  hd95: number | null;
  tp: number;
  fp: number;
  fn: number;
  tn: number;
  /** Voxels of the region in the prediction. */
  predicted: number;
  /** Voxels of the region in the reference. */
  referenced: number;
}

/** All regions of one case; the files are named where there are files. */
export interface CaseMetrics {
  case: string;
  predictionFile?: string;
  referenceFile?: string;
  regions: Record<Region, RegionMetrics>;
}

/** Shape [D,H,W] of both maps, and the voxels' edges in mm. */
export interface Grid {
  size: Vec3;
  spacing: Vec3;
}

/** One region of one case: `prediction` and `reference` are maps of network classes [D,H,W]. */
export function regionMetrics(
  prediction: Uint8Array,
  reference: Uint8Array,
  classes: readonly number[],
  { size, spacing }: Grid,
): RegionMetrics {
  const voxels = size[0] * size[1] * size[2];
  for (const [name, map] of Object.entries({ prediction, reference })) {
    if (map.length === voxels) continue;
    throw new Error(`regionMetrics: ${name} of [${size}] = ${voxels} voxels, got ${map.length}`);
  }
  const belongs = new Uint8Array(256);
  for (const value of classes) belongs[value] = 1;

  const low = [Infinity, Infinity, Infinity];
  const high = [-1, -1, -1];
  let [tp, predicted, referenced] = [0, 0, 0];
  const [D, H, W] = size;
  for (let d = 0, i = 0; d < D; d++) {
    for (let h = 0; h < H; h++) {
      for (let w = 0; w < W; w++, i++) {
        const p = belongs[prediction[i]!]!;
        const r = belongs[reference[i]!]!;
        if ((p | r) === 0) continue;
        predicted += p;
        referenced += r;
        tp += p & r;
        include(low, high, d, h, w);
      }
    }
  }
  const [fp, fn] = [predicted - tp, referenced - tp];
  const dice = predicted + referenced === 0 ? null : (2 * tp) / (predicted + referenced);
  const counts = { tp, fp, fn, tn: voxels - tp - fp - fn, predicted, referenced };
  if (predicted === 0 || referenced === 0) return { dice, hd95: null, ...counts };

  const box = { origin: low, size: [0, 1, 2].map((k) => high[k]! - low[k]! + 1) as unknown as Vec3 };
  const surfaces = [prediction, reference].map((map) => surface(crop(map, size, belongs, box), box.size));
  return { dice, hd95: pooledPercentile(surfaces[0]!, surfaces[1]!, box.size, spacing), ...counts };
}

/** All regions of one case. */
export function caseMetrics(
  name: string,
  prediction: Uint8Array,
  reference: Uint8Array,
  grid: Grid,
): CaseMetrics {
  const measured = REGION_NAMES.map((region) => [
    region,
    regionMetrics(prediction, reference, REGIONS[region], grid),
  ]);
  return { case: name, regions: Object.fromEntries(measured) as Record<Region, RegionMetrics> };
}

/** The mask's surface: voxels with one of their six neighbours outside it. Beyond the array is outside. */
export function surface(mask: Uint8Array, [D, H, W]: Vec3): Uint8Array {
  const found = new Uint8Array(mask.length);
  for (let d = 0, i = 0; d < D; d++) {
    for (let h = 0; h < H; h++) {
      for (let w = 0; w < W; w++, i++) {
        if (!mask[i]) continue;
        const border = d === 0 || h === 0 || w === 0 || d === D - 1 || h === H - 1 || w === W - 1;
        const inside =
          !border &&
          mask[i - 1]! & mask[i + 1]! & mask[i - W]! & mask[i + W]! & mask[i - H * W]! & mask[i + H * W]!;
        found[i] = inside ? 0 : 1;
      }
    }
  }
  return found;
}

/** Percentile q in 0..1 with linear interpolation, as numpy's default. Sorts `values` in place. */
export function percentile(values: Float64Array, q: number): number {
  values.sort();
  const rank = q * (values.length - 1);
  const below = Math.floor(rank);
  const a = values[below]!;
  const b = values[Math.min(below + 1, values.length - 1)]!;
  const t = rank - below;
  return t < 0.5 ? a + (b - a) * t : b - (b - a) * (1 - t);
}

function include(low: number[], high: number[], d: number, h: number, w: number): void {
  if (d < low[0]!) low[0] = d;
  if (h < low[1]!) low[1] = h;
  if (w < low[2]!) low[2] = w;
  if (d > high[0]!) high[0] = d;
  if (h > high[1]!) high[1] = h;
  if (w > high[2]!) high[2] = w;
}

/** The region's mask within a box; the box holds all of it, so beyond the box there is only background. */
function crop(
  map: Uint8Array,
  [, H, W]: Vec3,
  belongs: Uint8Array,
  { origin, size }: { origin: number[]; size: Vec3 },
): Uint8Array {
  const [depth, height, width] = size;
  const mask = new Uint8Array(depth * height * width);
  for (let d = 0, i = 0; d < depth; d++) {
    for (let h = 0; h < height; h++) {
      const row = ((d + origin[0]!) * H + h + origin[1]!) * W + origin[2]!;
      for (let w = 0; w < width; w++, i++) mask[i] = belongs[map[row + w]!]!;
    }
  }
  return mask;
}

/**
 * HD95 as MedPy defines it: distances of each surface's voxels to the other surface, both lists pooled,
 * 95th percentile. (Taking the percentile of each direction and then the larger is another, larger number.)
 */
function pooledPercentile(a: Uint8Array, b: Uint8Array, size: Vec3, spacing: Vec3): number {
  const distances: number[] = [];
  for (const [from, to] of [
    [a, b],
    [b, a],
  ] as const) {
    const squared = squaredDistances(to, size, spacing);
    for (let i = 0; i < from.length; i++) if (from[i]) distances.push(Math.sqrt(squared[i]!));
  }
  return percentile(Float64Array.from(distances), 0.95);
}
