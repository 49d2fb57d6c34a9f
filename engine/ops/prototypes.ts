import { extent } from "./common/labels.ts";
import { shader } from "../gpu/shader.ts";
import { record } from "../autograd/tape.ts";
import { free, Tensor } from "../autograd/tensor.ts";
import { classCounts } from "./classCounts.ts";

const kernel = await shader("prototypes");
const { CHUNK } = kernel.constants; // voxels of a workgroup

/**
 * Each class's prototype in each sample: the sum of the features over the class's voxels, divided by their
 * number + eps, so that an absent class has prototype 0. features [N,F,D,H,W], label [N,D,H,W] of whole
 * numbers in 0 … classes-1 → [N,classes,F].
 */
export function prototypes(features: Tensor, label: Tensor, classes: number, eps = 1e-5): Tensor {
  const { batch, channels, voxels } = extent("prototypes", features, label);
  const chunks = Math.ceil(voxels / CHUNK);
  const counts = classCounts(label, classes);
  const y = prototypesOf(features, label, counts, eps);
  const backward = (dy: Tensor) => {
    const dfeatures = new Tensor(features.device, features.shape, features.precision);
    const config = { channels, classes, voxels, eps, label, counts, dy, dfeatures };
    kernel.backward(config, { groups: [chunks, batch * channels, 1], work: 8 * dfeatures.size });
    return dfeatures;
  };
  record(y, [[features, backward]], [label, counts]);
  free(counts);
  return y;
}

/** The same for a label whose classCounts() [N,K] are known; not differentiated. */
export function prototypesOf(features: Tensor, label: Tensor, counts: Tensor, eps = 1e-5): Tensor {
  const { batch, channels, voxels } = extent("prototypes", features, label);
  const classes = counts.shape[1]!;
  const quads = Math.ceil(classes / 4);
  const sums = classSums(features, label, classes);
  const y = new Tensor(features.device, [batch, classes, channels]);
  const config = { channels, classes, voxels, eps, counts, sums, y };
  kernel.combine(config, { groups: [batch * channels, quads, 1], work: sums.size });
  free(sums);
  return y;
}

/** The sums of the features over each class's voxels, by chunk: [K/4,N·F,chunks,4 classes]. */
export function classSums(features: Tensor, label: Tensor, classes: number): Tensor {
  const { batch, channels, voxels } = extent("prototypes", features, label);
  const chunks = Math.ceil(voxels / CHUNK);
  const quads = Math.ceil(classes / 4);
  const sums = new Tensor(features.device, [quads, batch * channels, chunks, 4]);
  const grid = {
    groups: [chunks, batch * Math.ceil(channels / 4), quads],
    work: 8 * features.size * quads,
  } as const;
  kernel.partial({ channels, classes, voxels, eps: 0, features, label, sums }, grid);
  return sums;
}
