import { extent } from "./common/labels.ts";
import { shader } from "../gpu/shader.ts";
import { record } from "../autograd/tape.ts";
import { Tensor } from "../autograd/tensor.ts";

const kernel = await shader("regionLogits");

/** Sets of exclusive classes 0 … C-1, which may overlap. */
export type Regions = readonly (readonly number[])[];

const MOST = { classes: 128, regions: kernel.constants.MOST }; // that the masks of a call hold

/**
 * l_r = log Σ_{c in r} e^{z_c} - log Σ_{c not in r} e^{z_c} for each region r: the sigmoid of it is the
 * softmax probability of the region. logits z [N,C,D,H,W] → [N,R,D,H,W], in the order of `regions`.
 */
export function regionLogits(logits: Tensor, regions: Regions): Tensor {
  const { config, y, grid } = prepare("regionLogits", logits, regions);
  kernel.forward({ ...config, logits, y }, grid);
  const backward = (dy: Tensor) => {
    const dlogits = new Tensor(logits.device, logits.shape);
    kernel.backward({ ...config, logits, dy, dlogits }, { ...grid, work: 2 * grid.work });
    return dlogits;
  };
  return record(y, [[logits, backward]], [logits]);
}

/** sigmoid(regionLogits() / temperature), a teacher's probability of each region, [N,R,D,H,W]; a constant. */
export function regionProbabilities(logits: Tensor, regions: Regions, temperature = 1): Tensor {
  const { config, y, grid } = prepare("regionProbabilities", logits, regions);
  if (!(temperature > 0)) {
    throw new Error(`regionProbabilities: expected a positive temperature, got ${temperature}`);
  }
  kernel.probabilities({ ...config, cooling: 1 / temperature, logits, y }, grid);
  return y;
}

/**
 * 1 where a voxel's class is in the region, else 0: label [N,D,H,W] of whole numbers in 0 … classes-1 →
 * [N,R,D,H,W].
 */
export function regionMasks(label: Tensor, regions: Regions, classes: number): Tensor {
  const [batch = 0, ...size] = label.shape;
  if (size.length === 0) throw new Error(`regionMasks: expected a label [N,D,H,W], got [${label.shape}]`);
  const config = configOf("regionMasks", regions, classes, label.size / batch);
  const y = new Tensor(label.device, [batch, regions.length, ...size]);
  kernel.masks({ ...config, label, y }, y.size);
  return y;
}

/** 1 where a sample has a voxel of the region, else 0: counts [N,C] of classCounts() → [N,R]; a constant. */
export function regionsPresent(counts: Tensor, regions: Regions): Tensor {
  const [batch = 0, classes = 0] = counts.shape;
  if (counts.shape.length !== 2)
    throw new Error(`regionsPresent: expected counts [N,C], got [${counts.shape}]`);
  const config = configOf("regionsPresent", regions, classes, 1);
  const y = new Tensor(counts.device, [batch, regions.length]);
  kernel.present({ ...config, counts, y }, y.size);
  return y;
}

function prepare(op: string, logits: Tensor, regions: Regions) {
  const { batch, channels, voxels } = extent(op, logits);
  const config = configOf(op, regions, channels, voxels);
  const y = new Tensor(logits.device, [batch, regions.length, ...logits.shape.slice(2)]);
  return { config, y, grid: { invocations: batch * voxels, work: 20 * channels * y.size } };
}

function configOf(op: string, regions: Regions, classes: number, voxels: number) {
  const count = regions.length;
  if (count < 1 || count > MOST.regions || classes > MOST.classes) {
    throw new Error(
      `${op}: expected 1 to ${MOST.regions} regions of at most ${MOST.classes} classes, ` +
        `got ${count} of ${classes}`,
    );
  }
  const members = new Array<number>(4 * MOST.regions).fill(0);
  for (const [r, region] of regions.entries()) {
    const known = region.every((c) => Number.isInteger(c) && c >= 0 && c < classes);
    if (!known || region.length === 0 || new Set(region).size === classes) {
      throw new Error(`${op}: expected regions of some of the classes 0 to ${classes - 1}, got [${region}]`);
    }
    for (const c of region) members[4 * r + Math.floor(c / 32)]! |= 1 << (c % 32);
  }
  return { members, classes, regions: count, voxels, cooling: 1 };
}
