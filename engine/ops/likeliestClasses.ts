import { extent } from "./common/labels.ts";
import { shader } from "../gpu/shader.ts";
import { Tensor } from "../autograd/tensor.ts";

const kernel = await shader("likeliestClasses");

/** The class of the largest logit in each voxel, the first of equals: [N,C,D,H,W] → [N,D,H,W]; a constant. */
export function likeliestClasses(logits: Tensor): Tensor {
  const { channels: classes, voxels } = extent("likeliestClasses", logits);
  const [batch, , ...size] = logits.shape;
  const y = new Tensor(logits.device, [batch!, ...size]);
  kernel.forward({ classes, voxels, logits, y }, { invocations: y.size, work: 2 * logits.size });
  return y;
}
