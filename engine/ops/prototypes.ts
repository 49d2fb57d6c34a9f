import { extent } from "../labels.ts";
import { shader } from "../shader.ts";
import { record } from "../tape.ts";
import { free, Tensor } from "../tensor.ts";
import { classCounts } from "./classCounts.ts";

const kernel = await shader("prototypes");

/**
 * Each class's prototype in each sample: the sum of the features over its voxels, divided by their number + eps (so a
 * class that is missing has prototype 0). features [N,F,D,H,W], label [N,D,H,W] of whole numbers in 0 … classes-1
 * → [N,classes,F].
 */
export function prototypes(features: Tensor, label: Tensor, classes: number, eps = 1e-5): Tensor {
  const { batch, channels, voxels, chunks } = extent("prototypes", features, label);
  const { device } = features;
  const quads = Math.ceil(classes / 4);
  const config = { channels, classes, voxels, eps };
  const counts = classCounts(label, classes);
  const sums = new Tensor(device, [quads, batch * channels, chunks, 4]);
  const y = new Tensor(device, [batch, classes, channels]);
  const work = 8 * features.size * quads;
  kernel.partial({ ...config, features, label, sums }, { groups: [chunks, batch * channels, quads], work });
  kernel.combine({ ...config, counts, sums, y }, { groups: [batch * channels, quads, 1], work: sums.size });
  free(sums);
  const backward = (dy: Tensor) => {
    const dfeatures = new Tensor(device, features.shape);
    kernel.backward({ ...config, label, counts, dy, dfeatures }, dfeatures.size);
    return dfeatures;
  };
  record(y, [[features, backward]], [label, counts]);
  free(counts);
  return y;
}
