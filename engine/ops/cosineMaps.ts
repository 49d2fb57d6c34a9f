import { extent } from "./common/labels.ts";
import { shader } from "../gpu/shader.ts";
import { record } from "../autograd/tape.ts";
import { free, Tensor } from "../autograd/tensor.ts";

const kernel = await shader("cosineMaps");
const { CHUNK, MOST } = kernel.constants; // voxels of a workgroup; channels that an invocation holds

/**
 * The cosine, over the channels, of every voxel's features and every prototype of its sample:
 * <f, P> / max(‖f‖ ‖P‖, eps), which clamps the product of the lengths as PyTorch 1.12 does.
 * features [N,F,D,H,W], prototypes [N,K,F] → [N,K,D,H,W].
 */
export function cosineMaps(features: Tensor, prototypes: Tensor, eps = 1e-5): Tensor {
  const { batch, channels, voxels } = extent("cosineMaps", features);
  const chunks = Math.ceil(voxels / CHUNK);
  const [, classes = 0] = prototypes.shape;
  if (`${prototypes.shape}` !== `${[batch, classes, channels]}`) {
    throw new Error(
      `cosineMaps: expected prototypes [${batch},K,${channels}] beside [${features.shape}], ` +
        `got [${prototypes.shape}]`,
    );
  }
  const { device } = features;
  const featureLength = new Tensor(device, [batch, voxels]);
  const prototypeLength = new Tensor(device, [batch, classes]);
  const y = new Tensor(device, [batch, classes, ...features.shape.slice(2)]);
  const config = {
    features,
    prototypes,
    featureLength,
    prototypeLength,
    batch,
    channels,
    classes,
    voxels,
    eps,
  };
  const quads = Math.ceil(classes / 4);
  const grid = { invocations: batch * voxels, work: 10 * features.size * quads };
  kernel.lengths(config, prototypeLength.size);
  const held = channels <= MOST ? channels : 0;
  kernel.forward({ ...config, held, y }, { groups: [chunks, batch, quads], work: grid.work });
  const backwardFeatures = (dy: Tensor) => {
    const dfeatures = new Tensor(device, features.shape, features.precision);
    kernel.backwardFeatures({ ...config, y, dy, dfeatures }, grid);
    return dfeatures;
  };
  const backwardPrototypes = (dy: Tensor) => {
    const dprototypes = new Tensor(device, prototypes.shape);
    const rows = batch * (channels + 1); // one for each channel, and one for the pull along the prototype
    const sums = new Tensor(device, [quads, rows, chunks, 4]);
    kernel.partial({ ...config, y, dy, sums }, { groups: [chunks, rows, quads], work: 4 * grid.work });
    kernel.combine(
      { ...config, sums, dprototypes },
      { groups: [batch * channels, quads, 1], work: sums.size },
    );
    free(sums);
    return dprototypes;
  };
  const inputs = [
    [features, backwardFeatures],
    [prototypes, backwardPrototypes],
  ] as const;
  record(y, inputs, [features, prototypes, featureLength, prototypeLength, y]);
  free(featureLength);
  free(prototypeLength);
  return y;
}
