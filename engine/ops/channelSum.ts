import { shader } from "../gpu/shader.ts";
import { record } from "../autograd/tape.ts";
import { scope, Tensor } from "../autograd/tensor.ts";

const kernel = await shader("channelSum");
const { CHUNK } = kernel.constants; // voxels of a workgroup

/** The sum of each channel over samples and voxels: x [N,C,...] → [C]. */
export function channelSum(x: Tensor): Tensor {
  const [batch = 0, channels = 0, ...size] = x.shape;
  if (x.shape.length < 2 || x.size === 0) throw new Error(`channelSum: expected [N,C,...], got [${x.shape}]`);
  const voxels = size.reduce((a, b) => a * b, 1);
  const chunks = Math.ceil(voxels / CHUNK);
  const config = { channels, voxels };
  const grid = { groups: [chunks, channels, batch] } as const;
  const y = new Tensor(x.device, [channels]);
  scope(() => {
    if (batch * voxels <= CHUNK)
      return kernel.whole({ ...config, x, y }, { groups: [channels, 1, 1], work: x.size });
    const partial = new Tensor(x.device, [channels, batch, chunks]);
    kernel.partialSums({ ...config, x, partial }, grid);
    kernel.forward({ partial, y }, { groups: [channels, 1, 1] });
  });
  return record(y, [
    [
      x,
      (dy) => {
        const dx = new Tensor(x.device, x.shape, x.precision);
        kernel.backward({ ...config, dy, dx }, grid);
        return dx;
      },
    ],
  ]);
}
