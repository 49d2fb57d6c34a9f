import { extent } from "./common/labels.ts";
import { shader } from "../gpu/shader.ts";
import { record } from "../autograd/tape.ts";
import { free, scope, Tensor } from "../autograd/tensor.ts";
import { channelStatistics } from "./channelStatistics.ts";
import { statisticsOf } from "./instanceNorm.ts";

const kernel = await shader("adain");
const { CHUNK } = kernel.constants; // voxels of a workgroup

/**
 * x with the mean and √(variance + eps) of `style` in each channel of each sample. x [N,C,D,H,W] and style
 * [N,C,d,h,w]; differentiated by style alone, so through its statistics. Throws unless both have one N and C.
 * Huang & Belongie, "Arbitrary style transfer in real-time with adaptive instance normalization", ICCV 2017.
 */
export function adain(x: Tensor, style: Tensor, eps = 1e-5): Tensor {
  const { batch, channels } = extent("adain", x);
  if (`${style.shape.slice(0, 2)}` !== `${[batch, channels]}`)
    throw new Error(`adain: expected the same samples and channels, got [${x.shape}] and [${style.shape}]`);
  return scope(() => withStatistics(x, channelStatistics(style, eps), eps));
}

/** x with the given mean and deviation in each channel of each sample, `wanted` [N,C,2]. */
function withStatistics(x: Tensor, wanted: Tensor, eps: number): Tensor {
  const { batch, channels, voxels } = extent("adain", x);
  const rows = batch * channels;
  const chunks = Math.ceil(voxels / CHUNK);
  const grid = { groups: [chunks, rows, 1], work: 4 * x.size } as const;
  const statistics = statisticsOf(x, 1, eps);
  const y = new Tensor(x.device, x.shape, x.precision);
  kernel.forward({ x, statistics, wanted, y, voxels, chunks }, grid);
  const backward = (dy: Tensor) => {
    const sums = new Tensor(x.device, [rows, chunks, 2]);
    const dwanted = new Tensor(x.device, wanted.shape);
    kernel.partial({ x, statistics, dy, sums, voxels, chunks }, grid);
    kernel.combine({ sums, dwanted, voxels, chunks }, { groups: [rows, 1, 1], work: sums.size });
    free(sums);
    return dwanted;
  };
  return record(y, [[wanted, backward]], [x, statistics]);
}
