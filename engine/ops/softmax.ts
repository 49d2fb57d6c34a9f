import { shader } from "../shader.ts";
import { record } from "../tape.ts";
import { Tensor } from "../tensor.ts";

const kernel = await shader("softmax");

/** Softmax over channels: x [N,C,...], of the same shape; each voxel's values sum to 1. */
export function softmax(x: Tensor): Tensor {
  const [, channels = 0, ...size] = x.shape;
  if (x.shape.length < 2 || x.size === 0) throw new Error(`softmax: expected [N,C,...], got [${x.shape}]`);
  const config = { channels, voxels: size.reduce((a, b) => a * b, 1) };
  const y = new Tensor(x.device, x.shape);
  kernel.forward({ ...config, x, y }, y.size / channels);
  return record(
    y,
    [
      [
        x,
        (dy) => {
          const dx = new Tensor(x.device, x.shape);
          kernel.backward({ ...config, y, dy, dx }, dx.size / channels);
          return dx;
        },
      ],
    ],
    [y],
  );
}
