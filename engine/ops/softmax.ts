import { shader } from "../gpu/shader.ts";
import { record } from "../autograd/tape.ts";
import { Tensor } from "../autograd/tensor.ts";

const kernel = await shader("softmax");
const { TILE } = kernel.constants; // voxels of a workgroup

const MOST = 4; // channels that an invocation holds

/** softmax(x / temperature) over channels: x [N,C,...], of the same shape; each voxel's values sum to 1. */
export function softmax(x: Tensor, temperature = 1): Tensor {
  const [, channels = 0, ...size] = x.shape;
  if (x.shape.length < 2 || x.size === 0) throw new Error(`softmax: expected [N,C,...], got [${x.shape}]`);
  const voxels = size.reduce((a, b) => a * b, 1);
  const config = { channels, voxels, temperature, held: channels <= MOST ? channels : 0 };
  const groups = [Math.ceil(voxels / TILE), x.shape[0]!, 1] as const;
  const y = new Tensor(x.device, x.shape);
  kernel.forward({ ...config, x, y }, { groups });
  return record(
    y,
    [
      [
        x,
        (dy) => {
          const dx = new Tensor(x.device, x.shape);
          kernel.backward({ ...config, y, dy, dx }, { groups });
          return dx;
        },
      ],
    ],
    [y],
  );
}
