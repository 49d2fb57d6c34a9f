import { shader } from "../gpu/shader.ts";
import { record } from "../autograd/tape.ts";
import { Tensor } from "../autograd/tensor.ts";

const kernel = await shader("maskChannels");

const { WG, EACH } = kernel.constants;
const PART = WG * EACH; // voxels of a workgroup

/**
 * The channels of x that a mask keeps, 0 in place of the others, then the mask as planes: x [N,C,...] and
 * mask [N,C] → [N,2C,...]. There is no gradient of the mask. Throws for another shape of the mask.
 */
export function maskChannels(x: Tensor, mask: Tensor): Tensor {
  const [batch = 0, channels = 0, ...size] = x.shape;
  if (!size.length || `${mask.shape}` !== `${[batch, channels]}`)
    throw new Error(
      `maskChannels: expected x [N,C,...] and mask [N,C], got [${x.shape}] and [${mask.shape}]`,
    );
  const voxels = x.size / (batch * channels);
  const grid = { groups: [Math.ceil(voxels / PART), channels, batch] as const };
  const y = new Tensor(x.device, [batch, 2 * channels, ...size], x.precision);
  kernel.forward({ x, mask, y, channels, voxels }, grid);
  const backward = (dy: Tensor) => {
    const dx = new Tensor(x.device, x.shape, x.precision);
    kernel.backward({ mask, dy, dx, channels, voxels }, grid);
    return dx;
  };
  return record(y, [[x, backward]], [mask]);
}
