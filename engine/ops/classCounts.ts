import { shader } from "../gpu/shader.ts";
import { free, Tensor } from "../autograd/tensor.ts";

const kernel = await shader("classCounts");
const { CHUNK } = kernel.constants; // voxels of a workgroup

/** The number of voxels of each class in each sample: label [N,D,H,W] of whole numbers → [N,classes]. */
export function classCounts(label: Tensor, classes: number): Tensor {
  const [batch = 0, ...size] = label.shape;
  if (size.length === 0) throw new Error(`classCounts: expected a label [N,D,H,W], got [${label.shape}]`);
  if (!Number.isInteger(classes) || classes < 1) {
    throw new Error(`classCounts: expected a positive number of classes, got ${classes}`);
  }
  const voxels = label.size / batch;
  const chunks = Math.ceil(voxels / CHUNK);
  const quads = Math.ceil(classes / 4);
  const sums = new Tensor(label.device, [quads, batch, chunks, 4]);
  const counts = new Tensor(label.device, [batch, classes]);
  const config = { batch, classes, voxels };
  kernel.partial(
    { ...config, label, sums },
    { groups: [chunks, batch, quads], work: 4 * label.size * quads },
  );
  kernel.combine({ ...config, sums, counts }, { groups: [batch, quads, 1], work: sums.size });
  free(sums);
  return counts;
}

/** w_c = 1 - (class c's share of all voxels): counts [N,C] → [C]. Wang et al., ICASSP 2023. */
export function classWeights(counts: Tensor): Tensor {
  const { batch, classes } = shapeOf("classWeights", counts);
  const y = new Tensor(counts.device, [classes]);
  kernel.weights({ batch, classes, voxels: 0, counts, y }, classes);
  return y;
}

/** 1 for a class that every sample has, else 0: counts [N,C] → [C]. */
export function commonClasses(counts: Tensor): Tensor {
  const { batch, classes } = shapeOf("commonClasses", counts);
  const y = new Tensor(counts.device, [classes]);
  kernel.everySample({ batch, classes, voxels: 0, counts, y }, classes);
  return y;
}

function shapeOf(op: string, counts: Tensor): { batch: number; classes: number } {
  const [batch, classes] = counts.shape;
  if (counts.shape.length !== 2) throw new Error(`${op}: expected counts [N,C], got [${counts.shape}]`);
  return { batch: batch!, classes: classes! };
}
